//! Whom to turn away when more comes than can be run. Pure: what waits in, verdict out.
//!
//! A burst is let in up to a generous bound, since it will pass. When that bound is reached, more keeps coming than can be run,
//! and every further one would only make all wait longer: until nobody waits any more, the queue is kept just long enough to
//! keep the sessions busy. What has waited for longer by then is turned away, too, so that those served are served fresh.
//! (The distinction between a burst and a standing queue is CoDel's: Nichols and Jacobson, "Controlling Queue Delay", ACM Queue
//! 10(5), 2012; here the bound on a burst takes the place of its interval.)

use std::time::Duration;

/// How long jobs may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In a burst.
    pub burst: Duration,
    /// While more keeps coming than can be run.
    pub standing: Duration,
    /// The operator wants them kept by whoever waits. Otherwise they are there to keep a queue short, and one who waits alone is
    /// no queue: it is another model, or another program, that it waits for.
    pub holds_for_one: bool,
}

/// The least bounds that are chosen by ourselves. The second is CoDel's.
const BURST_MIN: Duration = Duration::from_millis(100);
const STANDING_MIN: Duration = Duration::from_millis(5);

/// Runs that a burst may be long, at least.
const BURST_RUNS: u32 = 16;

impl Bounds {
    /// For a model whose full run takes so long. What the operator asked for holds for both.
    pub fn new(asked: Option<Duration>, full_run: Duration) -> Bounds {
        match asked {
            Some(wait) => Bounds { burst: wait, standing: wait, holds_for_one: true },
            None => Bounds {
                burst: BURST_MIN.max(full_run.saturating_mul(BURST_RUNS)),
                standing: STANDING_MIN.max(full_run),
                holds_for_one: false,
            },
        }
    }
}

/// Whether there is a standing queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    is_standing: bool,
}

impl Overload {
    /// Whether a job that would wait so long is let in.
    pub fn admits(&mut self, wait: Duration, bounds: Bounds) -> bool {
        self.is_standing |= wait > bounds.burst;
        wait <= self.bound(bounds)
    }

    /// How long a job may have waited when its turn comes.
    pub fn bound(self, bounds: Bounds) -> Duration {
        if self.is_standing { bounds.standing } else { bounds.burst }
    }

    /// Nobody waits any more.
    pub fn passed(&mut self) {
        self.is_standing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_is_let_in_and_a_standing_queue_kept_short_until_it_has_passed() {
        let bounds = Bounds::new(None, 10 * MS);
        let mut overload = Overload::default();
        assert!(overload.admits(160 * MS, bounds));
        assert!(!overload.admits(161 * MS, bounds));
        assert!(!overload.admits(11 * MS, bounds), "now it stands");
        assert!(overload.admits(10 * MS, bounds));
        overload.passed();
        assert!(overload.admits(160 * MS, bounds));
    }

    #[test]
    fn what_was_asked_for_is_what_holds() {
        let bounds = Bounds::new(Some(20 * MS), 100 * MS);
        let mut overload = Overload::default();
        assert!(!overload.admits(21 * MS, bounds));
        assert!(overload.admits(20 * MS, bounds));
    }

    #[test]
    fn slow_models_may_be_waited_for_and_quick_ones_need_not_hurry() {
        let chosen = |burst, standing| Bounds { burst, standing, holds_for_one: false };
        assert_eq!(Bounds::new(None, 1_000 * MS), chosen(16_000 * MS, 1_000 * MS));
        assert_eq!(Bounds::new(None, MS / 100), chosen(100 * MS, 5 * MS));
    }
}
