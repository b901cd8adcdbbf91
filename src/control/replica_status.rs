//! What a replica says of an endpoint: `status/<endpoint>/<replica>.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::deployment::{Entry, State};
use crate::experiment::Ledger;
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Registry, RegistryError};

/// Written whole, again and again. Fields may be added; what is unknown is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    pub at: Moment,
    /// The next one follows within so many seconds; one that does not is from a replica that has gone, or cannot reach the
    /// registry.
    #[serde(default = "usual_next_s")]
    pub next_s: u64,
    /// Whether it is the last one of a replica that has ended in order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// The revision that the replica brings about, or has.
    pub revision: Option<u64>,
    pub state: String,
    #[serde(default)]
    pub deployments: Vec<DeploymentStatus>,
    /// When the endpoint's keys were last used here, to the minute, by the keys' public names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys_used: BTreeMap<String, Moment>,
    /// What a rollout waits for, as this replica sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What this replica and those before it under its name have counted.
    #[serde(default)]
    pub ledger: Ledger,
}

/// One deployment on one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    pub name: Name,
    pub model: String,
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A status that has not changed is written again after this many seconds, so that a replica that lives can be told from one
/// that does not.
pub const HEARTBEAT_S: u64 = 30;

/// Heartbeats that a replica may miss: one write may fail, and clocks differ.
const MISSED_MAX: u64 = 3;

fn usual_next_s() -> u64 {
    HEARTBEAT_S
}

impl ReplicaStatus {
    /// What is to be said of an endpoint; the next time, within `next_s` seconds.
    pub fn of(entry: &Entry, ledger: Ledger, at: Moment, next_s: u64) -> ReplicaStatus {
        let deployments = entry.deployments.iter().map(|standing| DeploymentStatus {
            name: standing.name.clone(),
            model: standing.model.clone(),
            state: standing.state.name().to_owned(),
            reason: match &standing.state {
                State::Failed { reason } => Some(reason.clone()),
                _ => standing.note.clone(),
            },
        });
        let deployments = deployments.collect();
        let (revision, state) = (entry.revision, entry.state.name().to_owned());
        ReplicaStatus {
            at,
            next_s,
            ended: false,
            revision,
            state,
            deployments,
            keys_used: BTreeMap::new(),
            waits_for: None,
            ledger,
        }
    }

    /// Whether nothing has been heard for longer than the replica has promised.
    pub fn is_stale(&self, now: Moment) -> bool {
        now.since(self.at) > Duration::from_secs(self.next_s.saturating_mul(MISSED_MAX))
    }
}

/// What every replica last said of an endpoint. A file that cannot be understood is passed over, and told of.
pub async fn statuses(registry: &Registry, endpoint: &Name) -> Result<BTreeMap<Name, ReplicaStatus>, RegistryError> {
    let mut read = BTreeMap::new();
    for status in registry.statuses(endpoint).await? {
        match serde_json::from_slice(&status.bytes) {
            Ok(said) => drop(read.insert(status.replica, said)),
            Err(error) => tracing::warn!(%endpoint, replica = %status.replica, %error, "a replica's status is damaged"),
        }
    }
    Ok(read)
}

/// When each key of an endpoint was last used at any replica, by the keys' public names.
pub fn keys_used<'a>(statuses: impl IntoIterator<Item = &'a ReplicaStatus>) -> BTreeMap<String, Moment> {
    let mut latest = BTreeMap::new();
    for (id, at) in statuses.into_iter().flat_map(|status| &status.keys_used) {
        let known: &mut Moment = latest.entry(id.clone()).or_default();
        *known = (*known).max(*at);
    }
    latest
}

/// What all replicas have counted.
pub fn ledger<'a>(statuses: impl IntoIterator<Item = &'a ReplicaStatus>) -> Ledger {
    let mut ledger = Ledger::default();
    statuses.into_iter().for_each(|status| ledger.merge(&status.ledger));
    ledger
}
