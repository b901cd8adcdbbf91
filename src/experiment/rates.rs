//! Two rates compared: the interval of their difference and of their ratio.
//!
//! The product of two martingales of independent observations is one, however the requests were divided meanwhile. So the pairs of
//! rates against which the evidence of both counts together stays below 1/α are a confidence region that holds at all times.
//! The intervals are its projections: exact whatever the counts, both valid at once, and narrower than what two intervals of
//! α/2 each would give.

use super::evidence::Count;
use super::interval::{Interval, Level};

/// Steps over the second rate; between the best two neighbours the search goes on.
const STEPS: usize = 24;
const REFINEMENTS: usize = 24;

/// A candidate's count beside a baseline's.
#[derive(Clone, Copy, Debug)]
pub struct RatePair {
    pub candidate: Count,
    pub baseline: Count,
}

impl RatePair {
    /// The candidate's rate minus the baseline's.
    pub fn difference(self, level: Level) -> Interval {
        let highest = self.extreme(level, Side::Upper, |candidate, baseline| candidate - baseline);
        let lowest = self.extreme(level, Side::Lower, |candidate, baseline| baseline - candidate);
        Interval { lower: Some(-lowest), upper: Some(highest) }
    }

    /// The candidate's rate divided by the baseline's, less 1: 0.5 is half as much again. Open above if the baseline's may be 0.
    pub fn relative(self, level: Level) -> Interval {
        // What is divided by 0 is beyond all bounds, but for 0 itself, which may be anything.
        let over = |candidate: f64, baseline: f64, of_zeros: f64| match (candidate > 0.0, baseline > 0.0) {
            (_, true) => candidate / baseline,
            (true, false) => f64::INFINITY,
            (false, false) => of_zeros,
        };
        let highest = self.extreme(level, Side::Upper, |candidate, baseline| over(candidate, baseline, f64::INFINITY));
        let lowest = self.extreme(level, Side::Lower, |candidate, baseline| -over(candidate, baseline, 0.0));
        Interval { lower: Some(-lowest - 1.0), upper: Some(highest - 1.0).filter(|upper| upper.is_finite()) }
    }

    /// Whether 0 is outside of the interval of the difference. Quicker than the interval.
    pub fn differ(self, level: Level) -> bool {
        let (Some(one), Some(other)) = (self.candidate.rate(), self.baseline.rate()) else { return false };
        let trials = self.candidate.trials + self.baseline.trials;
        let together = (self.candidate.successes + self.baseline.successes) as f64 / trials as f64;
        let against =
            |rate: f64| self.candidate.evidence_against(rate) + self.baseline.evidence_against(rate) - level.limit();
        // Most looks end here: the pooled rate explains both.
        against(together) > 0.0 && -maximum(one.min(other), one.max(other), |rate| -against(rate)) > 0.0
    }

    /// The largest value over the region. `value` grows with the candidate's rate at its `side`, and as the baseline's moves away
    /// from there.
    fn extreme(self, level: Level, side: Side, value: impl Fn(f64, f64) -> f64) -> f64 {
        let limit = level.limit();
        // The least evidence that one count can have leaves the other the most room.
        let least = self.candidate.rate().map_or(0.0, |rate| self.candidate.evidence_against(rate));
        let [low, high] = self.baseline.rates_within(limit - least);
        let at = |baseline: f64| {
            let left = limit - self.baseline.evidence_against(baseline);
            let [lower, upper] = self.candidate.rates_within(left.max(least));
            value(if side == Side::Upper { upper } else { lower }, baseline)
        };
        maximum(low, high, at)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

/// The largest value of a function with one hill between two ends: the best of a few places, then golden sections about it.
fn maximum(low: f64, high: f64, value: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let place = |step: usize| low + (high - low) * step as f64 / STEPS as f64;
    let (mut best, mut best_step) = (f64::NEG_INFINITY, 0);
    for step in 0..=STEPS {
        let found = value(place(step));
        if found > best {
            (best, best_step) = (found, step);
        }
    }
    let (mut left, mut right) = (place(best_step.saturating_sub(1)), place((best_step + 1).min(STEPS)));
    for _ in 0..REFINEMENTS {
        let width = GOLDEN * (right - left);
        let (one, other) = (right - width, left + width);
        let (at_one, at_other) = (value(one), value(other));
        best = best.max(at_one).max(at_other);
        if at_one > at_other { right = other } else { left = one }
    }
    best
}
