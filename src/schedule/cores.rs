//! The machine's cores, leased to long runs, so that many models do not hold each other up.
//!
//! Short runs need no lease: they are done by the threads that serve connections, of which there are as many as cores.

use parking_lot::{Condvar, Mutex};

/// One budget for the whole server. First come, first served, so that a run which wants all cores gets them.
#[derive(Debug)]
pub struct Cores {
    total: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The number that the next one in line gets, and the one whose turn it is.
    next: u64,
    turn: u64,
}

/// Cores that are one's own until this is dropped.
#[derive(Debug)]
pub struct Lease<'a> {
    cores: &'a Cores,
    count: usize,
}

impl Cores {
    pub fn new(total: usize) -> Cores {
        let total = total.max(1);
        Cores { total, state: Mutex::new(State { free: total, next: 0, turn: 0 }), changed: Condvar::new() }
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Takes so many cores (all of them, if there are fewer), waiting for them in line.
    pub fn lease(&self, count: usize) -> Lease<'_> {
        let count = count.clamp(1, self.total);
        let mut state = self.state.lock();
        let own = state.next;
        state.next += 1;
        self.changed.wait_while(&mut state, |state| state.turn != own || state.free < count);
        state.turn += 1;
        state.free -= count;
        drop(state);
        // The next in line may fit into what is left.
        self.changed.notify_all();
        Lease { cores: self, count }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.cores.state.lock().free += self.count;
        self.cores.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn no_more_than_there_are_and_one_may_have_them_all() {
        let cores = Cores::new(2);
        let (one, other) = (cores.lease(1), cores.lease(1));
        assert_eq!(cores.state.lock().free, 0);
        drop((one, other));
        let all = cores.lease(64);
        assert_eq!((all.count, cores.state.lock().free), (2, 0));
        drop(all);
        assert_eq!(cores.state.lock().free, 2);
    }

    #[test]
    fn whoever_waits_for_all_is_not_overtaken() {
        let cores = Arc::new(Cores::new(2));
        let first = cores.lease(1);
        let (tell, told) = mpsc::channel();
        let spawn = |count: usize, name: &'static str| {
            let (cores, tell) = (Arc::clone(&cores), tell.clone());
            thread::spawn(move || {
                let lease = cores.lease(count);
                tell.send(name).unwrap();
                drop(lease);
            })
        };
        let queued = |count| {
            while cores.state.lock().next < count {
                thread::yield_now();
            }
        };
        let all = spawn(2, "all");
        queued(2);
        let one = spawn(1, "one");
        queued(3);
        assert!(told.try_recv().is_err(), "one core is free, but the first in line wants two");
        drop(first);
        assert_eq!(told.recv().unwrap(), "all");
        assert_eq!(told.recv().unwrap(), "one");
        all.join().unwrap();
        one.join().unwrap();
    }
}
