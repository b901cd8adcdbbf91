//! Requests at random times (a Poisson process), whether or not earlier ones have been answered, as from many clients that do
//! not know of each other.
//!
//! The requests are made by the calling thread, which is not one of the server's; they run on the runtime's threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::cpu::CpuTime;
use super::measurement::{Latencies, Measurement};
use crate::deployment::Deployment;
use crate::memory;
use crate::objective::Objective;
use crate::schedule::{Priority, ScheduleError};
use crate::splitmix::SplitMix64;
use crate::tensor::Tensor;

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Requests a second, on average.
    pub rate: f64,
    pub requests: usize,
    /// How long each may take.
    pub patience: Duration,
    /// When to end, whatever has been sent.
    pub end: Instant,
    /// The trial ends as soon as it is sure to be missed.
    pub objective: &'a Objective,
    pub stop: &'a AtomicBool,
}

/// The longest that a stop goes unnoticed.
const SLICE: Duration = Duration::from_millis(50);

/// Sends the requests, and waits for their answers.
pub fn drive(
    handle: &Handle,
    deployment: &Arc<Deployment>,
    inputs: &Arc<Vec<Tensor>>,
    offer: Offer<'_>,
) -> Measurement {
    let tally = Arc::new(Tally::new(offer));
    let mut gaps = Gaps::new(offer.rate);
    let cpu = CpuTime::now();
    let begun = Instant::now();
    let mut due = begun;
    let mut sent = 0;
    while sent < offer.requests && !tally.is_missed.load(Ordering::Relaxed) {
        let next = due + gaps.next();
        if !wait_until(next, &offer) {
            break;
        }
        due = next;
        sent += 1;
        let (deployment, inputs, tally) = (Arc::clone(deployment), Arc::clone(inputs), Arc::clone(&tally));
        let deadline = due + offer.patience;
        tally.state.lock().outstanding += 1;
        handle.spawn(async move {
            let outcome = deployment.run(inputs.as_ref().clone(), deadline, Priority::Normal).await;
            tally.note(due.elapsed(), outcome.err());
        });
    }
    let (latencies, error) = tally.finish(offer.patience + Duration::from_secs(1));
    let took = begun.elapsed();
    let cpu = cpu.zip(CpuTime::now()).map(|(before, after)| after.of_others_since(before));
    Measurement {
        rate: offer.rate,
        sent,
        latencies,
        span: due - begun,
        drained: begun + took - due,
        cpu: cpu.map(|cpu| cpu.as_secs_f64() / took.as_secs_f64().max(1e-9)),
        memory_bytes: memory::resident_bytes().map(|(now, _)| now),
        error,
    }
}

/// Whether the time came before the end did.
fn wait_until(due: Instant, offer: &Offer<'_>) -> bool {
    loop {
        let now = Instant::now();
        if offer.stop.load(Ordering::Relaxed) || now >= offer.end {
            return false;
        }
        if now >= due {
            return true;
        }
        // Nobody unparks it; what it waits for is the time.
        thread::park_timeout((due - now).min(SLICE));
    }
}

/// What has come of the requests so far.
struct Tally {
    /// `(limit, how many may exceed it)`, of each bound.
    limits: Vec<(Duration, usize)>,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the objective cannot be met any more.
    is_missed: AtomicBool,
}

#[derive(Default)]
struct State {
    outstanding: usize,
    latencies: Latencies,
    /// How many were slower than each limit, or failed.
    beyond: Vec<usize>,
    error: Option<String>,
}

impl Tally {
    fn new(offer: Offer<'_>) -> Tally {
        let bounds = &offer.objective.bounds;
        let limits: Vec<_> = bounds.iter().map(|bound| (bound.limit, bound.may_exceed(offer.requests))).collect();
        let state = State { beyond: vec![0; limits.len()], ..State::default() };
        Tally { limits, state: Mutex::new(state), changed: Condvar::new(), is_missed: AtomicBool::new(false) }
    }

    fn note(&self, latency: Duration, error: Option<ScheduleError>) {
        let mut state = self.state.lock();
        state.outstanding -= 1;
        match &error {
            None => state.latencies.record(latency),
            Some(_) => state.latencies.failed += 1,
        }
        for (beyond, (limit, may_exceed)) in state.beyond.iter_mut().zip(&self.limits) {
            *beyond += usize::from(error.is_some() || latency > *limit);
            if *beyond > *may_exceed {
                self.is_missed.store(true, Ordering::Relaxed);
            }
        }
        // Without a bound, what is refused has not kept up.
        if error.is_some() && self.limits.is_empty() {
            self.is_missed.store(true, Ordering::Relaxed);
        }
        if let Some(ScheduleError::Run(error)) = error {
            state.error.get_or_insert(error.to_string());
        }
        if state.outstanding == 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for what is outstanding; after `patience`, it counts as failed.
    fn finish(&self, patience: Duration) -> (Latencies, Option<String>) {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.outstanding > 0, patience);
        let mut latencies = state.latencies.clone();
        latencies.failed += state.outstanding;
        (latencies, state.error.clone())
    }
}

/// Exponentially distributed times between requests; the same in each trial, so that candidates meet the same.
struct Gaps {
    numbers: SplitMix64,
    mean_s: f64,
}

impl Gaps {
    fn new(rate: f64) -> Gaps {
        Gaps { numbers: SplitMix64::new(0), mean_s: 1.0 / rate.max(1e-6) }
    }

    /// By the inverse of the distribution.
    fn next(&mut self) -> Duration {
        Duration::from_secs_f64(-self.numbers.share().ln() * self.mean_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_as_many_as_asked_for_and_as_uneven_as_chance() {
        let mut gaps = Gaps::new(1_000.0);
        let drawn: Vec<f64> = (0..100_000).map(|_| gaps.next().as_secs_f64() * 1_000.0).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
