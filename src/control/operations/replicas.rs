//! What every server says of an endpoint: how far each has come with what is wanted, and why not further.

use serde::Serialize;

use crate::control::{DeploymentStatus, ReplicaStatus};
use crate::moment::Moment;
use crate::name::Name;

/// One replica, by what it said last.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaView {
    pub replica: Name,
    pub standing: ReplicaStanding,
    /// When it said so, and how long ago that is by the clock of whoever asks.
    pub at: Moment,
    pub age_s: u64,
    /// The revision that it brings about, or has.
    pub revision: Option<u64>,
    pub state: String,
    /// A deployment that is being replaced is there twice.
    pub deployments: Vec<DeploymentStatus>,
    /// What a rollout waits for, as this replica sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Whether what a replica said last can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaStanding {
    /// It goes on saying so.
    Reporting,
    /// It has ended in order.
    Ended,
    /// It should have said something since: it was killed, or cannot reach the registry. It may serve on nevertheless.
    Stale,
}

impl ReplicaStanding {
    pub const fn name(self) -> &'static str {
        match self {
            ReplicaStanding::Reporting => "reporting",
            ReplicaStanding::Ended => "ended",
            ReplicaStanding::Stale => "stale",
        }
    }
}

impl ReplicaView {
    pub fn of(replica: Name, status: ReplicaStatus, now: Moment) -> ReplicaView {
        let standing = match (status.ended, status.is_stale(now)) {
            (true, _) => ReplicaStanding::Ended,
            (false, true) => ReplicaStanding::Stale,
            (false, false) => ReplicaStanding::Reporting,
        };
        let age_s = now.since(status.at).as_secs();
        let ReplicaStatus { at, revision, state, deployments, waits_for, .. } = status;
        ReplicaView { replica, standing, at, age_s, revision, state, deployments, waits_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> ReplicaStatus {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_replica_is_stale_once_it_has_missed_what_it_promised() {
        let said =
            |more: &str| status(&format!(r#"{{"at": "2026-11-21T13:05:00Z", "revision": 3, "state": "ready"{more}}}"#));
        let standing = |status: ReplicaStatus, seconds: u64| {
            let now = Moment::from_seconds(status.at.seconds() + seconds);
            let view = ReplicaView::of(Name::parse("r1").unwrap(), status, now);
            assert_eq!(view.age_s, seconds);
            view.standing
        };
        assert_eq!(standing(said(""), 90), ReplicaStanding::Reporting);
        assert_eq!(standing(said(""), 91), ReplicaStanding::Stale);
        assert_eq!(standing(said(r#", "next_s": 600"#), 1_800), ReplicaStanding::Reporting);
        assert_eq!(standing(said(r#", "next_s": 600"#), 1_801), ReplicaStanding::Stale);
        assert_eq!(standing(said(r#", "ended": true"#), 1_000_000), ReplicaStanding::Ended);
    }
}
