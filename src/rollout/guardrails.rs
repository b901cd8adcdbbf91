//! What must not happen to a candidate.

use std::time::Duration;

use crate::experiment::{
    Agreement, Comparison, Count, Level, Metric, Sketch, Tally, agreement, compare, number, percent, time,
};
use crate::name::Name;
use crate::objective::Bound;
use crate::registry::{Guard, Rollout};

/// What has been found, with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Harm is shown.
    Broken(String),
    /// It looks like harm, and more requests will tell.
    Doubtful(String),
    Unbroken,
}

/// What is watched besides the bounds of the objective: errors, latency, outcomes, agreement.
const WATCHED: usize = 4;

/// Rather sooner than surely: at this level a step waits. The evidence of a candidate that is no worse falls again.
const DOUBT: f64 = 0.5;

/// A candidate with traffic, beside the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    pub guard: &'a Guard,
    pub rollout: &'a Rollout,
    pub candidate: &'a Tally,
    pub baseline: &'a Tally,
}

impl Watch<'_> {
    /// The first guardrail that is broken, else the first that looks so.
    pub fn finding(&self) -> Finding {
        let level = level(self.guard);
        match self.harm(level) {
            Some(reason) => Finding::Broken(reason),
            None => self.harm(doubt()).map_or(Finding::Unbroken, Finding::Doubtful),
        }
    }

    fn harm(&self, level: Level) -> Option<String> {
        let Watch { guard, rollout, candidate, baseline } = self;
        let beside = |metric| compare(metric, (&rollout.candidate, candidate), (&rollout.baseline, baseline), level);
        let errors = |found: &Comparison| found.difference.is_above(guard.max_error_increase.percent() / 100.0);
        let slower =
            |found: &Comparison| found.relative.is_above(f64::from(guard.max_latency_increase_percent) / 100.0);
        let outcomes = |found: &Comparison| found.difference.is_below(0.0);
        let told = |found: Comparison| found.sentence;
        Some(beside(Metric::ErrorRate))
            .filter(errors)
            .map(told)
            .or_else(|| Some(beside(Metric::LatencyP99)).filter(slower).map(told))
            .or_else(|| Some(beside(Metric::SuccessRate)).filter(outcomes).map(told))
            .or_else(|| missed_objective(&rollout.candidate, &candidate.latency_ns, guard, level))
            .or_else(|| disagreement(&rollout.candidate, candidate, guard, level))
    }
}

/// The level of each single test, so that all of a rollout's together have the guard's (Bonferroni): one look at a stage counts as
/// much as all looks at it, since the tests hold at all times.
pub fn level(guard: &Guard) -> Level {
    let stages = guard.steps.len() + 1;
    let tests = stages * (WATCHED + guard.objective.bounds.len());
    Level::new(guard.false_alarms).unwrap_or(Level::USUAL).shared_by(tests)
}

fn doubt() -> Level {
    Level::new(DOUBT).unwrap_or(Level::USUAL)
}

/// A bound of the objective that the candidate is shown to miss.
pub fn missed_objective(candidate: &Name, latency_ns: &Sketch, guard: &Guard, level: Level) -> Option<String> {
    guard.objective.bounds.iter().find_map(|bound| missed(candidate, latency_ns, bound, level))
}

fn missed(candidate: &Name, latency_ns: &Sketch, bound: &Bound, level: Level) -> Option<String> {
    let limit_ns = u64::try_from(bound.limit.as_nanos()).unwrap_or(u64::MAX);
    let (trials, within) = (latency_ns.count(), latency_ns.count_up_to(limit_ns));
    let count = Count { successes: trials - within, trials };
    let [least, most] = count.rates_within(level.limit());
    let may = 1.0 - bound.percentile / 100.0;
    (trials > 0 && least > may).then(|| {
        format!(
            "{} to {} % of {candidate}'s answers take longer than {}, and {} may (p{}; {} of {trials} did; {} % sure, \
             whenever you look)",
            number(100.0 * least),
            number(100.0 * most),
            seconds(bound.limit),
            percent(may),
            bound.percentile,
            trials - within,
            level.confidence_percent()
        )
    })
}

/// Mirrored answers that are shown to agree too seldom.
pub fn disagreement(candidate: &Name, tally: &Tally, guard: &Guard, level: Level) -> Option<String> {
    let least = guard.min_agreement.percent() / 100.0;
    let found = agreement(candidate, &tally.mirror, level)?;
    let Agreement { share, sentence, .. } = &found;
    share.is_below(least).then(|| format!("{sentence}; {} have to", percent(least)))
}

/// Mirrored answers that look as if they agreed too seldom.
pub fn doubted_agreement(candidate: &Name, tally: &Tally, guard: &Guard) -> Option<String> {
    disagreement(candidate, tally, guard, doubt())
}

fn seconds(duration: Duration) -> String {
    time(duration.as_secs_f64())
}
