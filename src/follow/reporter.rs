//! Writes what this server has counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Identity;
use super::follower::Waits;
use super::trouble::Trouble;
use crate::auth::WatchedRing;
use crate::control::{HEARTBEAT_S, ReplicaStatus};
use crate::deployment::{Endpoint, Entry, Routing, Statistics};
use crate::experiment::Ledger;
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Registry, RegistryError};

/// What this replica says of each endpoint.
#[derive(Debug)]
pub struct Reporter {
    registry: Registry,
    routing: Arc<Routing>,
    replica: Arc<Identity>,
    waits: Waits,
    /// How often it is asked to report.
    every: Duration,
    sequence: u64,
    has_ended: bool,
    endpoints: BTreeMap<Name, Told>,
    trouble: Trouble,
}

/// What was told of one endpoint.
#[derive(Debug)]
struct Told {
    /// From the time before this start.
    before: Ledger,
    statistics: Arc<Statistics>,
    /// When the keys that hold were last used, by this start or an earlier one.
    keys_used: BTreeMap<String, Moment>,
    last: Option<ReplicaStatus>,
}

impl Reporter {
    /// `every`: how often [`Reporter::report`] is going to be called.
    pub fn new(
        registry: Registry,
        routing: Arc<Routing>,
        replica: Arc<Identity>,
        waits: Waits,
        every: Duration,
    ) -> Reporter {
        Reporter {
            registry,
            routing,
            replica,
            waits,
            every,
            sequence: 0,
            has_ended: false,
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

    /// Reports for the last time.
    pub async fn end(&mut self, now: Moment) {
        self.has_ended = true;
        self.report(now).await;
    }

    async fn report_endpoint(&mut self, name: &Name, entry: &Entry, now: Moment) -> Result<(), RegistryError> {
        if !self.endpoints.contains_key(name) {
            // Whoever overwrote what was not read first would lose the counts of earlier starts.
            if !is_there(&self.registry, name, entry).await? {
                return Ok(());
            }
            let earlier = self.earlier(name).await?;
            let (before, keys_used) = earlier.map(|status| (status.ledger, status.keys_used)).unwrap_or_default();
            let told = Told { before, statistics: Arc::default(), keys_used, last: None };
            self.endpoints.insert(name.clone(), told);
        }
        let Some(told) = self.endpoints.get_mut(name) else { return Ok(()) };
        if let Some(endpoint) = &entry.endpoint {
            told.statistics = Arc::clone(&endpoint.statistics);
            told.take_uses(endpoint);
        }
        self.sequence += 1;
        let mut ledger = told.before.clone();
        ledger.take(&self.replica.incarnation, told.statistics.counts(self.sequence));
        ledger.compact(&self.replica.incarnation);
        let waits_for = self.waits.of(name);
        let next_s = HEARTBEAT_S + self.every.as_secs();
        let said = ReplicaStatus::of(entry, ledger, now, next_s);
        let keys_used = told.keys_used.clone();
        let status = ReplicaStatus { ended: self.has_ended, keys_used, waits_for, ..said };
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

    /// What this replica has said under its name before.
    async fn earlier(&self, endpoint: &Name) -> Result<Option<ReplicaStatus>, RegistryError> {
        let statuses = self.registry.statuses(endpoint).await?;
        let own = statuses.into_iter().find(|status| status.replica == self.replica.name);
        Ok(own.and_then(|status| {
            let read = serde_json::from_slice::<ReplicaStatus>(&status.bytes);
            read.inspect_err(|error| tracing::error!(%endpoint, %error, "this replica's own status is damaged")).ok()
        }))
    }
}

impl Told {
    /// Takes over when the endpoint's keys were used. Those that hold no more are forgotten.
    fn take_uses(&mut self, endpoint: &Endpoint) {
        let uses = endpoint.keys.iter().flat_map(WatchedRing::uses);
        let known = |(id, used): (String, Option<Moment>)| {
            let used = used.max(self.keys_used.get(&id).copied())?;
            Some((id, used))
        };
        self.keys_used = uses.filter_map(known).collect();
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
        && (last.ended, last.revision, &last.state, &last.deployments, &last.keys_used, &last.waits_for)
            == (newer.ended, newer.revision, &newer.state, &newer.deployments, &newer.keys_used, &newer.waits_for)
        && ours.map(|counts| &counts.revisions) == theirs.map(|counts| &counts.revisions)
}
