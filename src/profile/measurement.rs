//! What came of offering a deployment so many requests a second.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::objective::rank;

/// A trial's outcome.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Requests a second that were asked for.
    pub rate: f64,
    pub sent: usize,
    pub latencies: Latencies,
    /// From the first intended arrival to the last.
    pub span: Duration,
    /// From the last intended arrival to the last answer.
    pub drained: Duration,
    /// Cores that were in use on average, without the one that makes the requests; `None` where nobody tells.
    pub cpu: Option<f64>,
    /// Resident memory at the end.
    pub memory_bytes: Option<u64>,
    /// What the model said of a request that it failed.
    pub error: Option<String>,
}

/// From the time a request was to be sent at, late or not, to its answer. (So a stall counts for all requests that it would
/// have met, which is what "coordinated omission" leaves out.)
#[derive(Clone, Debug)]
pub struct Latencies {
    /// In nanoseconds.
    histogram: Histogram<u64>,
    pub failed: usize,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(100, 1_000_000_000_000, 3).expect("the bounds are in order");
        Latencies { histogram, failed: 0 }
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn succeeded(&self) -> usize {
        self.histogram.len() as usize
    }

    /// A percentile of all requests, those that failed counted as endless; `None` if it is one of these, or there are none.
    pub fn at(&self, percentile: f64) -> Option<Duration> {
        let succeeded = self.succeeded();
        let rank = rank(percentile, succeeded + self.failed);
        if rank == 0 || rank > succeeded {
            return None;
        }
        // In the middle of a rank, so that no rounding makes it the next one.
        let nanoseconds = self.histogram.value_at_quantile((rank as f64 - 0.5) / succeeded as f64);
        Some(Duration::from_nanos(nanoseconds))
    }

    /// Of those that were answered.
    pub fn mean(&self) -> Option<Duration> {
        (self.succeeded() > 0).then(|| Duration::from_nanos(self.histogram.mean() as u64))
    }

    fn least(&self) -> Duration {
        Duration::from_nanos(if self.histogram.is_empty() { 0 } else { self.histogram.min() })
    }
}

impl Measurement {
    /// Whether answers came as fast as requests did: nothing was refused, and no queue was left at the end but for the requests
    /// that were being run.
    pub fn kept_up(&self) -> bool {
        self.latencies.failed == 0 && self.drained <= self.span / 20 + 4 * self.latencies.least()
    }

    /// Answers a second.
    pub fn throughput(&self) -> f64 {
        self.latencies.succeeded() as f64 / (self.span + self.drained).as_secs_f64().max(1e-9)
    }
}
