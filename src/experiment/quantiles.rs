//! Quantiles of latencies, and two deployments' compared, whatever the latencies' distribution.
//!
//! Of the requests, those that take at most the true p-quantile are a binomial count with rate p. So a value is excluded as the
//! quantile when the count up to it speaks against p (`evidence`), and what is left is valid at all times and exact: Howard
//! and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification", Bernoulli 28
//! (2022). Within a bucket the count is unknown, and taken as whatever speaks least.

use super::Sketch;
use super::evidence::Count;
use super::interval::{Interval, Level};
use super::sketch::upper_edge;

/// A stretch of values between two edges, and the evidence against the quantile lying there.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    above: u64,
    /// The last stretch has no end.
    up_to: Option<u64>,
    evidence: f64,
}

/// Where a quantile (between 0 and 1) lies.
pub fn quantile(sketch: &Sketch, quantile: f64, level: Level) -> Interval {
    let left: Vec<_> = stretches(sketch, quantile).into_iter().filter(|s| s.evidence < level.limit()).collect();
    Interval {
        lower: left.first().map(|stretch| stretch.above as f64),
        upper: left.last().and_then(|stretch| stretch.up_to).map(|edge| edge as f64),
    }
}

/// A candidate's quantile beside a baseline's: their difference, and how much larger it is relative to the baseline's.
///
/// As with rates (`rates`), the pairs against which the evidence of both together is too little are a region of which both
/// intervals are projections.
pub fn compare(candidate: &Sketch, baseline: &Sketch, quantile: f64, level: Level) -> (Interval, Interval) {
    let (mut difference, mut ratio) = (Extent::default(), Extent::default());
    let baselines = stretches(baseline, quantile);
    for own in stretches(candidate, quantile) {
        for other in baselines.iter().filter(|other| own.evidence + other.evidence < level.limit()) {
            let (low, high) = (own.above as f64, own.up_to.map_or(f64::INFINITY, |edge| edge as f64));
            let (other_low, other_high) = (other.above as f64, other.up_to.map_or(f64::INFINITY, |edge| edge as f64));
            difference.include(low - other_high, high - other_low);
            ratio.include(low / other_high - 1.0, if other_low > 0.0 { high / other_low - 1.0 } else { f64::INFINITY });
        }
    }
    (difference.interval(), ratio.interval())
}

/// The scale cut at the edges of the buckets that hold something.
fn stretches(sketch: &Sketch, quantile: f64) -> Vec<Stretch> {
    let trials = sketch.count();
    let mut found = Vec::new();
    let (mut above, mut below) = (0, 0);
    let mut add = |above: u64, up_to: Option<u64>, [low, high]: [u64; 2]| {
        // Evidence is least where the count is as expected; if that is within the stretch, there is none to speak of.
        let expected = quantile * trials as f64;
        let nearest = (expected.round() as u64).clamp(low, high);
        let evidence = Count { successes: nearest, trials }.evidence_against(quantile);
        found.push(Stretch { above, up_to, evidence });
    };
    for (bucket, count) in sketch.buckets() {
        let lower = bucket.checked_sub(1).map_or(0, upper_edge);
        if lower > above {
            add(above, Some(lower), [below, below]);
        }
        add(lower, Some(upper_edge(bucket)), [below, below + count]);
        (above, below) = (upper_edge(bucket), below + count);
    }
    add(above, None, [below, below]);
    found
}

/// The least interval about what was included.
#[derive(Default)]
struct Extent(Option<[f64; 2]>);

impl Extent {
    fn include(&mut self, lower: f64, upper: f64) {
        let [low, high] = self.0.get_or_insert([lower, upper]);
        *low = low.min(lower);
        *high = high.max(upper);
    }

    fn interval(&self) -> Interval {
        let end = |index: usize| self.0.map(|ends| ends[index]).filter(|end| end.is_finite());
        Interval { lower: end(0), upper: end(1) }
    }
}
