use super::{Random, at_most};
use crate::experiment::{Level, Sketch, compare_quantiles, quantile};

fn sketch(values: impl IntoIterator<Item = u64>) -> Sketch {
    let mut sketch = Sketch::default();
    values.into_iter().for_each(|value| sketch.record(value));
    sketch
}

#[test]
fn a_quantile_lies_where_the_counts_allow() {
    assert_eq!(quantile(&Sketch::default(), 0.5, Level::USUAL).upper, None);
    let few = quantile(&sketch([1_000; 3]), 0.99, Level::USUAL);
    assert_eq!((few.lower, few.upper), (Some(991.0), None), "three answers say that a p99 is no less");
    let all_alike = quantile(&sketch([1_000; 10_000]), 0.99, Level::USUAL);
    assert_eq!((all_alike.lower, all_alike.upper), (Some(991.0), Some(1_023.0)), "the bucket of 1,000");
    let spread = quantile(&sketch((1..=10_000).map(|n| n * 1_000)), 0.5, Level::USUAL);
    assert!(spread.contains(5e6) && spread.is_above(4.5e6) && spread.is_below(5.5e6), "{spread:?}");
}

#[test]
fn quantiles_are_compared_in_both_ways() {
    let own = sketch((1..=10_000).map(|n| n * 2_000));
    let other = sketch((1..=10_000).map(|n| n * 1_000));
    let (difference, relative) = compare_quantiles(&own, &other, 0.9, Level::USUAL);
    assert!(difference.contains(9e6) && difference.is_above(7e6) && difference.is_below(11e6), "{difference:?}");
    assert!(relative.contains(1.0) && relative.is_above(0.7) && relative.is_below(1.3), "{relative:?}");
    let (difference, relative) = compare_quantiles(&own, &sketch([5]), 0.9, Level::USUAL);
    assert!(difference.lower.is_none() && relative.is_below(f64::INFINITY) == relative.upper.is_some());
}

#[test]
fn peeking_hardly_ever_excludes_the_true_quantile_ties_or_not() {
    let mut random = Random::new(11);
    for coarseness in [1, 400] {
        let mut wrong = 0;
        for _ in 0..150 {
            let mut seen = Sketch::default();
            let is_wrong = (0..300).any(|_| {
                // Uniform below 1,000 units of 1,000, or only on two steps of 400; the median is 500 or its step.
                let value = random.next() % 1_000 / coarseness * coarseness * 1_000;
                seen.record(value);
                !quantile(&seen, 0.5, Level::USUAL).contains((500 / coarseness * coarseness * 1_000) as f64)
            });
            wrong += u64::from(is_wrong);
        }
        assert!(wrong <= at_most(0.05, 150), "{wrong} of 150, in steps of {coarseness}");
    }
}
