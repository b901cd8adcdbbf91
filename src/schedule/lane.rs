//! A session and the run it is in: what a worker, an inline request and the watchdog share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::job::Place;
use super::reply::Listener;
use super::watchdog::{Glance, PERIOD, Watchdog};
use crate::client::Client;
use crate::engine::{Buckets, Interrupt, LoadError, RunError, Session};
use crate::tensor::{Tensor, Value};

/// One session, used by one thread at a time.
pub struct Lane {
    session: Mutex<Box<dyn Session>>,
    /// Held only to begin, end or look at a run, so the watchdog never waits for one.
    progress: Mutex<Progress>,
    interrupt: Arc<dyn Interrupt>,
    watchdog: Arc<Watchdog>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Runs begun since the lane was made.
    begun: u64,
    current: Option<Run>,
}

#[derive(Debug)]
struct Run {
    place: Place,
    started: Instant,
    deadline: Instant,
    audience: Audience,
}

/// The requests that wait for a run's outputs.
#[derive(Debug)]
pub enum Audience {
    /// Whoever runs it, to the end or the deadline.
    Runner,
    /// The client of the request that runs it.
    Client(Client),
    /// These; once none of them waits any more, the run is pointless.
    Requests(Box<[Listener]>),
}

impl Audience {
    fn has_left(&self) -> bool {
        match self {
            Audience::Runner => false,
            Audience::Client(client) => client.has_left(),
            Audience::Requests(requests) => requests.iter().all(Listener::has_left),
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("progress", &self.progress).finish_non_exhaustive()
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
            progress: Mutex::default(),
            interrupt,
            watchdog: Arc::clone(watchdog),
        });
        watchdog.watch(&lane);
        lane
    }

    /// A further session of the same model.
    pub fn another(&self) -> Result<Box<dyn Session>, LoadError> {
        self.session.lock().another()
    }

    /// Lets the session pad its runs (see [`Session::allow_padding`]).
    pub fn allow_padding(&self, buckets: Buckets) {
        self.session.lock().allow_padding(buckets);
    }

    /// Takes the session, if it is free.
    pub fn try_hold(&self) -> Option<Held<'_>> {
        self.session.try_lock().map(|session| Held { lane: self, session })
    }

    /// Takes the session, waiting for it.
    pub fn hold(&self) -> Held<'_> {
        Held { lane: self, session: self.session.lock() }
    }

    /// Stops the run in progress if its deadline has passed or nobody waits for it any more, and says how the lane is doing.
    pub(super) fn look(&self, now: Instant) -> Glance {
        let progress = self.progress.lock();
        let Some(run) = &progress.current else { return Glance { begun: progress.begun, ..Glance::default() } };
        if run.deadline <= now || run.audience.has_left() {
            // Under the lock: the run cannot end and the next one begin between the look and the stop.
            self.interrupt.stop();
        }
        let is_stalling = run.place == Place::Inline && now.saturating_duration_since(run.started) > PERIOD;
        Glance { begun: progress.begun, is_running: true, is_stalling }
    }
}

impl Held<'_> {
    /// Runs the model once. A panic of the engine fails this run only.
    pub fn run(
        &mut self,
        inputs: &[Tensor],
        started: Instant,
        deadline: Instant,
        place: Place,
    ) -> Result<Vec<Value>, RunError> {
        self.run_joined(&[inputs], started, deadline, place)
    }

    /// Runs the model once on the rows of several requests (see [`Session::run_joined`]).
    pub fn run_joined(
        &mut self,
        parts: &[&[Tensor]],
        started: Instant,
        deadline: Instant,
        place: Place,
    ) -> Result<Vec<Value>, RunError> {
        self.run_for(parts, Audience::Runner, started, deadline, place)
    }

    /// The same for an audience: the run is ended when all of it has left.
    pub fn run_for(
        &mut self,
        parts: &[&[Tensor]],
        audience: Audience,
        started: Instant,
        deadline: Instant,
        place: Place,
    ) -> Result<Vec<Value>, RunError> {
        {
            let mut progress = self.lane.progress.lock();
            self.lane.interrupt.reset();
            progress.begun = progress.begun.wrapping_add(1);
            progress.current = Some(Run { place, started, deadline, audience });
        }
        self.lane.watchdog.run_begun();
        let run = || match parts {
            [inputs] => self.session.run(inputs),
            parts => self.session.run_joined(parts),
        };
        let outcome = catch_unwind(AssertUnwindSafe(run));
        // Given back outside of the lock: a last listener takes its job's state with it.
        let ended = self.lane.progress.lock().current.take();
        drop(ended);
        outcome.unwrap_or_else(|panic| Err(RunError::Failed(format!("the engine panicked: {}", panic_text(&*panic)))))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
