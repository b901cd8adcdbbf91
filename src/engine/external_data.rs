//! Weights outside of the model's file: only plain files of the model's own folder.
//!
//! A model names such files by paths, and a runtime that follows them reads whatever the model says: other models' weights,
//! `/etc/passwd` (onnx has had this wrong in six ways: `..`, absolute paths, symlinks, symlinked parents, hard links, and
//! archives). So every path is checked by us, in every graph and function of the file, before a runtime sees it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::GraphError;
use super::onnx::{Attribute, Graph, Model, Node, SparseTensor, Tensor};

/// The files that hold the model's external weights, each once. Fails if one of them is not a plain file in `folder` or below.
pub fn files(model: &Model, folder: &Path) -> Result<Vec<PathBuf>, GraphError> {
    let mut tensors = Vec::new();
    model.graph.iter().for_each(|graph| tensors_of_graph(graph, &mut tensors));
    model.functions.iter().for_each(|function| tensors_of_nodes(&function.node, &mut tensors));
    let mut files = BTreeSet::new();
    for tensor in tensors.into_iter().filter(|tensor| !tensor.external_data.is_empty()) {
        let location = tensor.external_data.iter().find(|entry| entry.key == "location");
        let location = location.map_or("", |entry| entry.value.as_str());
        let file = resolve(folder, location).map_err(|reason| GraphError::ExternalData {
            tensor: tensor.name.clone(),
            location: location.to_owned(),
            reason,
        })?;
        files.insert(file);
    }
    Ok(files.into_iter().collect())
}

/// The file that a location means, or why it is refused.
fn resolve(folder: &Path, location: &str) -> Result<PathBuf, String> {
    if location.is_empty() {
        return Err("it names no file".to_owned());
    }
    // Backslashes separate on some systems; a name that holds one means trouble on all of them.
    if location.contains(['\\', '\0']) {
        return Err("it is not a plain relative path".to_owned());
    }
    let mut path = folder.to_owned();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("it leads out of the model's folder".to_owned());
            }
        }
        // Each step by itself: a link anywhere on the way could lead anywhere.
        let metadata = fs::symlink_metadata(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file beside the model".to_owned(),
            _ => error.to_string(),
        })?;
        if metadata.is_symlink() {
            return Err(format!("{} is a symbolic link", path.display()));
        }
    }
    let metadata = fs::metadata(&path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    if has_other_names(&metadata) {
        return Err("the file has another hard link, which may be anywhere; copy it".to_owned());
    }
    Ok(path)
}

#[cfg(unix)]
fn has_other_names(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &fs::Metadata) -> bool {
    false
}

fn tensors_of_graph<'a>(graph: &'a Graph, tensors: &mut Vec<&'a Tensor>) {
    tensors.extend(&graph.initializer);
    tensors.extend(graph.sparse_initializer.iter().flat_map(tensors_of_sparse));
    tensors_of_nodes(&graph.node, tensors);
}

fn tensors_of_nodes<'a>(nodes: &'a [Node], tensors: &mut Vec<&'a Tensor>) {
    for attribute in nodes.iter().flat_map(|node| &node.attribute) {
        let Attribute { tensor, graph, tensors: list, graphs, sparse_tensor, sparse_tensors } = attribute;
        tensors.extend(tensor.iter().chain(list));
        tensors.extend(sparse_tensor.iter().chain(sparse_tensors).flat_map(tensors_of_sparse));
        // The decoder has bounded how deep graphs are nested.
        graph.iter().map(AsRef::as_ref).chain(graphs).for_each(|graph| tensors_of_graph(graph, tensors));
    }
}

fn tensors_of_sparse(sparse: &SparseTensor) -> impl Iterator<Item = &Tensor> {
    sparse.values.iter().chain(&sparse.indices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::onnx::{Entry, Function};

    fn tensor(location: &str) -> Tensor {
        let entry = Entry { key: "location".to_owned(), value: location.to_owned() };
        Tensor { name: "w".to_owned(), external_data: vec![entry] }
    }

    fn constant(tensor: Tensor) -> Node {
        Node { attribute: vec![Attribute { tensor: Some(tensor), ..Attribute::default() }] }
    }

    fn body(graph: Graph) -> Node {
        Node { attribute: vec![Attribute { graph: Some(Box::new(graph)), ..Attribute::default() }] }
    }

    fn model(graph: Graph) -> Model {
        Model { graph: Some(graph), ..Model::default() }
    }

    /// A folder with `model/weights.bin`, `model/below/more.bin` and `secret`, removed with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("scoria-external-{test}-{}", std::process::id()));
            fs::create_dir_all(folder.join("model/below")).unwrap();
            for file in ["model/weights.bin", "model/below/more.bin", "secret"] {
                fs::write(folder.join(file), "data").unwrap();
            }
            Folder(folder)
        }

        fn model(&self) -> PathBuf {
            self.0.join("model")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn plain_files_of_the_folder_are_found_wherever_they_are_named() {
        let folder = Folder::new("found");
        let inner = Graph { node: vec![constant(tensor("below/more.bin"))], ..Graph::default() };
        let mut model =
            model(Graph { initializer: vec![tensor("./weights.bin")], node: vec![body(inner)], ..Graph::default() });
        model.functions = vec![Function { node: vec![constant(tensor("weights.bin"))] }];
        let found = files(&model, &folder.model()).unwrap();
        assert_eq!(found, [folder.model().join("below/more.bin"), folder.model().join("weights.bin")]);
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused_in_every_place_of_a_model() {
        let folder = Folder::new("refused");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.0.join("secret"), folder.model().join("link")).unwrap();
            std::os::unix::fs::symlink(&folder.0, folder.model().join("up")).unwrap();
            fs::hard_link(folder.0.join("secret"), folder.model().join("twin")).unwrap();
        }
        let absolute = folder.0.join("secret").display().to_string();
        for (location, reason) in [
            ("", "names no file"),
            ("../secret", "leads out"),
            ("below/../../secret", "leads out"),
            (absolute.as_str(), "leads out"),
            ("..\\secret", "not a plain relative path"),
            ("weights.bin\0", "not a plain relative path"),
            ("missing.bin", "no such file"),
            ("*/_ORT_MEM_ADDR_/*", "no such file"),
            ("below", "not a plain file"),
            ("link", "symbolic link"),
            ("up/secret", "symbolic link"),
            ("twin", "hard link"),
        ] {
            let tensor = || tensor(location);
            let sparse = || SparseTensor { values: None, indices: Some(tensor()) };
            let attribute = |attribute| Graph { node: vec![Node { attribute: vec![attribute] }], ..Graph::default() };
            let mut in_function = model(Graph::default());
            in_function.functions = vec![Function { node: vec![constant(tensor())] }];
            for model in [
                model(Graph { initializer: vec![tensor()], ..Graph::default() }),
                model(Graph { sparse_initializer: vec![sparse()], ..Graph::default() }),
                model(attribute(Attribute { tensors: vec![tensor()], ..Attribute::default() })),
                model(attribute(Attribute { sparse_tensors: vec![sparse()], ..Attribute::default() })),
                model(Graph {
                    node: vec![body(attribute(Attribute { tensor: Some(tensor()), ..Attribute::default() }))],
                    ..Graph::default()
                }),
                in_function,
            ] {
                let error = files(&model, &folder.model()).unwrap_err().to_string();
                assert!(error.contains(reason), "{location:?}: {error}");
            }
        }
    }
}
