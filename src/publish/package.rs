//! Which files a version consists of.
//!
//! Of a file: itself, and the files in its folder that it keeps weights in. Of a folder: everything in it, but for what is hidden
//! and the golden requests. Links are refused, but for those into folders that the operator names: what is registered has to be what
//! lies there.

use std::fs;
use std::path::{Path, PathBuf};

use super::PublishError;
use crate::engine::{Graph, resolve_external};
use crate::registry::FilePath;

/// The most files that a version has.
const FILES_MAX: usize = 10_000;

/// The folder within a model's folder that golden requests are taken from, unless another one is named.
pub const GOLDEN: &str = "golden";

/// A model's files, before anything is known of them.
#[derive(Debug)]
pub struct Package {
    pub folder: PathBuf,
    /// The one that a runtime opens.
    pub model: FilePath,
    /// All of them, sorted.
    pub files: Vec<FilePath>,
    pub graph: Graph,
}

impl Package {
    /// Finds the files that `path` means, some of which may be links into `folders`.
    pub fn of(path: &Path, folders: &[PathBuf]) -> Result<Package, PublishError> {
        let metadata = fs::metadata(path).map_err(|source| PublishError::Read { path: path.to_owned(), source })?;
        if metadata.is_dir() { of_folder(path, folders) } else { of_file(path, folders) }
    }
}

fn of_file(path: &Path, folders: &[PathBuf]) -> Result<Package, PublishError> {
    let graph = Graph::read_linked(path, folders)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let model = FilePath::from_relative(Path::new(path.file_name().unwrap_or_default()))?;
    let mut files = vec![model.clone()];
    for external in &graph.external_files {
        files.push(FilePath::from_relative(external.path.strip_prefix(&folder).unwrap_or(&external.path))?);
    }
    files.sort();
    files.dedup();
    Ok(Package { folder, model, files, graph })
}

fn of_folder(folder: &Path, folders: &[PathBuf]) -> Result<Package, PublishError> {
    let mut files = Vec::new();
    walk(folder, Path::new(""), folders, &mut files)?;
    files.sort();
    let refuse = |reason: String| PublishError::Package { path: folder.to_owned(), reason };
    let is_model = |file: &&FilePath| !file.as_str().contains('/') && file.as_str().ends_with(".onnx");
    let models: Vec<&FilePath> = files.iter().filter(is_model).collect();
    let model = match models.as_slice() {
        [only] => (*only).clone(),
        [] => {
            let below = files.iter().find(|file| file.as_str().ends_with(".onnx"));
            let hint =
                below.map(|file| format!("; there is {file}: register its folder, or the file")).unwrap_or_default();
            return Err(refuse(format!("holds no .onnx file{hint}")));
        }
        several => match several.iter().find(|file| file.as_str() == "model.onnx") {
            Some(file) => (**file).clone(),
            None => {
                let names: Vec<&str> = several.iter().map(|file| file.as_str()).collect();
                return Err(refuse(format!(
                    "holds several models ({}): register one of the files, or call the one that is meant model.onnx",
                    names.join(", ")
                )));
            }
        },
    };
    let graph = Graph::read_linked(&model.in_folder(folder), folders)?;
    Ok(Package { folder: folder.to_owned(), model, files, graph })
}

/// Adds the files of `folder/below`, and of the folders in it.
fn walk(folder: &Path, below: &Path, folders: &[PathBuf], files: &mut Vec<FilePath>) -> Result<(), PublishError> {
    let at = folder.join(below);
    let failed = |source| PublishError::Read { path: at.clone(), source };
    for entry in fs::read_dir(&at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_golden = below == Path::new("") && name == GOLDEN;
        if is_golden || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = below.join(&name);
        let kind = entry.file_type().map_err(failed)?;
        let refuse = |reason: &str| PublishError::Package { path: folder.join(&path), reason: reason.to_owned() };
        if kind.is_symlink() {
            resolve_external(folder, &path.to_string_lossy(), folders)
                .map_err(|reason| refuse(&format!("is refused: {reason}")))?;
        }
        if kind.is_dir() {
            if path.components().count() >= FilePath::MAX_PARTS {
                return Err(refuse("lies too deep: a model goes down at most 16 folders"));
            }
            walk(folder, &path, folders, files)?;
        } else if kind.is_file() || kind.is_symlink() {
            if files.len() == FILES_MAX {
                let reason = format!("holds more than {FILES_MAX} files, the most that a model has");
                return Err(PublishError::Package { path: folder.to_owned(), reason });
            }
            files.push(FilePath::from_relative(&path)?);
        } else {
            return Err(refuse("is no plain file"));
        }
    }
    Ok(())
}
