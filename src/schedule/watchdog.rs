//! The thread that looks after runs: ends those whose deadline has passed or whose clients have left, and reports those that hold up
//! their thread.
//!
//! One for the whole server. While runs begin it looks every [`PERIOD`]; when a whole period has passed without one it sleeps
//! until the next run wakes it. So a run costs one look at an atomic, and an idle server costs nothing. As the one who knows
//! that nothing runs, it also has memory given back that the last runs have left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::lane::Lane;
use crate::memory;

/// How often runs are looked at, and so how late a deadline can be noticed.
pub const PERIOD: Duration = Duration::from_millis(5);

/// How long nothing runs before memory is given back: until then the next run may want it again.
const QUIET: Duration = Duration::from_secs(1);

/// By how much the process has to have grown to be worth the effort.
const GROWTH_BYTES: u64 = 16 * 1024 * 1024;

/// Keeps the runs of all lanes to their deadlines.
pub struct Watchdog {
    /// Whether the thread will look without being woken.
    awake: AtomicBool,
    state: Mutex<State>,
    wake: Condvar,
    /// Called when an inline run has held up its thread for longer than a period.
    on_stall: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Weak<Lane>>,
    stopped: bool,
}

/// What a lane looks like from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Glance {
    /// Runs begun since the lane was made.
    pub begun: u64,
    pub is_running: bool,
    /// Whether the run is inline and has lasted for more than a period.
    pub is_stalling: bool,
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog").field("awake", &self.awake).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts the thread. It ends when the handle is dropped.
    ///
    /// `on_stall` is called, at most once a period, while some inline run takes longer than inline runs should; it must not
    /// block.
    pub fn start(on_stall: impl Fn() + Send + Sync + 'static) -> std::io::Result<WatchdogHandle> {
        let watchdog = Arc::new(Watchdog {
            awake: AtomicBool::new(false),
            state: Mutex::default(),
            wake: Condvar::new(),
            on_stall: Box::new(on_stall),
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

    /// A run has begun, and its lane shows it.
    pub(super) fn run_begun(&self) {
        // SeqCst pairs with the stores below: either this load sees that the thread is about to sleep and wakes it, or the
        // thread's last look before sleeping comes after the lane has shown its run.
        if !self.awake.load(Ordering::SeqCst) {
            // The thread sleeps with the lock given up: whoever has it knows that the wake-up is heard.
            drop(self.state.lock());
            self.wake.notify_one();
        }
    }

    /// Looks at every lane once, now.
    #[cfg(test)]
    pub(super) fn look_now(&self) {
        self.look(&self.state.lock().lanes);
    }

    fn keep_watch(&self) {
        let mut state = self.state.lock();
        let mut begun_before = 0;
        let mut is_tidy = true;
        let mut resident_bytes = 0;
        while !state.stopped {
            self.awake.store(true, Ordering::SeqCst);
            let mut seen = self.look(&state.lanes);
            if !seen.is_running && seen.begun == begun_before {
                self.awake.store(false, Ordering::SeqCst);
                seen = self.look(&state.lanes);
                if !seen.is_running && seen.begun == begun_before {
                    if is_tidy {
                        self.wake.wait(&mut state);
                    } else if self.wake.wait_for(&mut state, QUIET).timed_out() {
                        // Whoever begins a run meanwhile must not wait for it, and wakes nobody: the next look is at once.
                        resident_bytes = MutexGuard::unlocked(&mut state, || tidy(resident_bytes));
                        is_tidy = true;
                    }
                    continue;
                }
                self.awake.store(true, Ordering::SeqCst);
            }
            begun_before = seen.begun;
            is_tidy = false;
            self.wake.wait_for(&mut state, PERIOD);
        }
    }

    /// Looks at every lane once, and gives all of them as if they were one.
    fn look(&self, lanes: &[Weak<Lane>]) -> Glance {
        let now = Instant::now();
        let mut all = Glance::default();
        for lane in lanes.iter().filter_map(Weak::upgrade) {
            let one = lane.look(now);
            all.begun = all.begun.wrapping_add(one.begun);
            all.is_running |= one.is_running;
            all.is_stalling |= one.is_stalling;
        }
        if all.is_stalling {
            (self.on_stall)();
        }
        all
    }
}

/// Has memory given back if the process has grown since it took `before`; gives what it takes now.
fn tidy(before: u64) -> u64 {
    let resident = || memory::resident_bytes().map_or(0, |(now, _most)| now);
    let now = resident();
    if now <= before.saturating_add(GROWTH_BYTES) {
        return before.min(now);
    }
    memory::give_back();
    resident()
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
