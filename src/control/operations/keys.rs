//! The keys of endpoints: made when an endpoint is new, shown once, replaced one at a time.

use serde::Serialize;

use super::{OperationError, Operations};
use crate::auth::{Key, Slot};
use crate::control::{keys_used, statuses};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Change, Digest, EndpointKeys, RegistryError, Revision, StoredKey};

/// Both keys as they are to be given to their owner, who will not be shown them again.
#[derive(Clone, Debug)]
pub struct FreshKeys {
    pub primary: Key,
    pub secondary: Key,
}

/// What is shown of a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyView {
    /// `primary` or `secondary`.
    pub slot: &'static str,
    pub id: String,
    pub created: Moment,
    pub age_s: u64,
    /// To the minute, by what replicas have said since; `None`: never, as far as they have said.
    pub last_used: Option<Moment>,
}

impl Operations {
    /// Makes new keys for an endpoint, whatever it had before.
    pub(super) async fn make_keys(&self, endpoint: &Name, change: &Change) -> Result<FreshKeys, OperationError> {
        let generate = || Key::generate().map_err(OperationError::Random);
        let fresh = FreshKeys { primary: generate()?, secondary: generate()? };
        let stored = |key: &Key| stored(key, change);
        let body = EndpointKeys { primary: stored(&fresh.primary), secondary: stored(&fresh.secondary) };
        self.registry.endpoint_keys(endpoint).update(change, |_| Ok(Some(body.clone()))).await?;
        Ok(fresh)
    }

    /// The keys of an endpoint, the primary one first: their ids, ages and last uses.
    pub async fn keys(&self, endpoint: &Name, now: Moment) -> Result<Vec<KeyView>, OperationError> {
        self.current(endpoint).await?;
        let keys = self.registry.endpoint_keys(endpoint).latest().await?;
        let none = || RegistryError::NotFound { what: format!("key of endpoint {endpoint}") };
        let EndpointKeys { primary, secondary } = keys.ok_or_else(none)?.body;
        let used = keys_used(statuses(&self.registry, endpoint).await?.values());
        let view = |(slot, key): (Slot, StoredKey)| KeyView {
            slot: slot.name(),
            created: key.created,
            age_s: now.since(key.created).as_secs(),
            last_used: used.get(&key.id).copied(),
            id: key.id,
        };
        Ok([(Slot::Primary, primary), (Slot::Secondary, secondary)].map(view).into())
    }

    /// Replaces one key. Clients with the other one notice nothing.
    pub async fn rotate_key(&self, endpoint: &Name, slot: Slot, change: &Change) -> Result<Key, OperationError> {
        self.current(endpoint).await?;
        let generate = || Key::generate().map_err(OperationError::Random);
        // Whoever made the endpoint may have gone before they made its keys; the other one is then nobody's.
        let (key, nobodys) = (generate()?, generate()?);
        let replace = |latest: Option<&Revision<EndpointKeys>>| {
            let none = || EndpointKeys { primary: stored(&nobodys, change), secondary: stored(&nobodys, change) };
            let mut keys = latest.map_or_else(none, |latest| latest.body.clone());
            *match slot {
                Slot::Primary => &mut keys.primary,
                Slot::Secondary => &mut keys.secondary,
            } = stored(&key, change);
            Ok(Some(keys))
        };
        self.registry.endpoint_keys(endpoint).update(change, replace).await?;
        Ok(key)
    }
}

fn stored(key: &Key, change: &Change) -> StoredKey {
    StoredKey { id: key.digest().id(), sha256: Digest::of(key.reveal().as_bytes()), created: change.at }
}
