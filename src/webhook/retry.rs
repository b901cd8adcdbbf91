//! When a message is sent again, and when no more.

use std::time::Duration;

/// How patient a courier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The wait after a first failure. It doubles with each further one.
    pub first: Duration,
    /// The longest wait, even if the receiver asks for more.
    pub longest: Duration,
    /// A message older than this is given up.
    pub give_up_after: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(600),
            give_up_after: Duration::from_secs(3 * 86_400),
        }
    }
}

/// What a receiver made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// It wants no more of them (410).
    Gone,
    /// Anything else; the wait that it asked for, if it did.
    Refused {
        reason: String,
        asked_wait: Option<Duration>,
    },
}

impl Retry {
    /// How long to wait after so many failures, by a random number between 0 and 1: between half and all of a wait that doubles, so
    /// that many who failed together do not come again together (equal jitter; M. Brooker, "Exponential backoff and jitter").
    pub fn wait(&self, failures: u32, asked: Option<Duration>, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(31)));
        let backoff = doubled.min(self.longest).mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        backoff.max(asked.unwrap_or_default().min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        let retry = Retry::default();
        let waits: Vec<_> = (1..=12).map(|failures| retry.wait(failures, None, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(retry.wait(4, None, 0.0), Duration::from_secs(4));
        assert_eq!(retry.wait(u32::MAX, None, 0.5), Duration::from_secs(450));
        assert_eq!(retry.wait(1, Some(Duration::from_secs(30)), 0.5), Duration::from_secs(30));
        assert_eq!(retry.wait(1, Some(Duration::from_secs(1 << 40)), 0.5), Duration::from_secs(600));
    }
}
