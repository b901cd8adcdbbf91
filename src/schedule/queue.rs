//! The bounded queue between requests and a deployment's workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::job::Job;

/// First in, first out. Full and closed are values, not panics.
#[derive(Debug)]
pub struct Queue {
    max_length: usize,
    /// The number of waiting jobs, readable without the lock.
    length: AtomicUsize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Full,
    Closed,
}

impl Queue {
    pub fn new(max_length: usize) -> Self {
        Queue { max_length, length: AtomicUsize::new(0), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    pub fn push(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.jobs.len() >= self.max_length {
            return Err(Refused::Full);
        }
        state.jobs.push_back(job);
        self.length.store(state.jobs.len(), Ordering::Relaxed);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until there may be a job to [`pop`](Queue::pop); false once the queue is closed and empty.
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return false;
            }
            self.arrived.wait(&mut state);
        }
        true
    }

    /// The job that has waited longest.
    pub fn pop(&self) -> Option<Job> {
        let mut state = self.state.lock();
        let job = state.jobs.pop_front();
        self.length.store(state.jobs.len(), Ordering::Relaxed);
        job
    }

    /// Takes no more jobs. What waits already is still handed out.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }
}
