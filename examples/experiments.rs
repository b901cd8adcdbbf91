//! How often experiments are wrong, and how soon they are right: the tables of `docs/experiments.md`.
//!
//! `cargo run --release --example experiments [RUNS]`. Seeds are fixed, so the same number of runs gives the same tables.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "names that are written here are names")]

use scoria::experiment::{Count, Level, Metric, Outcome, RatePair, Sketch, Tally, Verdict, compare, compare_quantiles};
use scoria::name::Name;

/// Observations of each deployment, one of each after the other, with a look after each pair.
const LOOKS: u64 = 3_000;

fn main() {
    let runs = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(400);
    println!("False alarms at a level of 5 %, {runs} experiments, {LOOKS} looks each, both deployments alike:\n");
    println!("| what is compared | this server | a test for one look, at each look |\n|---|---|---|");
    for rate in [0.001, 0.01, 0.1, 0.5] {
        let found = alarms(runs, |random| first_alarm(random, [rate, rate], is_shown));
        let naive = alarms(runs, |random| first_alarm(random, [rate, rate], is_shown_to_one_look));
        println!("| rates of {} % | {} | {} |", 100.0 * rate, percent(found, runs), percent(naive, runs));
    }
    for quantile in [0.5, 0.99] {
        let found = alarms(runs.min(200), |random| quantile_alarm(random, quantile, 1.0, 1_000));
        let what = format!("p{} of log-normal latencies (1,000 looks)", 100.0 * quantile);
        println!("| {what} | {} | |", percent(found, runs.min(200)));
    }
    for (what, is_skewed) in [("means of normal numbers", false), ("means of log-normal numbers", true)] {
        let found = alarms(runs, |random| mean_alarm(random, is_skewed, 0.0));
        println!("| {what} | {} | |", percent(found, runs));
    }
    println!("\nRequests of each deployment until a difference is shown, in {runs} experiments of at most {LOOKS}:\n");
    println!("| rates | half of them by | 90 % of them by | a test for one look at 80 % power |\n|---|---|---|---|");
    for [one, other] in [[0.01, 0.5], [0.01, 0.2], [0.01, 0.05], [0.01, 0.03], [0.05, 0.1], [0.3, 0.4]] {
        let mut random = Random(5);
        let mut needed: Vec<u64> =
            (0..runs).map(|_| first_alarm(&mut random, [one, other], is_shown).unwrap_or(u64::MAX)).collect();
        needed.sort_unstable();
        let at = |share: f64| match needed[(share * (runs - 1) as f64) as usize] {
            u64::MAX => "more".to_owned(),
            count => count.to_string(),
        };
        let fixed = 7.85 * (one * (1.0 - one) + other * (1.0 - other)) / (one - other).powi(2);
        println!("| {} % and {} % | {} | {} | {} |", 100.0 * one, 100.0 * other, at(0.5), at(0.9), fixed.ceil());
    }
}

fn alarms(runs: u64, mut experiment: impl FnMut(&mut Random) -> Option<u64>) -> u64 {
    let mut random = Random(1);
    (0..runs).filter(|_| experiment(&mut random).is_some()).count() as u64
}

/// After how many pairs a difference is shown first.
fn first_alarm(random: &mut Random, rates: [f64; 2], is_shown: impl Fn(Count, Count) -> bool) -> Option<u64> {
    let mut successes = [0, 0];
    (1..=LOOKS).find(|trials| {
        for (count, rate) in successes.iter_mut().zip(rates) {
            *count += u64::from(random.share() <= rate);
        }
        let [one, other] = successes.map(|successes| Count { successes, trials: *trials });
        is_shown(one, other)
    })
}

fn is_shown(candidate: Count, baseline: Count) -> bool {
    RatePair { candidate, baseline }.differ(Level::USUAL)
}

/// The usual z test of two proportions, once there are a few events.
fn is_shown_to_one_look(one: Count, other: Count) -> bool {
    let trials = one.trials as f64;
    let pooled = (one.successes + other.successes) as f64 / (2.0 * trials);
    let error = (2.0 * pooled * (1.0 - pooled) / trials).sqrt();
    let apart = (one.successes as f64 - other.successes as f64) / trials;
    one.successes + other.successes >= 10 && error > 0.0 && (apart / error).abs() > 1.959_964
}

fn quantile_alarm(random: &mut Random, quantile: f64, factor: f64, looks: u64) -> Option<u64> {
    let (mut own, mut other) = (Sketch::default(), Sketch::default());
    (1..=looks).find(|_| {
        own.record((factor * 1e6 * (0.5 * random.normal()).exp()) as u64);
        other.record((1e6 * (0.5 * random.normal()).exp()) as u64);
        let (difference, _) = compare_quantiles(&own, &other, quantile, Level::USUAL);
        !difference.contains(0.0)
    })
}

fn mean_alarm(random: &mut Random, is_skewed: bool, shift: f64) -> Option<u64> {
    let names = ["a", "b"].map(|name| Name::parse(name).unwrap());
    let mut tallies = [Tally::default(), Tally::default()];
    (1..=LOOKS).find(|_| {
        for (index, tally) in tallies.iter_mut().enumerate() {
            let number = if is_skewed { random.normal().exp() } else { random.normal() };
            tally.outcomes.record(Outcome::Number(number + if index == 0 { shift } else { 0.0 }));
        }
        let found = compare(Metric::MeanOutcome, (&names[0], &tallies[0]), (&names[1], &tallies[1]), Level::USUAL);
        found.verdict == Verdict::Different
    })
}

fn percent(found: u64, runs: u64) -> String {
    format!("{:.1} %", 100.0 * found as f64 / runs as f64)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// From the standard normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }
}
