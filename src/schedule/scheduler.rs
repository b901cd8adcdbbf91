//! One deployment's sessions, and the way of a request to one of them.
//!
//! A request whose run is short is run by *combining*, on the threads that serve connections; one whose run is long is left to
//! the *pool* of workers. Which is short is predicted from what runs have cost, unless the operator has decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::batch::Runner;
use super::combining::Sharing;
use super::company::Company;
use super::cores::Cores;
use super::cost::Cost;
use super::crowd::Narrow;
use super::job::{Job, Place, Priority, Size};
use super::lane::Lane;
use super::overload::Bounds;
use super::plan::{Execution, INLINE_RUN_MAX, Plan};
use super::queue::{Pace, Queue, Refused};
use super::reply::{Outcome, Ticket, Turn, reply};
use super::{Limits, ScheduleError};
use crate::telemetry::DeploymentMetrics;
use crate::tensor::Tensor;

/// How long a request whose client seems to have left waits for its connection to say so.
const LEAVING: Duration = Duration::from_millis(20);

/// Runs one deployment's requests. Dropping it refuses what is new; the workers run what waits and then end by themselves,
/// so that nobody has to wait for a run that cannot be interrupted.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

/// What a scheduler is made of.
#[derive(Debug)]
pub struct Parts {
    /// At least one.
    pub lanes: Vec<Arc<Lane>>,
    /// Where the only lane uses all cores.
    pub narrow: Option<Narrow>,
    pub plan: Plan,
    pub limits: Limits,
    /// What the measurement at load has shown.
    pub cost: Cost,
    pub cores: Arc<Cores>,
    pub metrics: Arc<DeploymentMetrics>,
}

/// What workers and requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lanes: Vec<Arc<Lane>>,
    pub(super) narrow: Option<Narrow>,
    pub(super) queue: Queue,
    pub(super) cost: Cost,
    pub(super) plan: Plan,
    pub(super) cores: Arc<Cores>,
    pub(super) metrics: Arc<DeploymentMetrics>,
    pub(super) company: Company,
    pub(super) has_workers: AtomicBool,
    /// In microseconds; 0 for `None` of the limits.
    queue_max_wait_us: AtomicU64,
}

impl Scheduler {
    /// Takes over the sessions. Workers are started with the first request whose run is long, or at once where all are.
    pub fn start(parts: Parts) -> std::io::Result<Scheduler> {
        let Parts { lanes, narrow, plan, limits, cost, cores, metrics } = parts;
        let crowd = narrow.as_ref().map(|narrow| narrow.crowd);
        let shared = Arc::new(Shared {
            queue: Queue::new(limits.queue_max_length, crowd, metrics.queue_depth.clone()),
            queue_max_wait_us: AtomicU64::new(wait_us(limits)),
            lanes,
            narrow,
            cost,
            plan,
            cores,
            metrics,
            company: Company::default(),
            has_workers: AtomicBool::new(false),
        });
        if plan.execution == Execution::Pooled {
            shared.start_workers()?;
        }
        Ok(Scheduler { shared })
    }

    /// Whether a request would be let in now. Asked before its body is read, so that what is refused costs little, and again
    /// by [`Scheduler::run`].
    pub fn admit(&self, priority: Priority) -> Result<(), ScheduleError> {
        self.shared.queue.admit(priority, self.shared.pace()).map_err(refusal)
    }

    /// Bounds the queue otherwise from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.queue.set_max_length(limits.queue_max_length);
        self.shared.queue_max_wait_us.store(wait_us(limits), Ordering::Relaxed);
    }

    /// Runs the model on `inputs`, which the caller has checked against the signature.
    ///
    /// Cancel-safe: when the future is dropped, a job that still waits is skipped.
    pub async fn run(&self, inputs: Vec<Tensor>, deadline: Instant, priority: Priority) -> Outcome {
        self.run_soon(inputs, deadline, priority, None).await
    }

    /// The same for a request that does not want to wait for its run longer than `max_wait`.
    pub async fn run_soon(
        &self,
        inputs: Vec<Tensor>,
        deadline: Instant,
        priority: Priority,
        max_wait: Option<Duration>,
    ) -> Outcome {
        let shared = &self.shared;
        let submitted = Instant::now();
        if submitted >= deadline {
            return Err(ScheduleError::Expired);
        }
        let size = Size::of(&inputs);
        let place = shared.place(size);
        let sharing = if place == Place::Inline { shared.sharing(size).await } else { Sharing::Alone };
        if (place, sharing) == (Place::Inline, Sharing::Alone)
            && let Some(outcome) = shared.run_at_once(&inputs, submitted, deadline)
        {
            let is_expired = matches!(outcome, Err(ScheduleError::Expired));
            if !is_expired || Instant::now() >= deadline {
                return outcome;
            }
            // It was ended before its deadline: its client seems to have left. Its connection looks now, and drops this future if
            // that is so. If not, the request is run like any other that has to wait.
            tokio::time::sleep(LEAVING).await;
        }
        let (reply, ticket) = reply();
        let run_alone = shared.run_alone(size);
        let job = Job { inputs, size, run_alone, priority, place, submitted, deadline, max_wait, reply };
        match place {
            Place::Inline => shared.combine(job, ticket, sharing).await,
            Place::Worker => shared.leave_to_worker(job, ticket).await,
        }
    }

    /// Takes no more requests. What waits is run, and then the workers end.
    pub(super) fn close(&self) {
        self.shared.queue.close();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.close();
    }
}

fn wait_us(limits: Limits) -> u64 {
    limits.queue_max_wait.map_or(0, |wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1))
}

pub(super) fn refusal(refused: Refused) -> ScheduleError {
    match refused {
        Refused::Full => ScheduleError::Overloaded { retry_after: Duration::from_secs(1) },
        Refused::TooLongAWait(wait) => ScheduleError::Overloaded { retry_after: wait },
        Refused::Closed => ScheduleError::Stopped,
    }
}

impl Shared {
    /// Where a request of this size is run.
    fn place(&self, size: Size) -> Place {
        match (self.plan.is_execution_fixed, self.plan.execution) {
            (true, Execution::Combining) => Place::Inline,
            (true, Execution::Pooled) => Place::Worker,
            (false, _) => match self.cost.of_elements(size.elements) {
                Some(run) if run <= INLINE_RUN_MAX => Place::Inline,
                _ => Place::Worker,
            },
        }
    }

    /// How fast the queue is emptied.
    pub(super) fn pace(&self) -> Pace {
        let max_rows = self.plan.max_batch;
        let run = self.cost.of_rows(max_rows).unwrap_or_default();
        Pace { full_run: self.shared_out(run), max_rows, bounds: Bounds::new(self.queue_max_wait(), run) }
    }

    /// How long others wait for a run of this size, if it is more than a full one.
    fn run_alone(&self, size: Size) -> Option<Duration> {
        size.rows.filter(|&rows| rows > self.plan.max_batch)?;
        self.cost.likely(size.elements).map(|run| self.shared_out(run))
    }

    /// What a run has those wait that any session may serve.
    fn shared_out(&self, run: Duration) -> Duration {
        run / u32::try_from(self.lanes.len()).unwrap_or(u32::MAX).max(1)
    }

    fn queue_max_wait(&self) -> Option<Duration> {
        let wait_us = self.queue_max_wait_us.load(Ordering::Relaxed);
        (wait_us > 0).then(|| Duration::from_micros(wait_us))
    }

    pub(super) fn runner(&self, place: Place) -> Runner<'_> {
        Runner { cost: &self.cost, metrics: &self.metrics, place, part: 1 }
    }
}

/// A request that waits, and what is to be done when it does so no longer.
pub(super) struct Waiting<'a> {
    pub(super) shared: &'a Shared,
    pub(super) ticket: Ticket,
}

impl Waiting<'_> {
    /// Waits for the answer, or to be asked to lead; not for its run beyond `patience`, nor for anything beyond `deadline`.
    pub(super) async fn turn(&self, patience: Instant, deadline: Instant) -> Turn {
        if patience < deadline {
            if let Ok(turn) = tokio::time::timeout_at(patience.into(), self.ticket.turn()).await {
                return turn;
            }
            let Pace { full_run, bounds, .. } = self.shared.pace();
            if (bounds.holds_for_one || self.shared.queue.has_several()) && self.ticket.withdraw() {
                return Turn::Answered(Err(ScheduleError::Overloaded { retry_after: full_run }));
            }
        }
        // The run is ended by the deadline unless it cannot be interrupted; then the client is answered all the same.
        let turn = tokio::time::timeout_at(deadline.into(), self.ticket.turn()).await;
        turn.unwrap_or(Turn::Answered(Err(ScheduleError::Expired)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.ticket.leave() {
            self.shared.queue.hand_over();
        }
    }
}
