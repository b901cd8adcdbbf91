//! When requests are better off beside each other, on a core each, than one after the other on all cores. Pure.

use std::sync::Arc;

use super::lane::Lane;

/// What takes the place of a lane that uses all cores while there is a crowd.
#[derive(Debug)]
pub struct Narrow {
    /// One for each core.
    pub lanes: Vec<Arc<Lane>>,
    pub crowd: Crowd,
}

/// What makes a crowd of requests that wait, and of those in narrow runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    lanes: usize,
    max_batch: usize,
    /// More requests than this, where so few are better off beside each other already.
    requests: Option<usize>,
}

/// Requests, and their rows: of each no more than one run takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: usize,
    pub rows: usize,
}

impl Crowd {
    /// For so many narrow lanes, and runs of so many rows, which are as many times as fast on all cores as on one.
    ///
    /// Of `n` requests one after the other, each run `gain` times as fast, the middle one is answered after `(n + 1) / 2` runs;
    /// beside each other they all are after the time of one on one core. So up to `2 gain - 1` requests are better off with all cores.
    /// Where that is as many as there are lanes or more, all cores are busy either way, and it is rows that decide: a run for each lane.
    pub fn new(lanes: usize, max_batch: usize, gain: Option<f64>) -> Crowd {
        let requests = gain.map(|gain| (2.0 * gain - 1.0).max(1.0) as usize).filter(|requests| *requests < lanes);
        Crowd { lanes: lanes.max(1), max_batch: max_batch.max(1), requests }
    }

    /// What a request of so many rows counts.
    pub fn rows(self, rows: usize) -> usize {
        rows.min(self.max_batch)
    }

    /// Whether these are a crowd.
    pub fn is_made_of(self, Tally { requests, rows }: Tally) -> bool {
        match self.requests {
            Some(most) => requests > most,
            // A request by itself has all cores, whatever it brings.
            None => requests > 1 && rows > (self.lanes - 1) * self.max_batch,
        }
    }

    /// How many of these rows a narrow run takes, so that there are some for every lane.
    pub fn rows_each(self, rows: usize) -> usize {
        rows.div_ceil(self.lanes).clamp(1, self.max_batch)
    }
}

impl Tally {
    pub fn plus(self, other: Tally) -> Tally {
        Tally { requests: self.requests + other.requests, rows: self.rows + other.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least number of requests of a row each that are a crowd.
    fn least(crowd: Crowd) -> usize {
        (0..).find(|&requests| crowd.is_made_of(Tally { requests, rows: requests })).unwrap()
    }

    #[test]
    fn a_crowd_has_a_run_for_every_lane() {
        assert_eq!(least(Crowd::new(2, 8, Some(1.9))), 9);
        assert_eq!(least(Crowd::new(2, 1, Some(1.9))), 2);
        assert_eq!(least(Crowd::new(8, 8, Some(6.0))), 57, "fewer would leave cores idle");
        assert_eq!(least(Crowd::new(8, 8, None)), 57);
    }

    #[test]
    fn the_less_threads_gain_the_fewer_are_a_crowd() {
        let least = |lanes, gain| least(Crowd::new(lanes, 8, Some(gain)));
        assert_eq!([1.0, 1.2, 1.49].map(|gain| least(2, gain)), [2, 2, 2]);
        assert_eq!([1.0, 1.6, 2.0, 3.0, 4.4].map(|gain| least(8, gain)), [2, 3, 4, 6, 8]);
        assert_eq!(least(8, 4.5), 57);
    }

    #[test]
    fn a_request_by_itself_is_no_crowd_however_large() {
        for gain in [1.0, 1.9] {
            let crowd = Crowd::new(2, 8, Some(gain));
            assert!(!crowd.is_made_of(Tally { requests: 1, rows: 1_000 }));
        }
        let crowd = Crowd::new(8, 8, Some(6.0));
        assert!(
            !crowd.is_made_of(Tally { requests: 2, rows: crowd.rows(1_000) + crowd.rows(1) }),
            "two runs are not eight"
        );
    }

    #[test]
    fn rows_are_shared_out() {
        let crowd = Crowd::new(4, 8, Some(1.0));
        assert_eq!([0, 3, 9, 31, 100].map(|rows| crowd.rows_each(rows)), [1, 1, 3, 8, 8]);
    }
}
