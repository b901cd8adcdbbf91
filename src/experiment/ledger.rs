//! The tallies of all replicas, added up so that a restart neither loses nor repeats one.
//!
//! Each start of a replica is an *incarnation* with an id of its own; it counts from nothing and writes all that it has counted,
//! again and again, with a growing sequence number. So the newest writing of an incarnation holds the older ones, and the sum
//! over incarnations holds everything once: a counter that only grows, in the sense of Shapiro, Preguiça, Baquero and
//! Zawirski, "A comprehensive study of convergent and commutative replicated data types" (2011). A replica that starts again
//! takes the incarnations before it from its own file and writes them along.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::name::Name;

/// Revisions that an incarnation keeps counts of: the newest ones. Older ones are not compared any more.
pub const REVISIONS_MAX: usize = 32;

/// Incarnations that a replica's file keeps; the counts of those beyond go into the oldest one kept.
pub const INCARNATIONS_MAX: usize = 16;

/// By deployment.
pub type Tallies = BTreeMap<Name, Tally>;

/// What one incarnation has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Grows with each writing.
    pub sequence: u64,
    /// By the endpoint's revision in force.
    pub revisions: BTreeMap<u64, Tallies>,
}

/// What replicas have counted, by incarnation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger(BTreeMap<String, Counts>);

impl Counts {
    /// The tally of a deployment under a revision; `None` if [`REVISIONS_MAX`] newer revisions have counts.
    pub fn tally(&mut self, revision: u64, deployment: &Name) -> Option<&mut Tally> {
        if !self.revisions.contains_key(&revision) && self.revisions.len() >= REVISIONS_MAX {
            let oldest = *self.revisions.first_key_value()?.0;
            if oldest > revision {
                return None;
            }
            self.revisions.remove(&oldest);
        }
        Some(self.revisions.entry(revision).or_default().entry(deployment.clone()).or_default())
    }

    pub fn add(&mut self, other: &Counts) {
        for (revision, tallies) in &other.revisions {
            for (deployment, counted) in tallies {
                if let Some(tally) = self.tally(*revision, deployment) {
                    tally.add(counted);
                }
            }
        }
    }
}

impl Ledger {
    /// Takes over a writing of an incarnation, unless a newer one is known.
    pub fn take(&mut self, incarnation: &str, counts: Counts) {
        let newest = self.0.get(incarnation).is_none_or(|known| known.sequence < counts.sequence);
        if newest {
            self.0.insert(incarnation.to_owned(), counts);
        }
    }

    /// Takes over what another ledger knows.
    pub fn merge(&mut self, other: &Ledger) {
        for (incarnation, counts) in &other.0 {
            self.take(incarnation, counts.clone());
        }
    }

    /// Bounds a replica's own ledger, whose incarnations are ended but for `own`: the counts of those beyond
    /// [`INCARNATIONS_MAX`] go into one that stays. Only the replica that they were of may do so, since whoever still knew
    /// them by themselves would count them twice.
    pub fn compact(&mut self, own: &str) {
        while self.0.len() > INCARNATIONS_MAX {
            let mut ended = self.0.keys().filter(|id| *id != own).cloned();
            let (Some(first), Some(second)) = (ended.next(), ended.next()) else { return };
            drop(ended);
            let Some(gone) = self.0.remove(&first) else { return };
            if let Some(kept) = self.0.get_mut(&second) {
                kept.add(&gone);
                kept.sequence += 1;
            }
        }
    }

    /// What one incarnation has counted.
    pub fn counts(&self, incarnation: &str) -> Option<&Counts> {
        self.0.get(incarnation)
    }

    /// What was counted under these revisions.
    pub fn total(&self, revisions: impl Fn(u64) -> bool) -> Tallies {
        let mut total = Tallies::new();
        let all = self.0.values().flat_map(|counts| &counts.revisions);
        for (_, tallies) in all.filter(|(revision, _)| revisions(**revision)) {
            for (deployment, tally) in tallies {
                total.entry(deployment.clone()).or_default().add(tally);
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn counts(sequence: u64, revision: u64, failed: u64) -> Counts {
        let mut counts = Counts { sequence, ..Counts::default() };
        counts.tally(revision, &name("blue")).unwrap().failed = failed;
        counts
    }

    fn failed(ledger: &Ledger) -> u64 {
        ledger.total(|_| true).values().map(|tally| tally.failed).sum()
    }

    #[test]
    fn what_is_read_twice_or_late_or_in_any_order_counts_once() {
        let mut ledger = Ledger::default();
        for (incarnation, sequence, count) in [("a", 2, 7), ("a", 1, 5), ("b", 1, 10), ("a", 2, 7), ("b", 1, 10)] {
            ledger.take(incarnation, counts(sequence, 1, count));
        }
        assert_eq!(failed(&ledger), 17);
        let copy = ledger.clone();
        ledger.merge(&copy);
        assert_eq!(ledger, copy);
    }

    #[test]
    fn a_replica_that_starts_often_keeps_a_bounded_file_and_every_count() {
        let mut ledger = Ledger::default();
        for start in 0..100 {
            let id = format!("{start:03}");
            ledger.take(&id, counts(1, start % 5, 1));
            ledger.compact(&id);
            assert!(ledger.0.contains_key(&id));
        }
        assert_eq!((ledger.0.len(), failed(&ledger)), (INCARNATIONS_MAX, 100));
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    }

    #[test]
    fn the_newest_revisions_are_kept() {
        let mut counts = Counts::default();
        for revision in (10..100).rev().chain(10..100) {
            if let Some(tally) = counts.tally(revision, &name("blue")) {
                tally.failed += 1;
            }
        }
        assert_eq!(counts.revisions.keys().copied().collect::<Vec<_>>(), (68..100).collect::<Vec<_>>());
        assert!(counts.tally(1, &name("blue")).is_none());
        let mut ledger = Ledger::default();
        ledger.take("a", counts);
        assert_eq!(ledger.total(|revision| revision == 99)[&name("blue")].failed, 2);
    }
}
