//! The thread that ends runs whose deadline has passed.
//!
//! One for the whole server. It sleeps until the earliest deadline it knows of, so that it costs nothing while runs are
//! shorter than their deadlines: a lane that starts a run reads one atomic, and wakes the watchdog only when the run's
//! deadline comes before the time the watchdog would wake by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::lane::Lane;

/// Keeps the runs of all lanes to their deadlines.
#[derive(Debug)]
pub struct Watchdog {
    started: Instant,
    /// When the thread will look again, in microseconds since `started`; `ASK` makes every new run wake it.
    next_look_us: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Weak<Lane>>,
    stopped: bool,
}

const ASK: u64 = u64::MAX;

impl Watchdog {
    /// Starts the thread. It ends when the handle's owner drops it.
    pub fn start() -> std::io::Result<WatchdogHandle> {
        let watchdog = Arc::new(Watchdog {
            started: Instant::now(),
            next_look_us: AtomicU64::new(ASK),
            state: Mutex::default(),
            wake: Condvar::new(),
        });
        let watching = Arc::clone(&watchdog);
        let thread = thread::Builder::new().name("scoria-watchdog".to_owned()).spawn(move || watching.keep_watch())?;
        Ok(WatchdogHandle { watchdog, thread: Some(thread) })
    }

    /// Adds a lane, for as long as it exists.
    pub(super) fn watch(&self, lane: &Arc<Lane>) {
        let mut state = self.state.lock();
        state.lanes.retain(|lane| lane.strong_count() > 0);
        state.lanes.push(Arc::downgrade(lane));
    }

    /// A run has begun that must end by `deadline`.
    pub(super) fn expect_by(&self, deadline: Instant) {
        // SeqCst pairs with the store of `ASK` below: either this load sees `ASK` and wakes the thread, or the thread's
        // look comes after this lane has noted its run and sees it.
        if self.since_start_us(deadline) < self.next_look_us.load(Ordering::SeqCst) {
            drop(self.state.lock());
            self.wake.notify_one();
        }
    }

    fn keep_watch(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            self.next_look_us.store(ASK, Ordering::SeqCst);
            let now = Instant::now();
            let deadlines = state.lanes.iter().filter_map(Weak::upgrade).filter_map(|lane| lane.stop_if_overdue(now));
            match deadlines.min() {
                Some(next) => {
                    self.next_look_us.store(self.since_start_us(next), Ordering::SeqCst);
                    self.wake.wait_until(&mut state, next);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    fn since_start_us(&self, time: Instant) -> u64 {
        // Rounded up, so that a look never comes just before the deadline it is meant for.
        let since: Duration = time.saturating_duration_since(self.started);
        u64::try_from(since.as_micros()).unwrap_or(ASK - 2) + 1
    }
}

/// Owns the thread: when dropped, the thread ends.
#[derive(Debug)]
pub struct WatchdogHandle {
    watchdog: Arc<Watchdog>,
    thread: Option<thread::JoinHandle<()>>,
}

impl WatchdogHandle {
    pub fn watchdog(&self) -> &Arc<Watchdog> {
        &self.watchdog
    }
}

impl Drop for WatchdogHandle {
    fn drop(&mut self) {
        self.watchdog.state.lock().stopped = true;
        self.watchdog.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
