//! What this server has counted of an endpoint's deployments, by the revision in force, for experiments and rollouts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::recent::Recent;
use crate::experiment::{Counts, Outcome, REVISIONS_MAX, Recorder, Tally};
use crate::name::Name;

/// Reports that are remembered, so that one that is sent again does not count again.
const REPORTS_REMEMBERED: usize = 65_536;

/// Deployments of one revision that are told apart.
const DEPLOYMENTS_MAX: usize = 64;

/// The counts of one endpoint since this server began. It outlives revisions; requests touch only recorders.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<u64, BTreeMap<Name, Kept>>,
    reported: Recent<REPORTS_REMEMBERED>,
}

/// The counts of one deployment under one revision.
#[derive(Debug, Default)]
struct Kept {
    /// While requests may add to them.
    recorder: Option<Arc<Recorder>>,
    /// What came of recorders that nobody adds to any more, and of late reports.
    past: Tally,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    Counted,
    /// There has been one of this request already.
    Again,
    /// So long ago that nothing of that revision is compared any more.
    TooOld,
    /// A number that cannot be added to the others.
    NotFinite,
}

impl Statistics {
    /// The recorder of a deployment under a revision; `None` if so many newer revisions have counts.
    pub fn recorder(&self, revision: u64, deployment: &Name) -> Option<Arc<Recorder>> {
        let mut state = self.0.lock();
        Some(Arc::clone(state.kept(revision, deployment)?.recorder.get_or_insert_default()))
    }

    /// The deployments that have counts under any revision.
    pub fn deployments(&self) -> BTreeSet<Name> {
        self.0.lock().kept.values().flat_map(|of| of.keys().cloned()).collect()
    }

    /// Counts what became of the request with this id.
    pub fn report(&self, revision: u64, deployment: &Name, request_id: &str, outcome: Outcome) -> Reported {
        let mut state = self.0.lock();
        if state.reported.contains(request_id) {
            return Reported::Again;
        }
        let Some(kept) = state.kept(revision, deployment) else { return Reported::TooOld };
        if !kept.past.outcomes.record(outcome) {
            return Reported::NotFinite;
        }
        state.reported.insert(request_id);
        Reported::Counted
    }

    /// Everything so far, to be written under this sequence number.
    pub fn counts(&self, sequence: u64) -> Counts {
        let mut state = self.0.lock();
        let tallies =
            |of: &mut BTreeMap<Name, Kept>| of.iter_mut().map(|(name, kept)| (name.clone(), kept.settle())).collect();
        Counts { sequence, revisions: state.kept.iter_mut().map(|(revision, of)| (*revision, tallies(of))).collect() }
    }
}

impl State {
    fn kept(&mut self, revision: u64, deployment: &Name) -> Option<&mut Kept> {
        if !self.kept.contains_key(&revision) && self.kept.len() >= REVISIONS_MAX {
            let oldest = *self.kept.first_key_value()?.0;
            if oldest > revision {
                return None;
            }
            self.kept.remove(&oldest);
        }
        let of_revision = self.kept.entry(revision).or_default();
        if !of_revision.contains_key(deployment) && of_revision.len() >= DEPLOYMENTS_MAX {
            return None;
        }
        Some(of_revision.entry(deployment.clone()).or_default())
    }
}

impl Kept {
    /// All counts. A recorder that nobody else holds is of no more use, and makes way: it is far larger than what it has counted.
    fn settle(&mut self) -> Tally {
        let Some(recorder) = &self.recorder else { return self.past.clone() };
        let is_done = Arc::strong_count(recorder) == 1;
        let mut all = recorder.tally();
        all.add(&self.past);
        if is_done {
            self.past = all.clone();
            self.recorder = None;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn counts_are_kept_by_revision_and_deployment() {
        let statistics = Statistics::default();
        let blue = statistics.recorder(3, &name("blue")).unwrap();
        blue.answered(200, Duration::from_millis(1));
        assert!(Arc::ptr_eq(&blue, &statistics.recorder(3, &name("blue")).unwrap()));
        statistics.recorder(4, &name("blue")).unwrap().answered(500, Duration::from_millis(1));
        let counts = statistics.counts(9);
        drop(blue);
        assert_eq!(statistics.counts(9), counts);
        assert_eq!(statistics.counts(9), counts, "a recorder that is done leaves its counts");
        assert_eq!((counts.sequence, counts.revisions[&3][&name("blue")].succeeded), (9, 1));
        assert_eq!(counts.revisions[&4][&name("blue")].failed, 1);
        (5..100).for_each(|revision| drop(statistics.recorder(revision, &name("blue"))));
        assert_eq!(statistics.counts(10).revisions.len(), REVISIONS_MAX);
        assert!(statistics.recorder(3, &name("blue")).is_none());
    }

    #[test]
    fn a_report_counts_once() {
        let statistics = Statistics::default();
        let report = |id: &str, outcome| statistics.report(1, &name("blue"), id, outcome);
        assert_eq!(report("a", Outcome::Success(true)), Reported::Counted);
        assert_eq!(report("a", Outcome::Success(true)), Reported::Again);
        assert_eq!(report("b", Outcome::Number(f64::INFINITY)), Reported::NotFinite);
        assert_eq!(report("b", Outcome::Number(1.0)), Reported::Counted);
        let outcomes = &statistics.counts(1).revisions[&1][&name("blue")].outcomes;
        assert_eq!((outcomes.trials, outcomes.successes, outcomes.numbers.count), (1, 1, 1));
    }
}
