//! How closely requests follow each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moving average of the time between two requests.
#[derive(Debug)]
pub struct Arrivals {
    began: Instant,
    /// Nanoseconds since then.
    last_ns: AtomicU64,
    gap_ns: AtomicU64,
}

/// A pause counts for no more than this, so that a busy time after a quiet one is soon noticed.
const PAUSE_NS_MAX: u64 = 1_000_000;

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals { began: Instant::now(), last_ns: AtomicU64::new(0), gap_ns: AtomicU64::new(PAUSE_NS_MAX) }
    }
}

impl Arrivals {
    /// Notes a request, and gives the average.
    pub fn note(&self, now: Instant) -> Duration {
        let now_ns = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        let last_ns = self.last_ns.swap(now_ns, Ordering::Relaxed);
        let gap = now_ns.saturating_sub(last_ns).min(PAUSE_NS_MAX);
        // An update lost between two threads is one sample of many.
        let average = self.gap_ns.load(Ordering::Relaxed);
        let updated = average - average / 16 + gap / 16;
        self.gap_ns.store(updated, Ordering::Relaxed);
        Duration::from_nanos(updated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_what_comes() {
        let arrivals = Arrivals::default();
        let mut now = arrivals.began;
        let mut after = |gap_us: u64, times: usize| {
            (0..times).fold(Duration::MAX, |_, _| {
                now += Duration::from_micros(gap_us);
                arrivals.note(now)
            })
        };
        assert!(after(10, 200) < Duration::from_micros(11));
        assert!(after(1_000_000, 1) < Duration::from_micros(80), "one pause is no quiet time");
        assert!(after(1_000, 200) > Duration::from_micros(900));
    }
}
