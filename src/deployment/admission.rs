//! How much is taken on at once, over all endpoints: requests, and bytes of their bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The two budgets. Taking from them is one atomic each; there is no queue, since what cannot be begun now is better tried
/// elsewhere.
#[derive(Debug)]
pub struct Admission {
    requests: Budget,
    bytes: Budget,
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
}

impl Admission {
    pub fn new(max_in_flight: usize, max_in_flight_bytes: usize) -> Arc<Admission> {
        let budget = |limit| Budget { limit, taken: AtomicUsize::new(0) };
        Arc::new(Admission { requests: budget(max_in_flight), bytes: budget(max_in_flight_bytes) })
    }

    /// Begins a request whose body is announced with so many bytes; `None` when either budget is spent.
    pub fn admit(self: &Arc<Self>, announced_bytes: usize) -> Option<Permit> {
        if !self.requests.take(1) {
            return None;
        }
        let mut permit = Permit { admission: Arc::clone(self), bytes: 0 };
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
        let granted = more == 0 || self.admission.bytes.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.bytes.give_back(self.bytes);
        self.admission.requests.give_back(1);
    }
}

impl Budget {
    fn take(&self, amount: usize) -> bool {
        let before = self.taken.fetch_add(amount, Ordering::Relaxed);
        let granted = before.checked_add(amount).is_some_and(|taken| taken <= self.limit);
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
}
