//! Weights outside of the model's file: only plain files of the model's own folder, or of folders that the operator has named for
//! links to lead into.
//!
//! A model names such files by paths, and a runtime that follows them reads whatever the model says: other models' weights,
//! `/etc/passwd` (onnx has had this wrong in six ways: `..`, absolute paths, symlinks, symlinked parents, hard links, and
//! archives). So every path is checked by us, in every graph and function of the file, before a runtime sees it. The runtime
//! opens the paths once more by itself; [`Graph::check_unchanged`](super::Graph::check_unchanged), asked after it has, tells
//! whether they still led to what was checked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat};
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

/// The files that hold the model's external weights, each once. Fails if one of them is not a plain file in `folder` or below, nor
/// linked from there into `folders`.
pub fn files(model: &Model, folder: &Path, folders: &[PathBuf]) -> Result<Vec<FileState>, GraphError> {
    let all =
        inspect(model, folder, folders).into_iter().map(|ExternalData { location, first_tensor, file, .. }| {
            file.map_err(|reason| GraphError::ExternalData { tensor: first_tensor, location, reason })
        });
    let mut files = all.collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

/// Every place that the model names, with the verdict on it.
pub fn inspect(model: &Model, folder: &Path, folders: &[PathBuf]) -> Vec<ExternalData> {
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
            file: resolve(folder, location, folders),
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

/// The most links on the way to one file, as Linux has it.
const LINKS_MAX: usize = 40;

/// The file that a location in a model's folder means, or why it is refused.
///
/// It is a plain file of the model's folder, or of one of `folders`, which the operator has named: only into those may a link lead.
pub fn resolve(folder: &Path, location: &str, folders: &[PathBuf]) -> Result<FileState, String> {
    let names = steps(location)?;
    let walked = walk(folder, &names, if folders.is_empty() { Links::Refused } else { Links::Followed })?;
    if file_type(&walked.stat) != FileType::RegularFile {
        return Err(format!("it is {}, not a plain file", in_words(file_type(&walked.stat))));
    }
    let path = names.iter().fold(folder.to_owned(), |path: PathBuf, name| path.join(name));
    if walked.is_linked || walked.stat.st_nlink != 1 {
        let is_allowed = lies_in(&walked.parent, folders)
            .map_err(|error| format!("it cannot be told whether it lies in {SETTING}: {error}"))?;
        if !is_allowed && walked.is_linked {
            return Err(format!(
                "it is a link to what lies in none of the folders in {SETTING} ({}); name the folder there, or copy the file here",
                list(folders)
            ));
        }
        if !is_allowed {
            return Err(format!(
                "the file has another hard link, which may be anywhere; copy it, or name its folder in {SETTING}"
            ));
        }
    }
    let way = Way { folder: folder.to_owned(), location: location.to_owned(), steps: walked.steps };
    let state = state(path, &walked.stat).by_way(way);
    // Links of `/proc` lead elsewhere than their text says.
    if state.is_unchanged() { Ok(state) } else { Err("it leads elsewhere when it is opened".to_owned()) }
}

const SETTING: &str = "external_data_folders";

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The way to a file: which folders and links it goes through. A file that is untouched tells nothing of a link that has led
/// elsewhere for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    folder: PathBuf,
    location: String,
    /// Of folders, which change with each file in them, device and inode alone.
    steps: Vec<Identity>,
}

impl Way {
    /// Whether it still goes through the very same folders and links.
    pub fn is_unchanged(&self) -> bool {
        let names = steps(&self.location);
        // Where links may lead has been checked; the same steps lead to the same place.
        let walked = names.and_then(|names| walk(&self.folder, &names, Links::Followed));
        walked.is_ok_and(|walked| walked.steps == self.steps)
    }
}

/// What is done with a link on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Refused,
    Followed,
}

/// The end of a path.
struct Walked {
    /// The folder that holds what is at its end.
    parent: OwnedFd,
    stat: Stat,
    is_linked: bool,
    steps: Vec<Identity>,
}

/// Follows a path from the model's folder on.
///
/// Each step is opened in the folder that the step before has opened, and what was opened is what is looked at: a link
/// anywhere on the way could lead anywhere, and a path that is looked up twice may mean two things.
fn walk(folder: &Path, names: &[&OsStr], links: Links) -> Result<Walked, String> {
    // The model's own folder is the operator's word, links and all.
    let mut at = open_folder(folder).map_err(|error| format!("the model's folder cannot be opened: {error}"))?;
    let mut ahead: Vec<OsString> = names.iter().rev().map(|name| (*name).to_owned()).collect();
    let (mut steps, mut followed) = (Vec::new(), 0);
    while let Some(name) = ahead.pop() {
        let (opened, stat) = look(&at, &name)?;
        let kind = file_type(&stat);
        if kind == FileType::Symlink {
            followed += 1;
            if links == Links::Refused {
                return Err(link(&name));
            }
            if followed > LINKS_MAX {
                return Err(format!("'{}' leads through more than {LINKS_MAX} links", name.display()));
            }
            steps.push(identity(&stat));
            let target = readlinkat(&opened, "", Vec::new())
                .map_err(|error| format!("the link '{}' cannot be read: {error}", name.display()))?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes()));
            if target.has_root() {
                at = open_folder(Path::new("/")).map_err(|error| format!("/ cannot be opened: {error}"))?;
            }
            let parts = target.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
            ahead.extend(parts.rev().map(|part| part.as_os_str().to_owned()));
        } else if ahead.is_empty() {
            return Ok(Walked { parent: at, stat, is_linked: followed > 0, steps });
        } else if kind == FileType::Directory {
            steps.push(Identity { modified: (0, 0), changed: (0, 0), ..identity(&stat) });
            at = opened;
        } else {
            return Err(format!("'{}' is {}, not a folder", name.display(), in_words(kind)));
        }
    }
    Err("it names no file".to_owned())
}

/// Whether a folder is one of `folders`, or lies in one, by device and inode of all that it lies in: no name is compared.
fn lies_in(folder: &OwnedFd, folders: &[PathBuf]) -> Result<bool, Errno> {
    let place = |stat: Stat| (stat.st_dev, stat.st_ino);
    let mut named = Vec::new();
    for folder in folders {
        // One that is not there holds nothing.
        if let Ok(opened) = open_folder(folder) {
            named.push(place(fstat(&opened)?));
        }
    }
    let mut at = openat(folder, ".", FOLDER, Mode::empty())?;
    loop {
        let here = place(fstat(&at)?);
        if named.contains(&here) {
            return Ok(true);
        }
        let above = openat(&at, "..", FOLDER, Mode::empty())?;
        if place(fstat(&above)?) == here {
            return Ok(false);
        }
        at = above;
    }
}

/// How a folder is opened whose own name may be a link.
const FOLDER: OFlags = LOOK.difference(OFlags::NOFOLLOW).union(OFlags::DIRECTORY);

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, FOLDER, Mode::empty())
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
fn look(at: &OwnedFd, name: &OsStr) -> Result<(OwnedFd, Stat), String> {
    let opened = openat(at, name, LOOK, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => "there is no such file beside the model".to_owned(),
        Errno::LOOP => link(name),
        _ => format!("'{}' cannot be opened: {error}", name.display()),
    })?;
    let stat = fstat(&opened).map_err(|error| format!("'{}' cannot be looked at: {error}", name.display()))?;
    Ok((opened, stat))
}

/// Why a link is refused where none may lead anywhere.
fn link(name: &OsStr) -> String {
    format!(
        "'{}' is a symbolic link; copy the file here instead, or name the folder that it leads into in {SETTING}",
        name.display()
    )
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
fn identity(stat: &Stat) -> Identity {
    Identity {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}

#[allow(clippy::unnecessary_cast, reason = "the field's type differs between systems")]
fn state(path: PathBuf, stat: &Stat) -> FileState {
    FileState::new(path, stat.st_size as u64, identity(stat))
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
        let found = files(&model, &folder.model(), &[]).unwrap();
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
                let error = files(&model, &folder.model(), &[]).unwrap_err().to_string();
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
            files(&model(graph), &folder.model(), &[]).map(drop).map_err(|error| error.to_string())
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
            files(&model(Graph { initializer: vec![tensor("weights.bin")], ..Graph::default() }), &folder.model(), &[]);
        let [file] = found.unwrap().try_into().unwrap();
        assert!(file.is_unchanged());
        fs::remove_file(&weights).unwrap();
        assert!(!file.is_unchanged());
        fs::hard_link(folder.0.join("secret"), &weights).unwrap();
        assert!(!file.is_unchanged());
    }

    /// A cache as Hugging Face's hub keeps it: `hub/snapshots/1/` is full of links into `hub/blobs/`.
    fn hub(folder: &Folder) -> PathBuf {
        let hub = folder.0.join("hub");
        let snapshot = hub.join("snapshots/1");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(hub.join("blobs")).unwrap();
        fs::write(hub.join("blobs/ab"), "data").unwrap();
        std::os::unix::fs::symlink("../../blobs/ab", snapshot.join("weights")).unwrap();
        snapshot
    }

    #[test]
    fn links_may_lead_into_folders_that_the_operator_names() {
        let folder = Folder::new("linked");
        let snapshot = hub(&folder);
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, snapshot.join(name)).unwrap();
        let (blobs, secret) = (folder.0.join("hub/blobs"), folder.0.join("secret"));
        link(&blobs.join("ab"), "absolute");
        link(Path::new("weights"), "twice");
        link(Path::new("../../blobs"), "folder");
        link(&secret, "out");
        link(Path::new("../../blobs/out"), "by-way-of-the-folder");
        std::os::unix::fs::symlink(&secret, blobs.join("out")).unwrap();
        link(Path::new("../../blobs/../../secret"), "dots");
        link(Path::new("round"), "round");
        link(Path::new("/"), "root");
        link(Path::new("/proc/self/environ"), "proc");
        fs::hard_link(blobs.join("ab"), snapshot.join("hard")).unwrap();
        std::os::unix::fs::symlink(&blobs, folder.0.join("alias")).unwrap();
        for named in [blobs.clone(), folder.0.join("hub"), folder.0.join("alias"), folder.0.join("hub/../hub/blobs")] {
            let named = [folder.0.join("missing"), named];
            for location in ["weights", "absolute", "twice", "folder/ab"] {
                let state = resolve(&snapshot, location, &named).unwrap_or_else(|error| panic!("{location}: {error}"));
                assert_eq!((state.path.clone(), state.bytes), (snapshot.join(location), 4));
                assert!(state.is_unchanged());
            }
            for location in ["out", "by-way-of-the-folder", "dots", "round", "root", "proc"] {
                assert!(resolve(&snapshot, location, &named).is_err(), "{location}");
            }
            let refused = resolve(&snapshot, "out", &named).unwrap_err();
            assert!(refused.contains("none of the folders in external_data_folders"), "{refused}");
            assert!(resolve(&snapshot, "../../blobs/ab", &named).unwrap_err().contains("by '..'"));
        }
        assert!(resolve(&snapshot, "weights", &[]).unwrap_err().contains("external_data_folders"));
        assert!(resolve(&snapshot, "weights", &[folder.model()]).is_err());
        assert!(resolve(&snapshot, "hard", &[folder.0.join("hub")]).is_ok(), "the operator has named its folder");
        assert!(resolve(&snapshot, "hard", &[blobs]).unwrap_err().contains("another hard link"));
    }

    #[test]
    fn a_link_that_has_led_elsewhere_meanwhile_is_noticed() {
        let folder = Folder::new("swapped");
        let snapshot = hub(&folder);
        let blobs = [folder.0.join("hub/blobs")];
        let state = resolve(&snapshot, "weights", &blobs).unwrap();
        let (link, kept) = (snapshot.join("weights"), snapshot.join("kept"));
        fs::rename(&link, &kept).unwrap();
        std::os::unix::fs::symlink(folder.0.join("secret"), &link).unwrap();
        assert!(!state.is_unchanged(), "it leads elsewhere");
        fs::rename(&kept, &link).unwrap();
        assert!(!state.is_unchanged(), "it has been away, while a runtime may have opened it");
        assert!(resolve(&snapshot, "weights", &blobs).unwrap().is_unchanged());
    }
}
