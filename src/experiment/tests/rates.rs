use super::{Random, at_most};
use crate::experiment::{Count, Level, RatePair};

fn pair(candidate: [u64; 2], baseline: [u64; 2]) -> RatePair {
    let count = |[successes, trials]: [u64; 2]| Count { successes, trials };
    RatePair { candidate: count(candidate), baseline: count(baseline) }
}

/// Both intervals by trying every pair of rates on a grid.
fn by_grid(pair: RatePair) -> [f64; 4] {
    const STEPS: usize = 600;
    let places: Vec<f64> = (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect();
    let against = |count: Count| places.iter().map(|rate| count.evidence_against(*rate)).collect::<Vec<_>>();
    let (own, other) = (against(pair.candidate), against(pair.baseline));
    let mut ends = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
    for (p, own) in places.iter().zip(&own) {
        for (q, _) in places.iter().zip(&other).filter(|(_, other)| own + **other <= Level::USUAL.limit()) {
            ends = [ends[0].min(p - q), ends[1].max(p - q), ends[2].min(p / q - 1.0), ends[3].max(p / q - 1.0)];
        }
    }
    ends
}

#[test]
fn intervals_are_the_projections_of_the_region() {
    for (candidate, baseline) in [([30, 100], [50, 100]), ([5, 20], [60, 80]), ([90, 100], [10, 40])] {
        let pair = pair(candidate, baseline);
        let (difference, relative) = (pair.difference(Level::USUAL), pair.relative(Level::USUAL));
        let [low, high, least, most] = by_grid(pair);
        let near = |found: Option<f64>, expected: f64, tolerance: f64| (found.unwrap() - expected).abs() < tolerance;
        assert!(near(difference.lower, low, 0.005) && near(difference.upper, high, 0.005), "{difference:?}");
        assert!(near(relative.lower, least, 0.02) && near(relative.upper, most, 0.02 * (1.0 + most)), "{relative:?}");
        assert_eq!(pair.differ(Level::USUAL), !difference.contains(0.0));
    }
}

#[test]
fn nothing_is_known_of_nothing() {
    let unknown = pair([0, 0], [3, 10]);
    let difference = unknown.difference(Level::USUAL);
    assert!(difference.is_below(1.0) && difference.is_above(-1.0) && difference.contains(0.0), "{difference:?}");
    let relative = pair([1, 10], [0, 10]).relative(Level::USUAL);
    assert!(relative.upper.is_none() && relative.lower.unwrap() < 0.0, "{relative:?}");
    let relative = pair([0, 10], [0, 10]).relative(Level::USUAL);
    assert_eq!((relative.lower, relative.upper), (Some(-1.0), None));
}

/// When a difference is first shown, looking after each pair of observations.
fn alarm(random: &mut Random, rates: [f64; 2], looks: u64) -> Option<u64> {
    let mut successes = [0, 0];
    (1..=looks).find(|trials| {
        for (count, rate) in successes.iter_mut().zip(rates) {
            *count += u64::from(random.happens(rate));
        }
        pair([successes[0], *trials], [successes[1], *trials]).differ(Level::USUAL)
    })
}

#[test]
fn peeking_raises_no_false_alarms_and_differences_are_found() {
    let mut random = Random::new(7);
    for rate in [0.02, 0.4] {
        let alarms = (0..150).filter(|_| alarm(&mut random, [rate, rate], 400).is_some()).count() as u64;
        assert!(alarms <= at_most(0.05, 150), "{alarms} of 150 at {rate}");
    }
    let mut found: Vec<u64> = (0..40).filter_map(|_| alarm(&mut random, [0.05, 0.30], 1_000)).collect();
    found.sort_unstable();
    assert_eq!(found.len(), 40);
    // A test for one look at 80 % power would need 35 of each, fixed beforehand.
    assert!(found[20] < 110, "{found:?}");
}
