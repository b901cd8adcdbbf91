//! What a Triton model repository says of its models besides the models: `config.pbtxt`, labels and warm-up samples.
//!
//! Reads a `config.pbtxt` strictly against the fields of Triton's `model_config.proto` and turns what speaks of ONNX models into
//! settings of the endpoint. What has no meaning here is a [`Notice`], with its place and the reason; what would have the model
//! answer otherwise than the file promises is a fault, and the model is not served. No such file is ever needed. Loads no
//! models; called by `control`.

mod batching;
mod draft;
mod instances;
mod labels;
mod model_config;
mod schema;
mod tensors;
mod versions;
mod warm_up;

use std::fmt;
use std::path::{Path, PathBuf};

pub use labels::{LabelError, labels};
pub use model_config::{ConfigFileError, ModelConfig};
pub use versions::VersionPolicy;
pub use warm_up::{WarmUp, WarmUpError};

use crate::pbtxt::Place;

/// The file of a model's folder that holds its configuration.
pub const CONFIG_FILE: &str = "config.pbtxt";

/// Something of a configuration that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub place: Place,
    /// As the file names it.
    pub field: String,
    pub reason: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.field, self.reason)
    }
}

/// A setting of the endpoint, as its key and its value's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    pub text: String,
    pub place: Place,
}

/// A file that a configuration names, inside `folder`: one plain name, or several of folders and a file.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (is_plain && !name.is_empty()).then(|| folder.join(path))
}

#[cfg(test)]
mod tests;
