use super::{Random, at_most};
use crate::experiment::means::{SAMPLES_MIN, compare};
use crate::experiment::{Level, Moments};

fn moments(count: u64, mean: f64, variance: f64) -> Moments {
    Moments { count, mean, squares: variance * (count - 1) as f64 }
}

#[test]
fn the_interval_is_that_of_the_normal_mixture() {
    // By hand: prior 500 / (2·2.9957 + ln(1 + 2·2.9957)) = 63.0, time 1,000/2, factor² = 1.126·ln(8.937/0.0025) = 9.214.
    let (difference, relative) = compare(&moments(1_000, 12.0, 4.0), &moments(1_000, 10.0, 4.0), Level::USUAL).unwrap();
    let half = 9.214f64.sqrt() * (8.0f64 / 1_000.0).sqrt();
    assert!((difference.lower.unwrap() - (2.0 - half)).abs() < 1e-3, "{difference:?}");
    assert!((difference.upper.unwrap() - (2.0 + half)).abs() < 1e-3, "{difference:?}");
    // Where the baseline is known well, the relative difference is the difference divided by it.
    assert!((relative.lower.unwrap() - (2.0 - half) / 10.0).abs() < 0.01, "{relative:?}");
    assert!((relative.upper.unwrap() - (2.0 + half) / 10.0).abs() < 0.01, "{relative:?}");
}

#[test]
fn too_few_numbers_or_a_baseline_about_zero_say_nothing() {
    assert!(compare(&moments(SAMPLES_MIN - 1, 1.0, 1.0), &moments(5_000, 0.0, 1.0), Level::USUAL).is_none());
    let (_, relative) = compare(&moments(1_000, 1.0, 1.0), &moments(1_000, 0.01, 1.0), Level::USUAL).unwrap();
    assert_eq!((relative.lower, relative.upper), (None, None));
    let (difference, _) = compare(&moments(200, 3.0, 0.0), &moments(200, 3.0, 0.0), Level::USUAL).unwrap();
    assert!(difference.contains(0.0), "numbers that are all alike");
}

#[test]
fn peeking_raises_no_false_alarms_even_where_numbers_are_skewed() {
    let mut random = Random::new(3);
    for skewed in [false, true] {
        let mut draw = |shift: f64| shift + if skewed { random.normal().exp() } else { random.normal() };
        let mut alarm = |shift: f64| {
            let (mut own, mut other) = (Moments::default(), Moments::default());
            (1..=1_500u64).find(|_| {
                own.record(draw(shift));
                other.record(draw(0.0));
                compare(&own, &other, Level::USUAL).is_some_and(|(difference, _)| !difference.contains(0.0))
            })
        };
        let false_alarms = (0..200).filter(|_| alarm(0.0).is_some()).count() as u64;
        assert!(false_alarms <= at_most(0.05, 200), "{false_alarms} of 200, skewed: {skewed}");
        assert!((0..20).all(|_| alarm(1.0).is_some()), "a difference of a standard deviation is found");
    }
}
