//! What every server says of an endpoint, for people.

use super::columns::{age, columns, plain_long};
use crate::control::operations::{ReplicaStanding, ReplicaView};

/// Servers that have ended, or been silent, for longer than this many seconds are only counted: where each start has a state
/// folder of its own, there are many of them.
const REMEMBERED_S: u64 = 86_400;

/// A table with a row for each deployment on each server, and below it why those that failed did. `revision` is what all are to
/// bring about.
pub fn described(replicas: &[ReplicaView], revision: u64) -> String {
    let is_past =
        |replica: &&ReplicaView| replica.standing != ReplicaStanding::Reporting && replica.age_s > REMEMBERED_S;
    let (past, present): (Vec<_>, Vec<_>) = replicas.iter().partition(is_past);
    if present.is_empty() {
        let past = match past.len() {
            0 => String::new(),
            count => format!("; {count} did, more than a day ago"),
        };
        return format!("\n  no server says anything of it{past}\n");
    }
    let rows: Vec<_> = present.iter().flat_map(|replica| rows(replica, revision)).collect();
    let mut text = format!("\n{}", columns(&["REPLICA", "SAID", "REVISION", "DEPLOYMENT", "MODEL", "STATE"], &rows));
    for replica in &present {
        let name = &replica.replica;
        for deployment in &replica.deployments {
            if let Some(reason) = &deployment.reason {
                text += &format!("  {name}, {}: {}\n", deployment.name, plain_long(reason));
            }
        }
        if let Some(reason) = &replica.waits_for {
            text += &format!("  {name}, rollout: {}\n", plain_long(reason));
        }
    }
    if !past.is_empty() {
        text += &format!("  and {} that ended, or have been silent, for more than a day\n", past.len());
    }
    text
}

fn rows(replica: &ReplicaView, revision: u64) -> Vec<Vec<String>> {
    let mark = match replica.standing {
        ReplicaStanding::Reporting => String::new(),
        other => format!(" ({})", other.name()),
    };
    let got = match replica.revision {
        Some(got) if got == revision => got.to_string(),
        Some(got) => format!("{got} of {revision}"),
        None => "-".to_owned(),
    };
    let head = [format!("{}{mark}", replica.replica), format!("{} ago", age(replica.age_s)), got];
    let row = |cells: [String; 3]| head.iter().cloned().chain(cells).collect();
    if replica.deployments.is_empty() {
        return vec![row(["-".to_owned(), "-".to_owned(), replica.state.clone()])];
    }
    let deployments = replica.deployments.iter();
    deployments.map(|it| row([it.name.to_string(), it.model.clone(), it.state.clone()])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::ReplicaStatus;
    use crate::moment::Moment;
    use crate::name::Name;

    fn replica(name: &str, status: serde_json::Value, age_s: u64) -> ReplicaView {
        let status: ReplicaStatus = serde_json::from_value(status).unwrap();
        let now = Moment::from_seconds(status.at.seconds() + age_s);
        ReplicaView::of(Name::parse(name).unwrap(), status, now)
    }

    #[test]
    fn each_server_says_how_far_it_is_and_why_not_further() {
        let at = "2026-11-21T13:05:00Z";
        let failed =
            json!({ "name": "green", "model": "m:2", "state": "failed", "reason": "no such operator:\u{1b}[2J" });
        let ready = json!({ "name": "blue", "model": "m:1", "state": "ready" });
        let here = json!({ "at": at, "revision": 3, "state": "ready", "deployments": [ready, failed] });
        let gone = json!({ "at": at, "revision": 2, "state": "loading", "deployments": [] });
        let replicas = [replica("r1", here, 4), replica("r2", gone.clone(), 600), replica("r3", gone, 90_000)];
        assert_eq!(
            described(&replicas, 3),
            "\nREPLICA     SAID        REVISION  DEPLOYMENT  MODEL  STATE\n\
             r1          4 s ago     3         blue        m:1    ready\n\
             r1          4 s ago     3         green       m:2    failed\n\
             r2 (stale)  10 min ago  2 of 3    -           -      loading\n  \
             r1, green: no such operator:\\u{1b}[2J\n  \
             and 1 that ended, or have been silent, for more than a day\n"
        );
        assert_eq!(described(&[], 3), "\n  no server says anything of it\n");
    }
}
