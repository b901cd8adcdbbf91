//! The registry as its users see it: logs of revisions, models, and the status of replicas.

use std::sync::Arc;

use bytes::Bytes;

use super::store::Store;
use super::{Access, EndpointKeys, EndpointSpec, RegistryError, RegistryUrl, RevisionLog};
use crate::name::Name;

/// An open registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Arc<Store>,
}

/// What a replica last said of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub replica: Name,
    pub bytes: Bytes,
}

impl Registry {
    /// Opens the registry at a URL. A store in a network is not reached for yet.
    pub fn open(url: &RegistryUrl, access: &Access) -> Result<Registry, RegistryError> {
        url.open(access).map(Registry::over)
    }

    /// A registry in a store that is open already.
    pub fn over(store: Store) -> Registry {
        Registry { store: Arc::new(store) }
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The desired state of an endpoint, revision by revision.
    pub fn endpoint(&self, name: &Name) -> RevisionLog<EndpointSpec> {
        let folder = self.store.path(["endpoints", name.as_str()]);
        RevisionLog::new(&self.store, folder, format!("endpoint {name}"))
    }

    /// The keys of an endpoint, revision by revision.
    pub fn endpoint_keys(&self, name: &Name) -> RevisionLog<EndpointKeys> {
        let folder = self.store.path(["endpoints", name.as_str(), "keys"]);
        RevisionLog::new(&self.store, folder, format!("the keys of endpoint {name}"))
    }

    /// All endpoints that there are, or have been: a deleted one says so in its latest revision.
    pub async fn endpoints(&self) -> Result<Vec<Name>, RegistryError> {
        let listing = self.store.list(&self.store.path(["endpoints"])).await?;
        Ok(listing.folders.iter().filter_map(|name| Name::parse(name).ok()).collect())
    }

    /// Replaces what this replica says of an endpoint.
    pub async fn put_status(&self, endpoint: &Name, replica: &Name, bytes: Bytes) -> Result<(), RegistryError> {
        let object = format!("{replica}.json");
        self.store.overwrite(&self.store.path(["status", endpoint.as_str(), &object]), bytes).await
    }

    /// What every replica last said of an endpoint, those that are gone too.
    pub async fn statuses(&self, endpoint: &Name) -> Result<Vec<Status>, RegistryError> {
        let folder = self.store.path(["status", endpoint.as_str()]);
        let mut statuses = Vec::new();
        for object in self.store.list(&folder).await?.objects {
            let Some(replica) = object.name.strip_suffix(".json").and_then(|name| Name::parse(name).ok()) else {
                continue;
            };
            if let Some(bytes) = self.store.read(&folder.clone().join(object.name.as_str())).await? {
                statuses.push(Status { replica, bytes });
            }
        }
        Ok(statuses)
    }

    /// Forgets what a replica said of an endpoint.
    pub async fn delete_status(&self, endpoint: &Name, replica: &Name) -> Result<(), RegistryError> {
        let object = format!("{replica}.json");
        self.store.delete(&self.store.path(["status", endpoint.as_str(), &object])).await
    }
}
