//! Counts one deployment's answers while they are given, at next to no cost.
//!
//! As in `telemetry/durations.rs`, threads count in cells of their own. An answer adds to one cell; everything else is worked out
//! by whoever reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::sketch::{bucket, upper_edge};
use super::{Mirror, Tally};

/// The buckets that are told apart: from a microsecond to 137 seconds. What is outside is counted at the ends.
const FIRST: usize = bucket(1 << 10);
const LAST: usize = bucket((1 << 37) - 1);
const CELLS: usize = LAST - FIRST + 1;

/// Sets of cells. Threads beyond their number share.
const SHARDS: usize = 4;

/// The counts of one deployment under one revision, as they grow.
#[derive(Debug)]
pub struct Recorder {
    shards: [Box<Shard>; SHARDS],
    refused: AtomicU64,
    failed: AtomicU64,
    mirror: Mutex<Mirror>,
}

/// Of answers that succeeded, by how long they took. Aligned so that no cache line belongs to two.
#[derive(Debug)]
#[repr(align(64))]
struct Shard([AtomicU64; CELLS]);

impl Default for Recorder {
    fn default() -> Recorder {
        let shard = || Box::new(Shard([const { AtomicU64::new(0) }; CELLS]));
        Recorder {
            shards: [shard(), shard(), shard(), shard()],
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            mirror: Mutex::default(),
        }
    }
}

impl Recorder {
    /// An answer with this status was given.
    pub fn answered(&self, status: u16, took: Duration) {
        thread_local!(static SHARD: usize = {
            static THREADS: AtomicUsize = AtomicUsize::new(0);
            THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS
        });
        let cell = match status {
            0..400 => {
                let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                &self.shards[SHARD.with(|shard| *shard)].0[bucket(ns).clamp(FIRST, LAST) - FIRST]
            }
            400..500 => &self.refused,
            _ => &self.failed,
        };
        cell.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer was compared with this deployment's, which differs by so much; `None` if it gave none.
    pub fn mirrored(&self, difference: Option<f64>, tolerance: f64) {
        self.mirror.lock().record(difference, tolerance);
    }

    /// What has been counted so far.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            ..Tally::default()
        };
        for index in 0..CELLS {
            let count = self.shards.iter().map(|shard| shard.0[index].load(Ordering::Relaxed)).sum();
            tally.latency_ns.record_in(FIRST + index, count);
        }
        tally.succeeded = tally.latency_ns.count();
        tally.mirror = self.mirror.lock().clone();
        tally
    }
}

/// The longest time that is told from longer ones.
pub fn longest_told_apart() -> Duration {
    Duration::from_nanos(upper_edge(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_have_counted_is_one_tally() {
        let recorder = Recorder::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for (status, us) in [(200, 500), (200, 1_000), (404, 5), (500, 5), (504, 5)] {
                        recorder.answered(status, Duration::from_micros(us));
                    }
                });
            }
        });
        recorder.answered(200, Duration::ZERO);
        recorder.answered(200, Duration::MAX);
        recorder.mirrored(Some(0.0), 1e-6);
        let tally = recorder.tally();
        assert_eq!((tally.succeeded, tally.refused, tally.failed), (18, 8, 16));
        assert_eq!(tally.mirror.agreed, 1);
        assert_eq!(tally.latency_ns.count_up_to(500_000), 9);
        assert_eq!(tally.latency_ns.quantile(1.0), Some(longest_told_apart().as_nanos() as u64));
    }
}
