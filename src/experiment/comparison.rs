//! Two deployments compared, metric by metric.

use serde::Serialize;

use super::evidence::Count;
use super::interval::{Interval, Level};
use super::rates::RatePair;
use super::{Tally, means, quantiles, sentence};
use crate::name::Name;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Answers that blame the server (5xx), of all.
    ErrorRate,
    /// Answers that blame the request (4xx), of all.
    RefusalRate,
    /// The time within which half of the answers were given.
    LatencyP50,
    /// The time within which 99 of 100 were.
    LatencyP99,
    /// Outcomes that were reported as `true`, of those that were `true` or `false`.
    SuccessRate,
    /// The mean of the outcomes that were reported as numbers.
    MeanOutcome,
}

/// What more of a metric means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    MoreIsWorse,
    MoreIsBetter,
    /// Only who reports the numbers knows.
    Unknown,
}

/// What is known by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Better,
    Worse,
    /// There is a difference; whether it is welcome is not ours to say.
    Different,
    /// The interval holds 0.
    NoDifferenceShown,
    /// There is nothing yet, or too little, to make an interval of.
    TooFew,
}

/// One metric of two deployments. Rates are shares of 1, latencies are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub metric: Metric,
    pub candidate: Observed,
    pub baseline: Observed,
    /// The candidate's minus the baseline's.
    pub difference: Interval,
    /// The same, divided by the baseline's.
    pub relative: Interval,
    pub verdict: Verdict,
    pub confidence_percent: f64,
    /// All of it for people.
    pub sentence: String,
}

/// What was seen of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    pub deployment: Name,
    /// Requests, or reports.
    pub count: u64,
    pub value: Option<f64>,
}

/// A deployment's name and what was counted of it.
pub type Arm<'a> = (&'a Name, &'a Tally);

impl Metric {
    pub const ALL: [Metric; 6] = [
        Metric::ErrorRate,
        Metric::RefusalRate,
        Metric::LatencyP50,
        Metric::LatencyP99,
        Metric::SuccessRate,
        Metric::MeanOutcome,
    ];

    pub const fn sense(self) -> Sense {
        match self {
            Metric::ErrorRate | Metric::RefusalRate | Metric::LatencyP50 | Metric::LatencyP99 => Sense::MoreIsWorse,
            Metric::SuccessRate => Sense::MoreIsBetter,
            Metric::MeanOutcome => Sense::Unknown,
        }
    }

    /// The metric as a count of events, if it is one.
    fn count(self, tally: &Tally) -> Option<Count> {
        match self {
            Metric::ErrorRate => Some(Count { successes: tally.failed, trials: tally.answered() }),
            Metric::RefusalRate => Some(Count { successes: tally.refused, trials: tally.answered() }),
            Metric::SuccessRate => Some(Count { successes: tally.outcomes.successes, trials: tally.outcomes.trials }),
            Metric::LatencyP50 | Metric::LatencyP99 | Metric::MeanOutcome => None,
        }
    }

    const fn quantile(self) -> f64 {
        if matches!(self, Metric::LatencyP50) { 0.5 } else { 0.99 }
    }

    fn observed(self, (deployment, tally): Arm<'_>) -> Observed {
        let (count, value) = match (self.count(tally), self) {
            (Some(count), _) => (count.trials, count.rate()),
            (None, Metric::MeanOutcome) => {
                let numbers = &tally.outcomes.numbers;
                (numbers.count, (numbers.count > 0).then_some(numbers.mean))
            }
            (None, _) => {
                let found = tally.latency_ns.quantile(self.quantile());
                (tally.latency_ns.count(), found.map(|ns| ns as f64 * 1e-9))
            }
        };
        Observed { deployment: deployment.clone(), count, value }
    }

    /// The intervals of the difference and of the relative one, if there is enough to make some.
    fn intervals(self, candidate: &Tally, baseline: &Tally, level: Level) -> Option<(Interval, Interval)> {
        match (self.count(candidate), self.count(baseline)) {
            (Some(candidate), Some(baseline)) => {
                let pair = RatePair { candidate, baseline };
                let is_begun = candidate.trials > 0 && baseline.trials > 0;
                is_begun.then(|| (pair.difference(level), pair.relative(level)))
            }
            _ if self == Metric::MeanOutcome => {
                means::compare(&candidate.outcomes.numbers, &baseline.outcomes.numbers, level)
            }
            _ => {
                let (own, other) = (&candidate.latency_ns, &baseline.latency_ns);
                if own.count() == 0 || other.count() == 0 {
                    return None;
                }
                let (difference, relative) = quantiles::compare(own, other, self.quantile(), level);
                let seconds = |ns: Option<f64>| ns.map(|ns| ns * 1e-9);
                Some((Interval { lower: seconds(difference.lower), upper: seconds(difference.upper) }, relative))
            }
        }
    }
}

/// A candidate beside a baseline in one metric, at a level of its own.
pub fn compare(metric: Metric, candidate: Arm<'_>, baseline: Arm<'_>, level: Level) -> Comparison {
    let intervals = metric.intervals(candidate.1, baseline.1, level);
    let (difference, relative) = intervals.unwrap_or_default();
    let verdict = match (intervals, metric.sense()) {
        (None, _) => Verdict::TooFew,
        _ if difference.contains(0.0) => Verdict::NoDifferenceShown,
        (_, Sense::Unknown) => Verdict::Different,
        (_, sense) if difference.is_above(0.0) == (sense == Sense::MoreIsBetter) => Verdict::Better,
        _ => Verdict::Worse,
    };
    let mut comparison = Comparison {
        metric,
        candidate: metric.observed(candidate),
        baseline: metric.observed(baseline),
        difference,
        relative,
        verdict,
        confidence_percent: level.confidence_percent(),
        sentence: String::new(),
    };
    comparison.sentence = sentence::of_comparison(&comparison);
    comparison
}

/// Every metric that either deployment has anything of.
pub fn compare_all(candidate: Arm<'_>, baseline: Arm<'_>, level: Level) -> Vec<Comparison> {
    let compared = Metric::ALL.into_iter().map(|metric| compare(metric, candidate, baseline, level));
    compared.filter(|comparison| comparison.candidate.count + comparison.baseline.count > 0).collect()
}
