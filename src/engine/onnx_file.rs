//! An ONNX file on disk: read whole under a bound, and remembered, so that it can be seen whether it is still the same.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::external_data::Way;
use super::{GraphError, file_kind, onnx};

/// The longest message of protobuf, and so of ONNX (protobuf.dev, "Proto Limits").
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// A file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    pub path: PathBuf,
    pub bytes: u64,
    identity: Identity,
    /// How it was reached, if that can change by itself.
    way: Option<Way>,
}

/// What differs between two files, or between two states of one: device, inode, and the times in nanoseconds. The time of the
/// last change of status cannot be set by anybody, so that a file which was moved away and back has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub modified: (i64, i64),
    pub changed: (i64, i64),
}

impl FileState {
    pub(super) fn new(path: PathBuf, bytes: u64, identity: Identity) -> FileState {
        FileState { path, bytes, identity, way: None }
    }

    pub(super) fn by_way(self, way: Way) -> FileState {
        FileState { way: Some(way), ..self }
    }

    fn of(path: PathBuf, metadata: &Metadata) -> FileState {
        let identity = Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        FileState { path, bytes: metadata.len(), identity, way: None }
    }

    /// Whether its path still leads to the same file, and nobody has touched it.
    pub fn is_unchanged(&self) -> bool {
        let now = fs::metadata(&self.path).map(|metadata| FileState::of(self.path.clone(), &metadata));
        now.is_ok_and(|now| now.identity == self.identity && now.bytes == self.bytes)
            && self.way.as_ref().is_none_or(Way::is_unchanged)
    }
}

/// The folder in which a model's other files lie.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Reads a model's file, which has a graph then.
pub fn read(path: &Path) -> Result<(onnx::Model, FileState), GraphError> {
    let not_read = |source: io::Error| GraphError::Read { path: path.to_owned(), source };
    // Before it is opened: opening a pipe waits for its other end, and a device may never end.
    if !fs::metadata(path).map_err(not_read)?.is_file() {
        return Err(not_read(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")));
    }
    let file = File::open(path).map_err(not_read)?;
    let state = FileState::of(path.to_owned(), &file.metadata().map_err(not_read)?);
    if state.bytes >= BYTES_MAX {
        return Err(GraphError::TooLarge { path: path.to_owned(), bytes: state.bytes });
    }
    // In one piece: growing would copy it, and have twice as much for a while.
    let mut bytes = Vec::with_capacity(usize::try_from(state.bytes).unwrap_or_default());
    // A file that grows meanwhile is read no further than it was long.
    file.take(state.bytes).read_to_end(&mut bytes).map_err(not_read)?;
    Ok((parse(bytes.into(), path)?, state))
}

/// Reads a model from the bytes of its file, which has a graph then.
pub fn parse(bytes: Bytes, path: &Path) -> Result<onnx::Model, GraphError> {
    decode(bytes).map_err(|reason| GraphError::NotOnnx { path: path.to_owned(), reason })
}

fn decode(bytes: Bytes) -> Result<onnx::Model, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let explain = |reason: String| file_kind::explain(&bytes).unwrap_or(reason);
    let model = onnx::Model::decode(bytes.clone()).map_err(|error| explain(error.to_string()))?;
    if model.graph.is_none() {
        return Err(explain("it holds no graph".to_owned()));
    }
    Ok(model)
}
