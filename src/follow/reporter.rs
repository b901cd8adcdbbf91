//! Writes what this server has counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Identity;
use super::follower::Waits;
use super::trouble::Trouble;
use crate::control::ReplicaStatus;
use crate::deployment::{Entry, Routing, Statistics};
use crate::experiment::Ledger;
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Registry, RegistryError};

/// A status that has not changed is written again after this many seconds, so that a replica that lives can be told from one
/// that does not.
const HEARTBEAT_S: u64 = 30;

/// What this replica says of each endpoint.
#[derive(Debug)]
pub struct Reporter {
    registry: Registry,
    routing: Arc<Routing>,
    replica: Arc<Identity>,
    waits: Waits,
    sequence: u64,
    endpoints: BTreeMap<Name, Told>,
    trouble: Trouble,
}

/// What was told of one endpoint.
#[derive(Debug)]
struct Told {
    /// From the time before this start.
    before: Ledger,
    statistics: Arc<Statistics>,
    last: Option<ReplicaStatus>,
}

impl Reporter {
    pub fn new(registry: Registry, routing: Arc<Routing>, replica: Arc<Identity>, waits: Waits) -> Reporter {
        Reporter {
            registry,
            routing,
            replica,
            waits,
            sequence: 0,
            endpoints: BTreeMap::new(),
            trouble: Trouble::default(),
        }
    }

    /// Writes what has changed, of every endpoint that is of the registry. What cannot be written now is written next time.
    pub async fn report(&mut self, now: Moment) {
        let entries: Vec<(Name, Entry)> =
            self.routing.table().entries().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        for (name, entry) in entries.into_iter().filter(|(_, entry)| entry.revision.is_some()) {
            match self.report_endpoint(&name, &entry, now).await {
                Ok(()) => self.trouble.is_over(&name),
                Err(error) if self.trouble.is_new(&name, &error) => {
                    tracing::warn!(endpoint = %name, %error, "status not written; it is tried again");
                }
                Err(_) => {}
            }
        }
    }

    async fn report_endpoint(&mut self, name: &Name, entry: &Entry, now: Moment) -> Result<(), RegistryError> {
        if !self.endpoints.contains_key(name) {
            // Whoever overwrote what was not read first would lose the counts of earlier starts.
            if !is_there(&self.registry, name, entry).await? {
                return Ok(());
            }
            let before = self.earlier(name).await?;
            let told = Told { before, statistics: Arc::default(), last: None };
            self.endpoints.insert(name.clone(), told);
        }
        let Some(told) = self.endpoints.get_mut(name) else { return Ok(()) };
        if let Some(endpoint) = &entry.endpoint {
            told.statistics = Arc::clone(&endpoint.statistics);
        }
        self.sequence += 1;
        let mut ledger = told.before.clone();
        ledger.take(&self.replica.incarnation, told.statistics.counts(self.sequence));
        ledger.compact(&self.replica.incarnation);
        let waits_for = self.waits.of(name);
        let status = ReplicaStatus { waits_for, ..ReplicaStatus::of(entry, ledger, now) };
        if told.last.as_ref().is_some_and(|last| says_the_same(last, &status, &self.replica.incarnation)) {
            return Ok(());
        }
        if !is_there(&self.registry, name, entry).await? {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&status).map_err(|error| RegistryError::Invalid(error.to_string()))?;
        self.registry.put_status(name, &self.replica.name, bytes.into()).await?;
        told.last = Some(status);
        Ok(())
    }

    /// What this replica has counted under its name before.
    async fn earlier(&self, endpoint: &Name) -> Result<Ledger, RegistryError> {
        let statuses = self.registry.statuses(endpoint).await?;
        let own = statuses.into_iter().find(|status| status.replica == self.replica.name);
        let read = own.and_then(|status| {
            let read = serde_json::from_slice::<ReplicaStatus>(&status.bytes);
            read.inspect_err(|error| tracing::error!(%endpoint, %error, "this replica's own status is damaged")).ok()
        });
        Ok(read.map(|status| status.ledger).unwrap_or_default())
    }
}

/// Whether the registry is where it was. To write to a folder that has been taken away, such as one that is not mounted now, would
/// make a new one in its place.
async fn is_there(registry: &Registry, name: &Name, entry: &Entry) -> Result<bool, RegistryError> {
    let revision = registry.endpoint(name).read(entry.revision.unwrap_or_default()).await?;
    Ok(revision.is_some())
}

/// Whether nothing but the time and the sequence number are new, and the time hardly is.
fn says_the_same(last: &ReplicaStatus, newer: &ReplicaStatus, incarnation: &str) -> bool {
    let (ours, theirs) = (last.ledger.counts(incarnation), newer.ledger.counts(incarnation));
    newer.at.since(last.at).as_secs() < HEARTBEAT_S
        && (last.revision, &last.state, &last.deployments, &last.waits_for)
            == (newer.revision, &newer.state, &newer.deployments, &newer.waits_for)
        && ours.map(|counts| &counts.revisions) == theirs.map(|counts| &counts.revisions)
}
