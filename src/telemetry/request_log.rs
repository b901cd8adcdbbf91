//! Which requests are worth a log line: the server's failures and slow ones always; of the clients' mistakes a sample, and of
//! the successes another, so that neither crowds the other out.
//!
//! A line costs more than a small model's run, so logging every success would be what the server mostly does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The sampling policy. Cheap enough to be asked by every request: two atomics at most, no lock.
#[derive(Debug)]
pub struct RequestLog {
    slow: Duration,
    sample_per_second: u64,
    successes: Window,
    mistakes: Window,
    left_out: AtomicU64,
}

/// Whether to log a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Log it; so many others were left out since the last line.
    Log {
        left_out: u64,
    },
    LeaveOut,
}

impl RequestLog {
    pub fn new(slow: Duration, sample_per_second: u64) -> Self {
        RequestLog {
            slow,
            sample_per_second,
            successes: Window::default(),
            mistakes: Window::default(),
            left_out: AtomicU64::new(0),
        }
    }

    /// Decides about a request that was answered `since_start` after the server's start, with `status`, in `took`.
    pub fn decide(&self, status: u16, took: Duration, since_start: Duration) -> Verdict {
        let window = if status < 400 { &self.successes } else { &self.mistakes };
        let second = since_start.as_secs();
        if status >= 500 || took >= self.slow || window.has_room(second, self.sample_per_second) {
            return Verdict::Log { left_out: self.left_out.swap(0, Ordering::Relaxed) };
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        Verdict::LeaveOut
    }
}

/// Counts log lines by the second.
#[derive(Debug, Default)]
struct Window {
    /// The second (since start) that is counted, in the upper half; the count in the lower.
    state: AtomicU64,
}

impl Window {
    /// Takes one of `per_second` places of this second, if one is left.
    fn has_room(&self, second: u64, per_second: u64) -> bool {
        const COUNT: u64 = u32::MAX as u64;
        let claim = self.state.try_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let logged = if state >> 32 == second & COUNT { state & COUNT } else { 0 };
            (logged < per_second.min(COUNT)).then_some((second & COUNT) << 32 | (logged + 1))
        });
        claim.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn errors_and_slow_requests_are_always_logged() {
        let log = RequestLog::new(Duration::from_secs(1), 0);
        assert_eq!(log.decide(500, QUICK, QUICK), Verdict::Log { left_out: 0 });
        assert_eq!(log.decide(200, Duration::from_secs(2), QUICK), Verdict::Log { left_out: 0 });
        assert_eq!(log.decide(200, QUICK, QUICK), Verdict::LeaveOut);
    }

    #[test]
    fn of_the_others_a_sample_is_logged_in_each_second_and_the_rest_counted() {
        let log = RequestLog::new(Duration::from_secs(1), 2);
        let verdicts: Vec<_> = (0..5).map(|_| log.decide(200, QUICK, Duration::from_millis(100))).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Log { left_out: 0 },
                Verdict::Log { left_out: 0 },
                Verdict::LeaveOut,
                Verdict::LeaveOut,
                Verdict::LeaveOut
            ]
        );
        assert_eq!(log.decide(200, QUICK, Duration::from_millis(1_100)), Verdict::Log { left_out: 3 });
    }
}
