//! How people name a version: `ridge:3`, or `ridge` for its latest.

use std::fmt;
use std::str::FromStr;

use super::{ModelRef, ModelVersion, Models, RegistryError};
use crate::name::Name;

/// A model, and perhaps one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSelector {
    pub name: Name,
    /// `None`: the latest that is neither archived nor deleted.
    pub version: Option<u64>,
}

impl FromStr for ModelSelector {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<ModelSelector, RegistryError> {
        let (name, version) = match text.split_once(':') {
            None | Some((_, "latest")) => (text.split(':').next().unwrap_or_default(), None),
            Some((name, version)) => {
                let number = version.parse::<u64>().ok().filter(|number| *number > 0 && number.to_string() == version);
                let refuse =
                    || RegistryError::Invalid(format!("'{text}': a version is a number from 1 on, or 'latest'"));
                (name, Some(number.ok_or_else(refuse)?))
            }
        };
        let name = Name::parse(name).map_err(|error| RegistryError::Invalid(error.to_string()))?;
        Ok(ModelSelector { name, version })
    }
}

impl fmt::Display for ModelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}:{version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl Models {
    /// The version that is meant, if it can be used.
    pub async fn select(&self, selector: &ModelSelector) -> Result<ModelVersion, RegistryError> {
        match selector.version {
            Some(version) => self.usable(&ModelRef { name: selector.name.clone(), version }).await,
            None => {
                let missing = || RegistryError::NotFound { what: format!("model {selector}, or none that is in use") };
                self.latest(&selector.name).await?.ok_or_else(missing)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_number_or_by_nothing() {
        let parsed = |text: &str| text.parse::<ModelSelector>().map(|selector| selector.version);
        assert_eq!(parsed("ridge").unwrap(), None);
        assert_eq!(parsed("ridge:latest").unwrap(), None);
        assert_eq!(parsed("ridge:12").unwrap(), Some(12));
        for bad in ["", ":1", "ridge:", "ridge:0", "ridge:01", "ridge:-1", "ridge:1:2", "../x", "Ridge", "ridge:x"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
