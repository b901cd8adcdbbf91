//! What a replica says of an endpoint: `status/<endpoint>/<replica>.json`.

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
    /// The revision that the replica brings about, or has.
    pub revision: Option<u64>,
    pub state: String,
    #[serde(default)]
    pub deployments: Vec<DeploymentStatus>,
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

impl ReplicaStatus {
    pub fn of(entry: &Entry, ledger: Ledger, at: Moment) -> ReplicaStatus {
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
        ReplicaStatus { at, revision, state, deployments, waits_for: None, ledger }
    }
}

/// What every replica last said of an endpoint. A file that cannot be understood is passed over, and told of.
pub async fn statuses(registry: &Registry, endpoint: &Name) -> Result<Vec<ReplicaStatus>, RegistryError> {
    let mut read = Vec::new();
    for status in registry.statuses(endpoint).await? {
        match serde_json::from_slice(&status.bytes) {
            Ok(status) => read.push(status),
            Err(error) => tracing::warn!(%endpoint, replica = %status.replica, %error, "a replica's status is damaged"),
        }
    }
    Ok(read)
}

/// What all replicas have counted.
pub fn ledger(statuses: &[ReplicaStatus]) -> Ledger {
    let mut ledger = Ledger::default();
    statuses.iter().for_each(|status| ledger.merge(&status.ledger));
    ledger
}
