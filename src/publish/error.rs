//! Why something cannot be registered. The texts are for who registers it.

use std::io;
use std::path::PathBuf;

use crate::engine::GraphError;
use crate::error::ErrorKind;
use crate::registry::InvalidFilePath;

/// Why a file or folder is no version of a model.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} {reason}", path.display())]
    Package { path: PathBuf, reason: String },
    #[error(transparent)]
    Path(#[from] InvalidFilePath),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("the model cannot be served, and is not registered: {reason}")]
    Trial { reason: String },
    #[error("the sample {} is refused: {reason}", path.display())]
    Sample { path: PathBuf, reason: String },
    #[error("the golden requests in {} are refused: {reason}", path.display())]
    Golden { path: PathBuf, reason: String },
}

impl PublishError {
    /// What class of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            PublishError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorKind::NotFound,
            PublishError::Graph(GraphError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            _ => ErrorKind::BadInput,
        }
    }
}
