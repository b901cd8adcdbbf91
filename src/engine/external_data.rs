//! Weights outside of the model's file: only plain files of the model's own folder.
//!
//! A model names such files by paths, and a runtime that follows them reads whatever the model says: other models' weights,
//! `/etc/passwd` (onnx has had this wrong in six ways: `..`, absolute paths, symlinks, symlinked parents, hard links, and
//! archives). So every path is checked by us, in every graph and function of the file, before a runtime sees it. The runtime
//! opens the paths once more by itself; [`Graph::check_unchanged`](super::Graph::check_unchanged), asked after it has, tells
//! whether they still led to what was checked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, openat};
use rustix::io::Errno;

use super::onnx::{Attribute, Graph, Model, Node, SparseTensor, Tensor};
use super::onnx_file::{FileState, Identity};
use super::{GraphError, element_bits};

/// One place outside of the model's file that the model says weights lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalData {
    /// As the model has it.
    pub location: String,
    /// How many tensors lie there, and the first one's name.
    pub tensors: usize,
    pub first_tensor: String,
    /// The file, or why it is refused.
    pub file: Result<FileState, String>,
}

/// The files that hold the model's external weights, each once. Fails if one of them is not a plain file in `folder` or below.
pub fn files(model: &Model, folder: &Path) -> Result<Vec<FileState>, GraphError> {
    let all = inspect(model, folder).into_iter().map(|ExternalData { location, first_tensor, file, .. }| {
        file.map_err(|reason| GraphError::ExternalData { tensor: first_tensor, location, reason })
    });
    let mut files = all.collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// Every place that the model names, with the verdict on it.
pub fn inspect(model: &Model, folder: &Path) -> Vec<ExternalData> {
    let mut tensors = Vec::new();
    model.graph.iter().for_each(|graph| tensors_of_graph(graph, &mut tensors));
    model.functions.iter().for_each(|function| tensors_of_nodes(&function.node, &mut tensors));
    let mut places: BTreeMap<&str, ExternalData> = BTreeMap::new();
    for tensor in tensors.into_iter().filter(|tensor| !tensor.external_data.is_empty()) {
        let location = value_of(tensor, "location").unwrap_or_default();
        let place = places.entry(location).or_insert_with(|| ExternalData {
            location: location.to_owned(),
            tensors: 0,
            first_tensor: tensor.name.clone(),
            file: resolve(folder, location),
        });
        place.tensors += 1;
        // The first refusal is kept, with the tensor that it is about.
        if let Ok(file) = &place.file
            && let Err(reason) = check_part(tensor, file.bytes)
        {
            place.first_tensor.clone_from(&tensor.name);
            place.file = Err(reason);
        }
    }
    places.into_values().collect()
}

fn value_of<'a>(tensor: &'a Tensor, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// Whether the part of the file that a tensor says it lies in exists.
fn check_part(tensor: &Tensor, file_bytes: u64) -> Result<(), String> {
    // Readers differ in whether the first or the last of two counts.
    for (index, entry) in tensor.external_data.iter().enumerate() {
        if tensor.external_data[..index].iter().any(|earlier| earlier.key == entry.key) {
            return Err(format!("it has two values for '{}'", entry.key));
        }
    }
    let number = |key: &str| match value_of(tensor, key) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("its {key} '{text}' is not a number of bytes")),
        None => Ok(None),
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = match number("length")? {
        Some(length) => length,
        None => tensor_bytes(tensor).unwrap_or(0),
    };
    if offset.checked_add(length).is_none_or(|end| end > file_bytes) {
        return Err(format!("it would need {length} bytes from {offset} on, and the file has {file_bytes}"));
    }
    Ok(())
}

/// The bytes that a tensor's elements take by its type and dimensions, if these are numbers that make sense.
pub(super) fn tensor_bytes(tensor: &Tensor) -> Option<u64> {
    let mut dims = tensor.dims.iter().map(|&dim| u64::try_from(dim).ok());
    let elements = dims.try_fold(1u64, |count, dim| count.checked_mul(dim?))?;
    Some(elements.checked_mul(element_bits(tensor.data_type)?)?.div_ceil(8))
}

/// How a step of a path is opened: to be looked at, without following it and without the effects that opening a pipe or a
/// device has.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::NONBLOCK.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The file that a location means, or why it is refused.
///
/// Each step is opened in the folder that the step before has opened, and what was opened is what is looked at: a link
/// anywhere on the way could lead anywhere, and a path that is looked up twice may mean two things.
fn resolve(folder: &Path, location: &str) -> Result<FileState, String> {
    let names = steps(location)?;
    let (last, parents) = names.split_last().ok_or("it names no file")?;
    // The model's own folder is the operator's word, links and all.
    let mut at = open(folder, LOOK.difference(OFlags::NOFOLLOW) | OFlags::DIRECTORY, Mode::empty())
        .map_err(|error| format!("the model's folder cannot be opened: {error}"))?;
    for name in parents {
        let stat;
        (at, stat) = look(&at, name)?;
        if file_type(&stat) != FileType::Directory {
            return Err(format!("'{}' is {}, not a folder", name.display(), in_words(file_type(&stat))));
        }
    }
    let (_, stat) = look(&at, last)?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(format!("it is {}, not a plain file", in_words(file_type(&stat))));
    }
    if stat.st_nlink != 1 {
        return Err("the file has another hard link, which may be anywhere; copy it".to_owned());
    }
    let path = names.iter().fold(folder.to_owned(), |path: PathBuf, name| path.join(name));
    Ok(state(path, &stat))
}

/// The names of a relative path that stays where it is.
fn steps(location: &str) -> Result<Vec<&OsStr>, String> {
    if location.is_empty() {
        return Err("it names no file".to_owned());
    }
    // Backslashes separate on some systems; a name that holds one means trouble on all of them.
    if location.contains(['\\', '\0']) {
        return Err("it is not a plain relative path".to_owned());
    }
    let mut names = Vec::new();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("by '..' it leads out of the model's folder".to_owned()),
            Component::RootDir | Component::Prefix(_) => {
                return Err("it is an absolute path, which leads out of the model's folder".to_owned());
            }
        }
    }
    Ok(names)
}

/// Opens one step, and says what it is.
fn look(at: &impl std::os::fd::AsFd, name: &OsStr) -> Result<(std::os::fd::OwnedFd, Stat), String> {
    let link = || format!("'{}' is a symbolic link; copy the file here instead", name.display());
    let opened = openat(at, name, LOOK, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => "there is no such file beside the model".to_owned(),
        Errno::LOOP => link(),
        _ => format!("'{}' cannot be opened: {error}", name.display()),
    })?;
    let stat = fstat(&opened).map_err(|error| format!("'{}' cannot be looked at: {error}", name.display()))?;
    if file_type(&stat) == FileType::Symlink { Err(link()) } else { Ok((opened, stat)) }
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn in_words(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something unknown",
    }
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the fields' types differ between systems")]
fn state(path: PathBuf, stat: &Stat) -> FileState {
    let identity = Identity {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    };
    FileState::new(path, stat.st_size as u64, identity)
}

fn tensors_of_graph<'a>(graph: &'a Graph, tensors: &mut Vec<&'a Tensor>) {
    tensors.extend(&graph.initializer);
    tensors.extend(graph.sparse_initializer.iter().flat_map(tensors_of_sparse));
    tensors_of_nodes(&graph.node, tensors);
}

fn tensors_of_nodes<'a>(nodes: &'a [Node], tensors: &mut Vec<&'a Tensor>) {
    for attribute in nodes.iter().flat_map(|node| &node.attribute) {
        let Attribute { tensor, graph, tensors: list, graphs, sparse_tensor, sparse_tensors, .. } = attribute;
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
    use std::fs;

    use super::*;
    use crate::engine::onnx::{Entry, Function};

    /// A tensor of no elements with these entries, in order.
    fn tensor_with(entries: &[(&str, &str)]) -> Tensor {
        let entry = |(key, value): &(&str, &str)| Entry { key: key.to_string(), value: value.to_string() };
        Tensor { name: "w".to_owned(), external_data: entries.iter().map(entry).collect(), ..Tensor::default() }
    }

    fn tensor(location: &str) -> Tensor {
        tensor_with(&[("location", location)])
    }

    fn constant(tensor: Tensor) -> Node {
        Node { attribute: vec![Attribute { tensor: Some(tensor), ..Attribute::default() }], ..Node::default() }
    }

    fn body(graph: Graph) -> Node {
        Node { attribute: vec![Attribute { graph: Some(Box::new(graph)), ..Attribute::default() }], ..Node::default() }
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
        model.functions = vec![Function { node: vec![constant(tensor("weights.bin"))], ..Function::default() }];
        let found = files(&model, &folder.model()).unwrap();
        let found: Vec<_> = found.into_iter().map(|file| (file.path, file.bytes)).collect();
        assert_eq!(found, [(folder.model().join("below/more.bin"), 4), (folder.model().join("weights.bin"), 4)]);
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused_in_every_place_of_a_model() {
        let folder = Folder::new("refused");
        std::os::unix::fs::symlink(folder.0.join("secret"), folder.model().join("link")).unwrap();
        std::os::unix::fs::symlink(&folder.0, folder.model().join("up")).unwrap();
        fs::hard_link(folder.0.join("secret"), folder.model().join("twin")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.model().join("socket")).unwrap();
        let absolute = folder.0.join("secret").display().to_string();
        for (location, reason) in [
            ("", "names no file"),
            (".", "names no file"),
            ("../secret", "by '..' it leads out"),
            ("below/../../secret", "by '..' it leads out"),
            (absolute.as_str(), "absolute path, which leads out"),
            ("/proc/self/environ", "absolute path, which leads out"),
            ("..\\secret", "not a plain relative path"),
            ("weights.bin\0", "not a plain relative path"),
            ("missing.bin", "no such file"),
            ("*/_ORT_MEM_ADDR_/*", "no such file"),
            ("below", "a folder, not a plain file"),
            ("socket", "a socket, not a plain file"),
            ("weights.bin/x", "'weights.bin' is a file, not a folder"),
            ("link", "'link' is a symbolic link"),
            ("up/secret", "'up' is a symbolic link"),
            ("twin", "hard link"),
        ] {
            let tensor = || tensor(location);
            let sparse = || SparseTensor { values: None, indices: Some(tensor()) };
            let attribute = |attribute| Graph {
                node: vec![Node { attribute: vec![attribute], ..Node::default() }],
                ..Graph::default()
            };
            let mut in_function = model(Graph::default());
            in_function.functions = vec![Function { node: vec![constant(tensor())], ..Function::default() }];
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

    #[test]
    fn a_part_that_the_file_does_not_have_is_refused() {
        let folder = Folder::new("parts");
        let at = |entries: &[(&str, &str)]| {
            let mut tensor = tensor_with(&[&[("location", "weights.bin")], entries].concat());
            (tensor.dims, tensor.data_type) = (vec![1], 1);
            let graph = Graph { initializer: vec![tensor], ..Graph::default() };
            files(&model(graph), &folder.model()).map(drop).map_err(|error| error.to_string())
        };
        at(&[]).unwrap();
        at(&[("offset", "1"), ("length", "3")]).unwrap();
        for (entries, reason) in [
            ([("offset", "1")].as_slice(), "would need 4 bytes from 1 on, and the file has 4"),
            (&[("offset", "0"), ("length", "5")], "would need 5 bytes from 0 on"),
            (&[("offset", "18446744073709551615"), ("length", "2")], "would need 2 bytes"),
            (&[("offset", "-1")], "its offset '-1' is not a number of bytes"),
            (&[("location", "../secret")], "two values for 'location'"),
        ] {
            let error = at(entries).unwrap_err();
            assert!(error.contains(reason), "{entries:?}: {error}");
        }
    }

    #[test]
    fn what_took_the_place_of_a_checked_file_is_noticed() {
        let folder = Folder::new("changed");
        let weights = folder.model().join("weights.bin");
        let found =
            files(&model(Graph { initializer: vec![tensor("weights.bin")], ..Graph::default() }), &folder.model());
        let [file] = found.unwrap().try_into().unwrap();
        assert!(file.is_unchanged());
        fs::remove_file(&weights).unwrap();
        assert!(!file.is_unchanged());
        fs::hard_link(folder.0.join("secret"), &weights).unwrap();
        assert!(!file.is_unchanged());
    }
}
