use std::time::Duration;

use super::measurement::{Latencies, Measurement};
use super::search::{Bench, Stop, Tried, Verdict};
use super::*;
use crate::schedule::{Execution, Wishes};

const US: Duration = Duration::from_micros(1);

/// A machine made up of formulas: half of the requests take what one takes alone, the rest longer the busier it is.
struct MadeUp<'a> {
    /// How many requests a second a candidate can take.
    capacity: &'a dyn Fn(&Candidate) -> Result<f64, Stop>,
    alone: Duration,
    open: Option<Candidate>,
    /// Trials that there is time for, and that there have been.
    trials_max: usize,
    offered: Vec<(Candidate, f64)>,
}

impl<'a> MadeUp<'a> {
    fn new(alone: Duration, capacity: &'a dyn Fn(&Candidate) -> Result<f64, Stop>) -> MadeUp<'a> {
        MadeUp { capacity, alone, open: None, trials_max: 1_000, offered: Vec::new() }
    }
}

impl Bench for MadeUp<'_> {
    fn open(&mut self, candidate: &Candidate) -> Result<Duration, Stop> {
        (self.capacity)(candidate)?;
        self.open = Some(*candidate);
        Ok(self.alone)
    }

    fn offer(&mut self, rate: f64, objective: &Objective) -> Result<Measurement, Stop> {
        if self.offered.len() == self.trials_max {
            return Err(Stop::TimeIsUp);
        }
        let candidate = self.open.unwrap();
        self.offered.push((candidate, rate));
        let idle = 1.0 - rate / (self.capacity)(&candidate)?;
        let sent = objective.samples_needed().max(1_000);
        let slow = if idle > 0.0 { self.alone.div_f64(idle) } else { Duration::from_secs(1) };
        Ok(measured(rate, sent, &[(sent / 2, self.alone), (sent - sent / 2, slow)], idle > 0.0))
    }

    fn time_left(&self) -> f64 {
        1.0 - self.offered.len() as f64 / self.trials_max as f64
    }
}

fn measured(rate: f64, sent: usize, times: &[(usize, Duration)], keeps_up: bool) -> Measurement {
    let mut latencies = Latencies::default();
    for (count, took) in times {
        (0..*count).for_each(|_| latencies.record(*took));
    }
    latencies.failed = sent - latencies.succeeded();
    let span = Duration::from_secs_f64(sent as f64 / rate);
    let drained = if keeps_up { Duration::ZERO } else { span };
    Measurement { rate, sent, latencies, span, drained, cpu: Some(1.0), memory_bytes: Some(1 << 30), error: None }
}

fn candidate(execution: Option<Execution>, workers: usize, intra_op_threads: usize, max_batch: usize) -> Candidate {
    Candidate { execution, workers, intra_op_threads, max_batch }
}

fn space(start: Candidate, planned: Execution) -> Space {
    Space { start, planned, cores: 2, can_join: true, asked: Wishes::default() }
}

fn goal(slo: &str) -> Goal {
    Goal { objective: slo.parse().unwrap(), rate: None }
}

fn note<'a>(findings: &'a Findings, candidate: &Candidate) -> &'a str {
    let tried = findings.tried.iter().find(|tried| tried.candidate == *candidate);
    tried.and_then(|tried| tried.note.as_deref()).unwrap_or_default()
}

#[test]
fn an_objective_is_percentiles_with_times() {
    let objective: Objective = " p50=500us, p99.9 = 1.5s,P95=20ms".parse().unwrap();
    let bounds: Vec<_> = objective.bounds.iter().map(|bound| (bound.percentile, bound.limit)).collect();
    assert_eq!(bounds, [(50.0, 500 * US), (99.9, 1_500_000 * US), (95.0, 20_000 * US)]);
    assert_eq!(objective.to_string(), "p50=500µs,p99.9=1.5s,p95=20ms");
    assert_eq!(objective.to_string().parse(), Ok(objective.clone()), "it reads what it writes");
    assert_eq!((objective.tightest(), objective.longest()), (Some(500 * US), Some(1_500_000 * US)));
}

#[test]
fn a_mistake_in_an_objective_is_told_with_a_right_one() {
    for (text, expected) in [
        ("", "'' is no objective: expected a percentile and a time, as in p99=5ms"),
        ("p99:5ms", "'p99:5ms' is no objective"),
        ("99=5ms", "'99' is no percentile: expected p and a number between 0 and 100, as in p99"),
        ("p100=5ms", "'p100' is no percentile"),
        ("pNaN=5ms", "'pNaN' is no percentile"),
        ("p99=5", "'5' is no time: expected a number above 0 with us, ms or s, as in 500us"),
        ("p99=0ms", "'0ms' is no time"),
        ("p99=-1ms", "'-1ms' is no time"),
        ("p99=infs", "'infs' is no time"),
        ("p99=5ms,p99=6ms", "p99 is bounded twice"),
        ("p99=5ms,", "'' is no objective"),
    ] {
        let error = text.parse::<Objective>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn a_percentile_needs_requests_beyond_it() {
    let needed = |slo: &str| slo.parse::<Objective>().unwrap().samples_needed();
    assert_eq!([needed("p50=1s"), needed("p99=1s"), needed("p50=1s,p99.9=1s")], [50, 500, 5_000]);
    let few = measured(10.0, 499, &[(499, 900 * US)], true);
    assert_eq!(goal("p99=1ms").judge(&few), Verdict::Unsure);
    assert_eq!(goal("p99=1ms").judge(&measured(10.0, 500, &[(500, 900 * US)], true)), Verdict::Met);
    assert_eq!(goal("p99=800us").judge(&few), Verdict::Missed, "few are enough to see that");
}

#[test]
fn what_failed_counts_as_slower_than_anything() {
    let at = |answered: usize| measured(10.0, 500, &[(answered, 900 * US)], true).latencies.at(99.0);
    assert!(at(495).is_some() && at(494).is_none());
    let refused = measured(10.0, 500, &[(496, 900 * US)], true);
    assert_eq!(
        goal("p99=1ms").judge(&refused),
        Verdict::Missed,
        "a rate at which requests are refused is not kept up with"
    );
    assert_eq!(Goal::default().judge(&measured(10.0, 500, &[(500, 900 * US)], false)), Verdict::Missed);
}

#[test]
fn the_rate_is_raised_until_the_objective_is_missed_and_then_narrowed_down() {
    let start = candidate(None, 2, 1, 1);
    // Only the start can be had.
    let capacity = |other: &Candidate| {
        if *other == start { Ok(10_000.0) } else { Err(Stop::Unusable("not in this test".to_owned())) }
    };
    let mut bench = MadeUp::new(200 * US, &capacity);
    // Slow requests take 200 us / idle: at most 1 ms up to four fifths of the capacity.
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal("p99=1ms"));
    let met = findings.best().and_then(Tried::met).unwrap().measurement.rate;
    assert!(findings.is_met() && met <= 8_000.0 && met * 1.1 >= 8_000.0, "{met}");
    let rates: Vec<_> = bench.offered.iter().map(|(_, rate)| *rate).collect();
    assert_eq!(rates[0], 5_000.0, "half of what the sessions can do by what one request takes");
    assert_eq!(rates.last(), Some(&met), "the best is shown again");
}

#[test]
fn the_search_follows_what_is_better_and_is_soon_done_with_what_is_not() {
    let start = candidate(None, 2, 1, 8);
    let capacity = |other: &Candidate| {
        let rows = match other.max_batch {
            32 => 4.0,
            16 => 2.0,
            8 => 1.0,
            _ => 0.5,
        };
        Ok(10_000.0 * rows * if other.execution.is_some() { 0.5 } else { 1.0 })
    };
    let mut bench = MadeUp::new(200 * US, &capacity);
    let findings = search(&mut bench, &space(start, Execution::Combining), &Goal::default());
    assert_eq!(findings.best().unwrap().candidate, candidate(None, 2, 1, 32));
    let trials = |candidate: &Candidate| bench.offered.iter().filter(|(tried, _)| tried == candidate).count();
    let pooled = candidate(Some(Execution::Pooled), 2, 1, 32);
    assert_eq!((trials(&pooled), note(&findings, &pooled)), (2, "no better than the best before it"));
    let tried: Vec<_> = findings.tried.iter().map(|tried| tried.candidate.max_batch).take(3).collect();
    assert_eq!(tried, [8, 16, 32], "on in the direction that was better");
}

#[test]
fn what_cannot_help_is_not_tried_and_the_report_says_why() {
    let start = candidate(None, 2, 1, 1);
    let capacity = |other: &Candidate| if other.max_batch > 1 { Err(Stop::NotJoined) } else { Ok(10_000.0) };
    let mut bench = MadeUp::new(20 * US, &capacity);
    let findings = search(&mut bench, &space(start, Execution::Combining), &Goal::default());
    assert!(note(&findings, &candidate(None, 2, 1, 8)).contains("cannot be joined"));
    assert!(note(&findings, &candidate(None, 1, 2, 1)).contains("too short for threads within it"));

    let mut bench = MadeUp::new(30_000 * US, &capacity);
    let findings = search(&mut bench, &space(start, Execution::Pooled), &Goal::default());
    assert!(note(&findings, &candidate(Some(Execution::Combining), 2, 1, 1)).contains("would hold up the threads"));
    assert!(bench.offered.iter().all(|(tried, _)| tried.execution.is_none() && tried.max_batch == 1));
}

#[test]
fn no_batch_is_tried_of_a_model_whose_rows_may_mix() {
    let start = candidate(None, 2, 1, 1);
    let mut bench = MadeUp::new(20 * US, &|_| Ok(10_000.0));
    let space = Space { can_join: false, ..space(start, Execution::Combining) };
    let findings = search(&mut bench, &space, &Goal::default());
    assert!(note(&findings, &candidate(None, 2, 1, 8)).contains("cannot be joined"));
    assert!(bench.offered.iter().all(|(tried, _)| tried.max_batch == 1));
}

#[test]
fn what_the_operator_has_set_is_not_varied() {
    let start = candidate(Some(Execution::Pooled), 1, 2, 4);
    let asked = Wishes { execution: Some(Execution::Pooled), workers: 1, max_batch: 4, ..Wishes::default() };
    assert_eq!(start.neighbours(Execution::Pooled, 2, asked), [candidate(Some(Execution::Pooled), 1, 1, 4)]);
    assert!(start.neighbours(Execution::Pooled, 2, Wishes { intra_op_threads: 2, ..asked }).is_empty());
}

#[test]
fn an_objective_beyond_reach_is_missed_with_the_nearest_to_it() {
    let start = candidate(None, 2, 1, 1);
    let capacity = |_: &Candidate| Ok(10_000.0);
    let mut bench = MadeUp::new(200 * US, &capacity);
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal("p99=1us"));
    assert!(!findings.is_met());
    assert_eq!(findings.best().unwrap().candidate, start);
    assert!(findings.best().unwrap().shown(&goal("p99=1us")).is_some());
    assert!(note(&findings, &candidate(None, 1, 1, 1)).contains("a request that is alone takes longer than 1µs"));
    assert_eq!(bench.offered.len(), 2, "once, and once more");
}

#[test]
fn at_one_rate_the_lowest_latency_is_best() {
    let start = candidate(None, 2, 1, 1);
    let capacity = |other: &Candidate| Ok(if other.execution.is_some() { 20_000.0 } else { 10_000.0 });
    let mut bench = MadeUp::new(200 * US, &capacity);
    let goal = Goal { rate: Some(5_000.0), ..goal("p99=1ms") };
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal);
    assert_eq!(findings.best().unwrap().candidate, candidate(Some(Execution::Pooled), 2, 1, 1));
    assert!(bench.offered.iter().all(|(_, rate)| *rate == 5_000.0));
}

#[test]
fn a_stall_of_the_machine_is_not_held_against_a_rate() {
    struct Stalling<'a>(MadeUp<'a>);
    impl Bench for Stalling<'_> {
        fn open(&mut self, candidate: &Candidate) -> Result<Duration, Stop> {
            self.0.open(candidate)
        }

        fn offer(&mut self, rate: f64, objective: &Objective) -> Result<Measurement, Stop> {
            let measurement = self.0.offer(rate, objective)?;
            let stalls = self.0.offered.len() == 1;
            Ok(if stalls { measured(rate, 1_000, &[(1_000, Duration::from_secs(1))], false) } else { measurement })
        }

        fn time_left(&self) -> f64 {
            self.0.time_left()
        }
    }
    let start = candidate(None, 2, 1, 8);
    let capacity = |_: &Candidate| Ok(10_000.0);
    let mut bench = Stalling(MadeUp::new(200 * US, &capacity));
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal("p99=1ms"));
    let met = findings.best().and_then(Tried::met).unwrap().measurement.rate;
    assert!(met * 1.1 >= 8_000.0, "{met}");
}

#[test]
fn a_best_that_was_luck_gives_way() {
    // The other candidate can do twice as much, for the first trials only.
    let (start, lucky) = (candidate(None, 2, 1, 1), candidate(Some(Execution::Pooled), 2, 1, 1));
    let trials = std::cell::Cell::new(0);
    let capacity = |other: &Candidate| match other {
        other if *other == start => Ok(10_000.0),
        other if *other == lucky => {
            trials.set(trials.get() + 1);
            Ok(if trials.get() < 9 { 20_000.0 } else { 1_000.0 })
        }
        _ => Err(Stop::Unusable("not in this test".to_owned())),
    };
    let mut bench = MadeUp::new(200 * US, &capacity);
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal("p99=1ms"));
    assert_eq!(findings.best().unwrap().candidate, start);
    assert_eq!(note(&findings, &lucky), "met a higher rate once, and not again");
    assert!(findings.tried.iter().any(|tried| tried.trials.len() > 1 && tried.candidate == lucky));
}

#[test]
fn a_search_that_is_cut_short_tells_what_it_knows() {
    let start = candidate(None, 2, 1, 8);
    let capacity = |_: &Candidate| Ok(10_000.0);
    let mut bench = MadeUp { trials_max: 2, ..MadeUp::new(200 * US, &capacity) };
    let findings = search(&mut bench, &space(start, Execution::Combining), &goal("p99=1ms"));
    assert!(findings.is_met(), "{findings:?}");
    let mut bench = MadeUp { trials_max: 0, ..MadeUp::new(200 * US, &capacity) };
    let findings = search(&mut bench, &space(start, Execution::Combining), &Goal::default());
    assert!(findings.best().is_none() && !findings.is_met());
}
