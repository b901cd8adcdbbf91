//! What lies beside a model and describes it: the `config.pbtxt` of its folder.

use std::path::Path;
use std::sync::Arc;

use crate::triton::ModelConfig;

/// A model's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Description {
    /// There is none, and none is needed.
    #[default]
    None,
    Config(Arc<ModelConfig>),
    /// There is one that cannot be used: the model is not loaded, for this reason.
    Faulty(String),
}

impl Description {
    /// Reads the description in a model's folder.
    pub fn read(folder: &Path) -> Description {
        match ModelConfig::read(folder) {
            Ok(None) => Description::None,
            Ok(Some(config)) => Description::Config(Arc::new(config)),
            Err(error) => Description::Faulty(error.to_string()),
        }
    }

    pub fn config(&self) -> Option<&ModelConfig> {
        match self {
            Description::Config(config) => Some(config),
            Description::None | Description::Faulty(_) => None,
        }
    }
}
