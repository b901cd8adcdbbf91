//! How much is taken on at once, over all endpoints: requests, and bytes of their bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A body of more bytes is a large one.
const LARGE_BYTES: usize = 64 * 1024;

/// The budgets. Taking from them is one atomic each; there is no queue, since what cannot be begun now is better tried
/// elsewhere.
///
/// A body takes its announced length before it comes, since buffers are made for it. Large ones leave a quarter to small
/// ones, whom clients that announce much and send nothing could otherwise shut out.
#[derive(Debug)]
pub struct Admission {
    requests: Budget,
    bytes: Budget,
    large_bytes: Budget,
}

#[derive(Debug)]
struct Budget {
    limit: usize,
    taken: AtomicUsize,
}

/// A request in progress. Gives back what it holds when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    bytes: usize,
    large_bytes: usize,
}

impl Admission {
    pub fn new(max_in_flight: usize, max_in_flight_bytes: usize) -> Arc<Admission> {
        let budget = |limit| Budget { limit, taken: AtomicUsize::new(0) };
        Arc::new(Admission {
            requests: budget(max_in_flight),
            bytes: budget(max_in_flight_bytes),
            large_bytes: budget(max_in_flight_bytes - max_in_flight_bytes / 4),
        })
    }

    /// Begins a request whose body is announced with so many bytes; `None` when either budget is spent.
    pub fn admit(self: &Arc<Self>, announced_bytes: usize) -> Option<Permit> {
        if !self.requests.take(1) {
            return None;
        }
        let mut permit = Permit { admission: Arc::clone(self), bytes: 0, large_bytes: 0 };
        permit.hold(announced_bytes).then_some(permit)
    }

    /// Requests in progress.
    pub fn in_flight(&self) -> usize {
        self.requests.taken.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Makes sure that the permit covers a body of `total` bytes; false when the budget is spent.
    pub fn hold(&mut self, total: usize) -> bool {
        let more = total.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let more_large = if total > LARGE_BYTES { total - self.large_bytes } else { 0 };
        if more_large > 0 && !self.admission.large_bytes.take_or_be_alone(more_large, self.large_bytes) {
            return false;
        }
        self.large_bytes += more_large;
        let granted = self.admission.bytes.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.bytes.give_back(self.bytes);
        self.admission.large_bytes.give_back(self.large_bytes);
        self.admission.requests.give_back(1);
    }
}

impl Budget {
    fn take(&self, amount: usize) -> bool {
        self.take_if(amount, |before| self.has_room(before, amount))
    }

    /// The same, but beyond the limit too for one whose `own` is all that is taken.
    fn take_or_be_alone(&self, amount: usize, own: usize) -> bool {
        self.take_if(amount, |before| before == own || self.has_room(before, amount))
    }

    fn has_room(&self, before: usize, amount: usize) -> bool {
        before.checked_add(amount).is_some_and(|taken| taken <= self.limit)
    }

    fn take_if(&self, amount: usize, may: impl FnOnce(usize) -> bool) -> bool {
        let granted = may(self.taken.fetch_add(amount, Ordering::Relaxed));
        if !granted {
            self.give_back(amount);
        }
        granted
    }

    fn give_back(&self, amount: usize) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_budgets_bound_and_everything_comes_back() {
        let admission = Admission::new(2, 100);
        let first = admission.admit(60).unwrap();
        assert!(admission.admit(50).is_none(), "bytes");
        let mut second = admission.admit(10).unwrap();
        assert!(admission.admit(0).is_none(), "requests");
        assert!(second.hold(40) && !second.hold(41));
        drop((first, second));
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit(100).is_some());
    }

    #[test]
    fn large_bodies_leave_a_quarter_to_small_ones() {
        let admission = Admission::new(100, 8 * LARGE_BYTES);
        let promises: Vec<_> = (0..3).map(|_| admission.admit(2 * LARGE_BYTES).unwrap()).collect();
        assert!(admission.admit(2 * LARGE_BYTES).is_none(), "six of eight are theirs");
        let mut growing = admission.admit(LARGE_BYTES).expect("a small one");
        assert!(!growing.hold(LARGE_BYTES + 1), "it becomes a large one");
        drop((promises, growing));
        let mut alone = admission.admit(7 * LARGE_BYTES).expect("nobody else is there to be shut out");
        assert!(alone.hold(8 * LARGE_BYTES) && !alone.hold(8 * LARGE_BYTES + 1));
        drop(alone);
        assert_eq!(
            [&admission.bytes, &admission.large_bytes].map(|budget| budget.taken.load(Ordering::Relaxed)),
            [0, 0]
        );
    }
}
