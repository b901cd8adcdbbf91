//! What a run costs, learnt from the runs there have been.
//!
//! A run takes a time of its own and a time for each element: `fixed + per_element × elements`. Both are fitted to the runs seen
//! (least squares, older runs weighing exponentially less), beginning with those that measured the model at load. Beyond the
//! largest run seen, the cost is taken to grow with the elements, fixed part and all: that is rather too much than too little.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// How much of an older run's weight is left after each newer one: some fifty runs count.
const MEMORY: f64 = 0.98;

/// What one run was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub rows: usize,
    pub elements: usize,
    pub took: Duration,
}

/// The cost of runs, to be asked by requests without a lock.
#[derive(Debug, Default)]
pub struct Cost {
    sums: Mutex<Sums>,
    /// The fit: nanoseconds, as the bits of an `f64`.
    fixed_ns: AtomicU64,
    per_element_ns: AtomicU64,
    elements_per_row: AtomicU64,
    /// The elements of the largest run seen.
    largest: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: f64,
    rows: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    per_element: f64,
}

impl Cost {
    /// Learns from the runs that measured the model.
    pub fn new(measured: &[Sample]) -> Cost {
        let cost = Cost::default();
        measured.iter().for_each(|sample| cost.learn(*sample));
        cost
    }

    /// Learns from a run.
    pub fn learn(&self, sample: Sample) {
        let mut sums = self.sums.lock();
        sums.add(sample);
        let fit = sums.fit();
        // Stored under the lock, so that a later fit is not replaced by an earlier one.
        self.fixed_ns.store(fit.fixed.to_bits(), Ordering::Relaxed);
        self.per_element_ns.store(fit.per_element.to_bits(), Ordering::Relaxed);
        self.elements_per_row.store(fit.elements_per_row.to_bits(), Ordering::Relaxed);
        self.largest.fetch_max(sample.elements, Ordering::Relaxed);
    }

    /// How long a run of so many elements should take; `None` while nothing is known.
    pub fn of_elements(&self, elements: usize) -> Option<Duration> {
        self.ns(elements as f64)
    }

    /// The same without the caution beyond the largest run seen: the line goes on.
    pub fn likely(&self, elements: usize) -> Option<Duration> {
        duration(self.line(elements as f64))
    }

    /// How long a run of so many rows should take, of the sizes seen lately.
    pub fn of_rows(&self, rows: usize) -> Option<Duration> {
        self.ns(rows as f64 * load(&self.elements_per_row))
    }

    fn ns(&self, elements: f64) -> Option<Duration> {
        let within = elements.min(self.largest.load(Ordering::Relaxed) as f64);
        let beyond = if elements > within { elements / within.max(1.0) } else { 1.0 };
        duration(self.line(within) * beyond)
    }

    fn line(&self, elements: f64) -> f64 {
        load(&self.fixed_ns) + load(&self.per_element_ns) * elements
    }
}

fn duration(ns: f64) -> Option<Duration> {
    (ns > 0.0).then(|| Duration::from_nanos(ns as u64))
}

fn load(bits: &AtomicU64) -> f64 {
    f64::from_bits(bits.load(Ordering::Relaxed))
}

struct Fit {
    fixed: f64,
    per_element: f64,
    elements_per_row: f64,
}

impl Sums {
    fn add(&mut self, Sample { rows, elements, took }: Sample) {
        let (x, y) = (elements as f64, took.as_nanos() as f64);
        for (sum, value) in [
            (&mut self.weight, 1.0),
            (&mut self.rows, rows as f64),
            (&mut self.x, x),
            (&mut self.y, y),
            (&mut self.xx, x * x),
            (&mut self.xy, x * y),
        ] {
            *sum = *sum * MEMORY + value;
        }
    }

    fn fit(&mut self) -> Fit {
        let (x, y) = (self.x / self.weight, self.y / self.weight);
        let variance = self.xx / self.weight - x * x;
        // Runs of one size say nothing of others: what was known of the slope stays.
        if variance > 1e-3 * x * x {
            self.per_element = ((self.xy / self.weight - x * y) / variance).max(0.0);
        }
        // A run costs something before its first element, and never less than nothing.
        if self.per_element * x > y {
            self.per_element = y / x;
        }
        Fit {
            fixed: y - self.per_element * x,
            per_element: self.per_element,
            elements_per_row: self.x / self.rows.max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize, ns: u64) -> Sample {
        Sample { rows, elements: 10 * rows, took: Duration::from_nanos(ns) }
    }

    fn ns(duration: Option<Duration>) -> u64 {
        duration.map_or(0, |duration| duration.as_nanos() as u64)
    }

    #[test]
    fn nothing_is_known_before_the_first_run() {
        let cost = Cost::default();
        assert_eq!((cost.of_elements(10), cost.of_rows(1)), (None, None));
    }

    #[test]
    fn a_line_is_found() {
        let cost = Cost::new(&[1, 2, 4, 16].map(|rows| sample(rows, 1_000 + 50 * rows as u64)));
        assert!(ns(cost.of_rows(16)).abs_diff(1_800) < 5, "{:?}", cost.of_rows(16));
        assert!(ns(cost.of_elements(10)).abs_diff(1_050) < 5);
    }

    #[test]
    fn runs_of_one_size_leave_what_was_known_of_others() {
        let cost = Cost::new(&[sample(1, 1_050), sample(11, 1_550)]);
        for _ in 0..2_000 {
            cost.learn(sample(1, 1_050));
        }
        assert!(ns(cost.of_rows(1)).abs_diff(1_050) < 5);
        assert!(ns(cost.of_rows(11)).abs_diff(1_550) < 30, "{:?}", cost.of_rows(11));
    }

    #[test]
    fn a_model_that_has_become_slow_is_known_to_be_slow() {
        let cost = Cost::new(&[sample(1, 1_000)]);
        for _ in 0..300 {
            cost.learn(sample(1, 5_000_000));
        }
        assert!(cost.of_elements(10).unwrap() > Duration::from_millis(4));
    }

    #[test]
    fn what_is_larger_than_anything_seen_is_taken_to_cost_in_proportion() {
        let cost = Cost::new(&[sample(1, 1_000)]);
        assert_eq!(ns(cost.of_elements(10)), 1_000);
        assert_eq!(ns(cost.of_elements(5)), 1_000);
        assert_eq!(ns(cost.of_elements(40)), 4_000);
    }

    #[test]
    fn what_it_is_likely_to_cost_is_on_the_line() {
        let cost = Cost::new(&[1, 2, 4, 16].map(|rows| sample(rows, 1_000 + 50 * rows as u64)));
        assert!(ns(cost.likely(10_000)).abs_diff(51_000) < 50, "{:?}", cost.likely(10_000));
        assert_eq!(cost.likely(100), cost.of_elements(100));
    }
}
