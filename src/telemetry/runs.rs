//! A deployment's successful runs, counted by their rows: what the statistics of clients ask for and no metric tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Runs of more rows are counted, but not by themselves: their sizes are the clients' choice, and without number.
const LISTED_ROWS: usize = 64;

/// Counters that a run adds to: a handful of atomics, no lock.
#[derive(Debug)]
pub struct Runs {
    runs: AtomicU64,
    rows: AtomicU64,
    /// Milliseconds since 1970; 0 before the first.
    last_ms: AtomicU64,
    /// Of one row, of two, and so on.
    by_rows: [Cell; LISTED_ROWS],
}

#[derive(Debug, Default)]
struct Cell {
    runs: AtomicU64,
    ns: AtomicU64,
}

/// Runs of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunsOfSize {
    pub rows: u64,
    pub runs: u64,
    pub took: Duration,
}

impl Default for Runs {
    fn default() -> Self {
        Runs {
            runs: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            by_rows: std::array::from_fn(|_| Cell::default()),
        }
    }
}

impl Runs {
    /// A run over so many rows was successful.
    pub fn observe(&self, rows: usize, took: Duration) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        if let Some(cell) = rows.checked_sub(1).and_then(|index| self.by_rows.get(index)) {
            cell.runs.fetch_add(1, Ordering::Relaxed);
            cell.ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        // Read first: of the runs within a millisecond only one takes the cache line away from the others.
        if self.last_ms.load(Ordering::Relaxed) < now {
            self.last_ms.store(now, Ordering::Relaxed);
        }
    }

    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Over all runs.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970 at the end of the last run; 0 if there was none.
    pub fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }

    /// The sizes up to 64 rows that there were.
    pub fn by_rows(&self) -> Vec<RunsOfSize> {
        let cells = self.by_rows.iter().zip(1u64..).map(|(cell, rows)| RunsOfSize {
            rows,
            runs: cell.runs.load(Ordering::Relaxed),
            took: Duration::from_nanos(cell.ns.load(Ordering::Relaxed)),
        });
        cells.filter(|of_size| of_size.runs > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_as_a_whole_and_by_size() {
        let runs = Runs::default();
        assert_eq!((runs.runs(), runs.last_ms(), runs.by_rows()), (0, 0, Vec::new()));
        for rows in [1, 3, 3, 64, 65, 0] {
            runs.observe(rows, Duration::from_micros(5));
        }
        assert_eq!((runs.runs(), runs.rows()), (6, 136));
        let sizes: Vec<_> = runs.by_rows().iter().map(|of_size| (of_size.rows, of_size.runs)).collect();
        assert_eq!(sizes, [(1, 1), (3, 2), (64, 1)]);
        assert_eq!(runs.by_rows()[1].took, Duration::from_micros(10));
        assert!(runs.last_ms() > 0);
    }
}
