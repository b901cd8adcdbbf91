//! What can be said of a version after it was registered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Manifest, ModelRef, RegistryError};

/// The most bytes of a key, of a value, and the most pairs that a version has of either kind.
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 4_096;
const PAIRS_MAX: usize = 64;
const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// Tags change, properties only come to be; a version that is archived is found only by who asks for it, one that is deleted is
/// gone but for its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelMeta {
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub deleted: bool,
}

impl ModelMeta {
    /// What a manifest says, which holds until there is a revision.
    pub fn of(manifest: &Manifest) -> ModelMeta {
        let Manifest { tags, properties, description, .. } = manifest.clone();
        ModelMeta { tags, properties, description, archived: false, deleted: false }
    }

    /// Adds properties. One that is there already may be said again, but not otherwise.
    pub fn add_properties(
        &mut self,
        model: &ModelRef,
        properties: &BTreeMap<String, String>,
    ) -> Result<(), RegistryError> {
        for (key, value) in properties {
            match self.properties.get(key) {
                Some(old) if old != value => {
                    let (model, key, old) = (model.clone(), key.clone(), old.clone());
                    return Err(RegistryError::PropertyFixed { model, key, old });
                }
                _ => drop(self.properties.insert(key.clone(), value.clone())),
            }
        }
        Ok(())
    }

    /// Whether all of it is short enough to be kept and shown.
    pub fn check(&self) -> Result<(), RegistryError> {
        check_pairs("tag", &self.tags)?;
        check_pairs("property", &self.properties)?;
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            let got = self.description.len();
            return Err(RegistryError::Invalid(format!(
                "a description has at most {DESCRIPTION_BYTES_MAX} bytes, this one has {got}"
            )));
        }
        Ok(())
    }
}

fn check_pairs(kind: &str, pairs: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    let refuse = |text: String| Err(RegistryError::Invalid(text));
    if pairs.len() > PAIRS_MAX {
        return refuse(format!(
            "a version has at most {PAIRS_MAX} of each kind, tags or properties; got {}",
            pairs.len()
        ));
    }
    for (key, value) in pairs {
        let is_plain = !key.is_empty() && !key.contains('=') && !key.chars().any(char::is_control);
        if !is_plain || key.len() > KEY_BYTES_MAX {
            let key = key.escape_debug();
            return refuse(format!(
                "'{key}' cannot be the key of a {kind}: use 1 to {KEY_BYTES_MAX} bytes without '=' and control characters"
            ));
        }
        if value.len() > VALUE_BYTES_MAX {
            return refuse(format!(
                "the value of {kind} '{key}' has {} bytes; {VALUE_BYTES_MAX} are the most",
                value.len()
            ));
        }
    }
    Ok(())
}
