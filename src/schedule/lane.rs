//! A session and the run it is in: what a worker, an inline request and the watchdog share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::watchdog::Watchdog;
use crate::engine::{Interrupt, RunError, Session};
use crate::tensor::{Tensor, Value};

/// One session, used by one thread at a time.
pub struct Lane {
    session: Mutex<Box<dyn Session>>,
    /// The deadline of the run in progress. Held only to start, end or stop a run, so the watchdog never waits for a run.
    run_deadline: Mutex<Option<Instant>>,
    interrupt: Arc<dyn Interrupt>,
    watchdog: Arc<Watchdog>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("run_deadline", &self.run_deadline).finish_non_exhaustive()
    }
}

/// The right to run a lane's session.
pub struct Held<'a> {
    lane: &'a Lane,
    session: MutexGuard<'a, Box<dyn Session>>,
}

impl Lane {
    /// A lane whose runs `watchdog` keeps to their deadlines.
    pub fn new(session: Box<dyn Session>, watchdog: &Arc<Watchdog>) -> Arc<Lane> {
        let interrupt = session.interrupt();
        let lane = Arc::new(Lane {
            session: Mutex::new(session),
            run_deadline: Mutex::new(None),
            interrupt,
            watchdog: Arc::clone(watchdog),
        });
        watchdog.watch(&lane);
        lane
    }

    /// Takes the session, if it is free.
    pub fn try_hold(&self) -> Option<Held<'_>> {
        self.session.try_lock().map(|session| Held { lane: self, session })
    }

    /// Takes the session, waiting for it.
    pub fn hold(&self) -> Held<'_> {
        Held { lane: self, session: self.session.lock() }
    }

    /// Stops the run in progress if its deadline has passed; otherwise says when that will be.
    pub fn stop_if_overdue(&self, now: Instant) -> Option<Instant> {
        let mut run_deadline = self.run_deadline.lock();
        let deadline = (*run_deadline)?;
        if deadline > now {
            return Some(deadline);
        }
        // Under the lock: the run cannot end and the next one begin between the look and the stop.
        self.interrupt.stop();
        *run_deadline = None;
        None
    }
}

impl Held<'_> {
    /// Runs the model once. A panic of the engine fails this run only.
    pub fn run(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Value>, RunError> {
        {
            let mut run_deadline = self.lane.run_deadline.lock();
            self.lane.interrupt.reset();
            *run_deadline = Some(deadline);
        }
        self.lane.watchdog.expect_by(deadline);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.session.run(inputs)));
        *self.lane.run_deadline.lock() = None;
        outcome.unwrap_or_else(|panic| Err(RunError::Failed(format!("the engine panicked: {}", panic_text(&*panic)))))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
