use super::name;
use crate::experiment::{
    Level, Metric, Outcome, Tally, Verdict, agreement, compare, compare_all, number, percent, time,
};

fn tally(succeeded: u64, failed: u64, latency_us: u64) -> Tally {
    let mut tally = Tally { succeeded, failed, ..Tally::default() };
    (0..succeeded).for_each(|n| tally.latency_ns.record(latency_us * 1_000 + n % 100 * latency_us * 10));
    tally
}

#[test]
fn a_difference_is_told_with_its_size_its_direction_and_how_sure_it_is() {
    let (green, blue) = (name("green"), name("blue"));
    let (better, worse) = (tally(9_900, 100, 2_000), tally(9_500, 500, 5_000));
    let comparison = compare(Metric::ErrorRate, (&green, &better), (&blue, &worse), Level::USUAL);
    assert_eq!(comparison.verdict, Verdict::Better);
    assert_eq!(
        comparison.sentence,
        "green's error rate is 3.07 to 4.97 points lower than blue's (69.8 to 87.3 %; 95 % sure, whenever you look)"
    );
    let comparison = compare(Metric::LatencyP99, (&blue, &worse), (&green, &better), Level::USUAL);
    assert_eq!(comparison.verdict, Verdict::Worse);
    assert!(comparison.sentence.starts_with("blue's p99 latency is "), "{}", comparison.sentence);
    assert!(comparison.sentence.contains(" ms higher than green's ("), "{}", comparison.sentence);
    let comparison = compare(Metric::ErrorRate, (&green, &better), (&blue, &better), Level::USUAL);
    assert_eq!(comparison.verdict, Verdict::NoDifferenceShown);
    assert!(
        comparison
            .sentence
            .starts_with("no difference between green's error rate and blue's is shown: it may be up to 0."),
        "{}",
        comparison.sentence
    );
    let comparison = compare(Metric::ErrorRate, (&green, &Tally::default()), (&blue, &worse), Level::USUAL);
    assert_eq!(
        comparison.sentence,
        "green's error rate cannot be compared with blue's yet: there are 0 and 10000 requests"
    );
}

#[test]
fn metrics_without_any_observation_are_left_out() {
    let (green, blue) = (name("green"), name("blue"));
    let (mut one, other) = (tally(100, 0, 1_000), tally(100, 0, 1_000));
    let metrics = |one: &Tally| -> Vec<Metric> {
        compare_all((&green, one), (&blue, &other), Level::USUAL).iter().map(|compared| compared.metric).collect()
    };
    let usual = [Metric::ErrorRate, Metric::RefusalRate, Metric::LatencyP50, Metric::LatencyP99];
    assert_eq!(metrics(&one), usual);
    one.outcomes.record(Outcome::Success(true));
    assert_eq!(metrics(&one).last(), Some(&Metric::SuccessRate));
}

#[test]
fn agreement_is_told_as_a_share() {
    let mut tally = Tally::default();
    assert!(agreement(&name("green"), &tally.mirror, Level::USUAL).is_none());
    (0..200).for_each(|n| tally.mirror.record((n != 7).then_some(if n < 3 { 0.5 } else { 0.0 }), 1e-6));
    let agreement = agreement(&name("green"), &tally.mirror, Level::USUAL).unwrap();
    assert!(agreement.sentence.starts_with("green's answers agree with those given in 9"), "{}", agreement.sentence);
    assert!(agreement.sentence.contains("(196 of 200 did, 1 of them failed; 95 % sure"), "{}", agreement.sentence);
    assert_eq!(agreement.difference_p50, Some(0.0));
}

#[test]
fn numbers_have_three_digits_and_a_unit() {
    for (value, text) in
        [(0.0, "0"), (1234.56, "1235"), (3.10, "3.1"), (0.012345, "0.0123"), (-2.0, "-2"), (99.96, "100")]
    {
        assert_eq!(number(value), text);
    }
    assert_eq!([time(1.5), time(0.0123), time(42e-6)], ["1.5 s", "12.3 ms", "42 µs"]);
    assert_eq!(percent(0.0512), "5.12 %");
}
