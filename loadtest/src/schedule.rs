//! When requests are meant to be sent: the arrivals of an open loop.
//!
//! An arrival's time depends on the rate and the seed only, never on how the server does. Latency is measured from it, so a
//! request that a slow server kept from being sent counts with its wait (no coordinated omission).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How arrivals follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// As those of many independent clients: exponential gaps, so that bursts happen.
    Poisson,
}

/// A stretch of time with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Arrivals per second, over all threads.
    pub rate: f64,
    pub arrivals: Arrivals,
    pub lasts: Duration,
}

/// The arrivals of one thread, in order of time.
///
/// With several threads, constant arrivals are dealt out in turn, and Poisson arrivals are independent processes of a part of
/// the rate each, whose union is a Poisson process of the whole rate.
#[derive(Debug)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    thread: u32,
    threads: u32,
    random: fastrand::Rng,
    /// The stretch that the next arrival is drawn from, and where it begins.
    current: usize,
    begins_s: f64,
    /// Arrivals drawn from this stretch, and the time of the last one after its begin.
    drawn: u64,
    last_s: f64,
}

impl Schedule {
    /// The part of `thread` (counted from 0) of `threads`.
    pub fn new(stretches: Vec<Stretch>, thread: u32, threads: u32, seed: u64) -> Schedule {
        // Threads' seeds must not be neighbours of other runs' seeds.
        let random = fastrand::Rng::with_seed(seed ^ u64::from(thread + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Schedule { stretches, thread, threads, random, current: 0, begins_s: 0.0, drawn: 0, last_s: 0.0 }
    }

    /// The time of the next arrival since the schedule's begin; none once all stretches are over.
    pub fn draw(&mut self) -> Option<Duration> {
        loop {
            let stretch = self.stretches.get(self.current)?;
            let at_s = match stretch.arrivals {
                // Multiplied, not added up: a million additions drift.
                Arrivals::Constant => {
                    let index = self.drawn * u64::from(self.threads) + u64::from(self.thread);
                    index as f64 / stretch.rate
                }
                Arrivals::Poisson => {
                    let uniform = 1.0 - self.random.f64(); // (0, 1]
                    self.last_s - uniform.ln() * f64::from(self.threads) / stretch.rate
                }
            };
            if at_s < stretch.lasts.as_secs_f64() {
                self.drawn += 1;
                self.last_s = at_s;
                return Some(Duration::from_secs_f64(self.begins_s + at_s));
            }
            // A Poisson process has no memory: the next stretch starts afresh.
            self.begins_s += stretch.lasts.as_secs_f64();
            self.current += 1;
            self.drawn = 0;
            self.last_s = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(rate: f64, arrivals: Arrivals, seconds: u64) -> Stretch {
        Stretch { rate, arrivals, lasts: Duration::from_secs(seconds) }
    }

    fn all(mut schedule: Schedule) -> Vec<f64> {
        std::iter::from_fn(|| schedule.draw()).map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn constant_arrivals_are_even_and_do_not_drift() {
        let times = all(Schedule::new(vec![stretch(3000.0, Arrivals::Constant, 100)], 0, 1, 1));
        assert_eq!(times.len(), 300_000);
        for (index, at) in times.iter().enumerate() {
            assert!((at - index as f64 / 3000.0).abs() < 2e-9, "arrival {index} at {at}");
        }
    }

    #[test]
    fn threads_share_constant_arrivals_in_turn() {
        let of = |thread| all(Schedule::new(vec![stretch(10.0, Arrivals::Constant, 1)], thread, 3, 1));
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 2e-9), "{found:?}");
        };
        near(of(0), &[0.0, 0.3, 0.6, 0.9]);
        near(of(1), &[0.1, 0.4, 0.7]);
        near(of(2), &[0.2, 0.5, 0.8]);
    }

    #[test]
    fn poisson_arrivals_have_exponential_gaps() {
        let times = all(Schedule::new(vec![stretch(1000.0, Arrivals::Poisson, 100)], 0, 1, 7));
        // The number is Poisson distributed with mean 100,000: four standard deviations are 1,265.
        assert!(times.len().abs_diff(100_000) < 1_265, "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Mean and standard deviation of an exponential distribution are equal.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{mean} {variance}");
        // Its quantiles: the share of gaps up to t is 1 - exp(-t / mean).
        for (gap, share) in [(0.1e-3, 0.0952), (1e-3, 0.6321), (3e-3, 0.9502)] {
            let found = gaps.iter().filter(|found| **found <= gap).count() as f64 / gaps.len() as f64;
            assert!((found - share).abs() < 0.006, "{gap}: {found}");
        }
        // And gaps are independent: no correlation between neighbours.
        let together = gaps.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / gaps.len() as f64;
        assert!((together / variance).abs() < 0.013, "{together}");
    }

    #[test]
    fn poisson_threads_make_the_whole_rate_and_differ() {
        let of = |thread| all(Schedule::new(vec![stretch(1000.0, Arrivals::Poisson, 100)], thread, 4, 7));
        let each: Vec<Vec<f64>> = (0..4).map(of).collect();
        let sum: usize = each.iter().map(Vec::len).sum();
        assert!(sum.abs_diff(100_000) < 1_265, "{sum}");
        assert_ne!(each[0][..10], each[1][..10]);
        assert_eq!(of(2), each[2], "the seed decides");
    }

    #[test]
    fn rates_change_where_a_stretch_ends() {
        let stretches = vec![stretch(10.0, Arrivals::Constant, 1), stretch(1000.0, Arrivals::Poisson, 20)];
        let times = all(Schedule::new(stretches, 0, 1, 3));
        let first = times.iter().filter(|at| **at < 1.0).count();
        assert_eq!(first, 10);
        assert!((times.len() - first).abs_diff(20_000) < 566, "{}", times.len());
        assert!(times.is_sorted());
        assert!(*times.last().unwrap() < 21.0);
    }
}
