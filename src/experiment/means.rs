//! Two means of reported numbers compared.
//!
//! An asymptotic confidence sequence: I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy and A. Ramdas, "Time-uniform central limit
//! theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2 (Robbins' normal mixture with the
//! variance estimated), in the time of the information of both samples. Nothing is known of the numbers' range or tails, so an
//! exact sequence is not to be had; a first look is therefore not allowed before [`SAMPLES_MIN`] numbers of each.

use super::Moments;
use super::interval::{Interval, Level};

/// Below this many numbers of each deployment the normal approximation says too little.
pub const SAMPLES_MIN: u64 = 100;

/// So many numbers of each deployment are where the sequence is at its tightest.
const TIGHTEST_AT: f64 = 1_000.0;

/// The candidate's mean minus the baseline's, and relative to it; `None` while there are too few numbers.
pub fn compare(candidate: &Moments, baseline: &Moments, level: Level) -> Option<(Interval, Interval)> {
    let enough = candidate.count.min(baseline.count) >= SAMPLES_MIN;
    let (own, other) = (candidate.variance().filter(|_| enough)?, baseline.variance().filter(|_| enough)?);
    let (own, other) = (own / candidate.count as f64, other / baseline.count as f64);
    let factor = factor(candidate.count as f64, baseline.count as f64, level);
    let (mean, difference) = (baseline.mean, candidate.mean - baseline.mean);
    let half = factor * (own + other).sqrt();
    let absolute = Interval { lower: Some(difference - half), upper: Some(difference + half) };
    Some((absolute, ratio(candidate.mean, mean, [own, other].map(|variance| factor * factor * variance))))
}

/// How many standard errors wide an interval is, to each side.
fn factor(own: f64, other: f64, level: Level) -> f64 {
    let alpha = level.false_alarms();
    // The parameter that makes it tightest at a time, up to a small error: equation 3.7 of Howard et al. (2021).
    let prior = 0.5 * TIGHTEST_AT / (2.0 * level.limit() + (1.0 + 2.0 * level.limit()).ln());
    let time = own * other / (own + other);
    ((1.0 + prior / time) * ((1.0 + time / prior) / (alpha * alpha)).ln()).sqrt()
}

/// The ratios `r`, less 1, for which `own − r·other` may be 0 (E. Fieller, "Some problems in interval estimation", 1954). Open if
/// the other mean may be 0.
fn ratio(own: f64, other: f64, [own_square, other_square]: [f64; 2]) -> Interval {
    // (own − r·other)² = own_square + r²·other_square
    let (a, b, c) = (other * other - other_square, own * other, own * own - own_square);
    let root = b * b - a * c;
    if a <= 0.0 || root < 0.0 {
        return Interval::default();
    }
    // Relative to a negative baseline, more is less.
    let ends = [(b - root.sqrt()) / a - 1.0, (b + root.sqrt()) / a - 1.0];
    Interval { lower: Some(ends[0]), upper: Some(ends[1]) }
}
