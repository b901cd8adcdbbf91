//! Documents that have been made, for as long as the routing table is the one they were made from.
//!
//! The data plane fills it when a document is asked for; whoever publishes a table does not know of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::etag::ETag;
use crate::deployment::RoutingTable;
use crate::name::Name;
use crate::openapi::Version;

/// A document as it is sent.
#[derive(Clone, Debug)]
pub struct Made {
    pub json: Bytes,
    pub tag: ETag,
}

/// The documents of the table in force.
#[derive(Debug, Default)]
pub struct DocumentCache(ArcSwapOption<Generation>);

impl DocumentCache {
    /// The document of an endpoint, or of the whole server, that `table` gives; made by `make` if nobody has asked before.
    ///
    /// Those who ask for one document at the same time wait for the first of them; others do not.
    pub fn get(
        &self,
        table: &Arc<RoutingTable>,
        endpoint: Option<&Name>,
        version: Version,
        make: impl FnOnce() -> serde_json::Value,
    ) -> Made {
        let generation = self.generation(table);
        let versions = match endpoint {
            None => &generation.server,
            Some(name) => match generation.endpoints.get(name) {
                Some(versions) => versions,
                None => return Made::new(&make()),
            },
        };
        versions.of(version).get_or_init(|| Made::new(&make())).clone()
    }

    fn generation(&self, table: &Arc<RoutingTable>) -> Arc<Generation> {
        match self.0.load_full() {
            Some(current) if current.is_of(table) => current,
            _ => {
                let next = Arc::new(Generation::new(table));
                // Two tables whose last readers meet here may replace each other. That costs work, and no answer is wrong.
                self.0.store(Some(Arc::clone(&next)));
                next
            }
        }
    }
}

impl Made {
    fn new(document: &serde_json::Value) -> Made {
        let json = Bytes::from(document.to_string());
        Made { tag: ETag::of(&json), json }
    }
}

/// What was made from one table.
#[derive(Debug)]
struct Generation {
    /// Weak, so that models which are no longer served go. Its address stays taken, and is no later table's.
    table: Weak<RoutingTable>,
    server: Versions,
    endpoints: BTreeMap<Name, Versions>,
}

impl Generation {
    fn new(table: &Arc<RoutingTable>) -> Generation {
        Generation {
            table: Arc::downgrade(table),
            server: Versions::default(),
            endpoints: table.entries().map(|(name, _)| (name.clone(), Versions::default())).collect(),
        }
    }

    fn is_of(&self, table: &Arc<RoutingTable>) -> bool {
        std::ptr::eq(self.table.as_ptr(), Arc::as_ptr(table))
    }
}

/// A document in each version.
#[derive(Debug, Default)]
struct Versions([OnceLock<Made>; Version::ALL.len()]);

impl Versions {
    fn of(&self, version: Version) -> &OnceLock<Made> {
        // `Version::ALL` lists the variants in the order of their declaration.
        &self.0[version as usize]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::deployment::{Beginning, Entry};

    fn table(names: &[&str]) -> Arc<RoutingTable> {
        let entries = names.iter().map(|name| (Name::parse(name).unwrap(), Entry::loading())).collect();
        Arc::new(RoutingTable::new(entries, None, Beginning::Over))
    }

    fn never() -> Json {
        panic!("it has been made already")
    }

    #[test]
    fn a_document_is_made_once_for_each_version_and_endpoint() {
        let (cache, table) = (DocumentCache::default(), table(&["a"]));
        let a = Name::parse("a").unwrap();
        let keys = Version::ALL.into_iter().flat_map(|version| [(None, version), (Some(&a), version)]);
        let made: Vec<_> = keys
            .map(|(endpoint, version)| {
                let text = format!("{endpoint:?} {version:?}");
                let first = cache.get(&table, endpoint, version, || json!(text));
                assert_eq!(first.json, json!(text).to_string());
                let second = cache.get(&table, endpoint, version, never);
                assert_eq!((first.json.as_ptr(), &first.tag), (second.json.as_ptr(), &second.tag));
                first.tag
            })
            .collect();
        assert!(made.iter().enumerate().all(|(index, tag)| !made[..index].contains(tag)), "all of them differ");
    }

    #[test]
    fn another_table_makes_them_anew_and_the_old_one_goes() {
        let (cache, old) = (DocumentCache::default(), table(&[]));
        cache.get(&old, None, Version::V2, || json!("old"));
        let gone = Arc::downgrade(&old);
        drop(old);
        assert_eq!(gone.strong_count(), 0, "the cache keeps no table");
        let next = table(&[]);
        assert_eq!(cache.get(&next, None, Version::V2, || json!("next")).json, "\"next\"");
        assert_eq!(cache.get(&next, None, Version::V2, never).json, "\"next\"");
    }
}
