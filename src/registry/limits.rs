//! How long, and how often, the store is asked for one thing.

use std::time::Duration;

use tokio::time::Instant;

/// Bounds of every operation on the store.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// One request to the store.
    pub attempt: Duration,
    /// All attempts at one thing, with the pauses between them.
    pub total: Duration,
    /// The first pause; each is twice the one before it, up to [`StoreLimits::PAUSE_MAX`].
    pub pause: Duration,
}

impl StoreLimits {
    pub const PAUSE_MAX: Duration = Duration::from_secs(2);

    /// What suits a store that may be `total` late.
    pub fn within(total: Duration) -> StoreLimits {
        StoreLimits { attempt: total.div_f64(2.0), total, pause: Duration::from_millis(50) }
    }
}

/// What is left of the time for one thing.
#[derive(Debug)]
pub struct Patience {
    limits: StoreLimits,
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    pub fn new(limits: StoreLimits) -> Patience {
        Patience { limits, deadline: Instant::now() + limits.total, pause: limits.pause }
    }

    /// What `operation` gives, or `None` if it takes too long. An operation that is given up may still be carried out.
    pub async fn attempt<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        let until = self.deadline.min(Instant::now() + self.limits.attempt);
        tokio::time::timeout_at(until, operation).await.ok()
    }

    /// Waits before the next attempt: whether there is time for one.
    pub async fn pause(&mut self) -> bool {
        // Writers that failed together should not come back together.
        let mut byte = [128u8];
        let _ = getrandom::fill(&mut byte);
        let pause = self.pause.mul_f64(0.5 + f64::from(byte[0]) / 256.0);
        if Instant::now() + pause >= self.deadline {
            return false;
        }
        self.pause = (self.pause * 2).min(StoreLimits::PAUSE_MAX);
        tokio::time::sleep(pause).await;
        true
    }

    pub fn total_ms(&self) -> u128 {
        self.limits.total.as_millis()
    }
}
