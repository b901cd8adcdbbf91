//! Finding versions by name, tag, property.

use std::str::FromStr;

use super::{ModelRef, ModelVersion, Models, RegistryError};
use crate::name::Name;

/// What is looked for. All of it has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelQuery {
    pub name: Option<Name>,
    pub tags: Vec<Pair>,
    pub properties: Vec<Pair>,
    pub only: Only,
    pub archived: Archived,
}

/// `key`, whatever its value, or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: String,
    pub value: Option<String>,
}

/// How many of each model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    #[default]
    All,
    /// The latest that the rest of the query finds.
    Latest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archived {
    #[default]
    LeftOut,
    Included,
}

impl FromStr for Pair {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Pair, RegistryError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(RegistryError::Invalid(format!("'{text}' names no key: give key, or key=value")));
        }
        Ok(Pair { key: key.to_owned(), value })
    }
}

impl Pair {
    fn is_among(&self, pairs: &std::collections::BTreeMap<String, String>) -> bool {
        let found = pairs.get(&self.key);
        found.is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }
}

impl ModelQuery {
    fn fits(&self, version: &ModelVersion) -> bool {
        let meta = &version.meta;
        !meta.deleted
            && (self.archived == Archived::Included || !meta.archived)
            && self.tags.iter().all(|tag| tag.is_among(&meta.tags))
            && self.properties.iter().all(|property| property.is_among(&meta.properties))
    }
}

impl Models {
    /// The versions that a query finds: by name, the newest first.
    pub async fn search(&self, query: &ModelQuery) -> Result<Vec<ModelVersion>, RegistryError> {
        let names = match &query.name {
            Some(name) => vec![name.clone()],
            None => self.names().await?,
        };
        let mut found = Vec::new();
        for name in names {
            for version in self.version_numbers(&name).await?.rev() {
                let model = ModelRef { name: name.clone(), version };
                let Some(version) = self.find(&model).await?.filter(|version| query.fits(version)) else { continue };
                found.push(version);
                if query.only == Only::Latest {
                    break;
                }
            }
        }
        Ok(found)
    }
}
