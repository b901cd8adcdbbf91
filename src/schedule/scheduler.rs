//! One deployment's sessions, queue and workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::job::Job;
use super::lane::{Held, Lane, Place};
use super::plan::{Execution, INLINE_RUN_MAX};
use super::queue::{Queue, Refused};
use crate::engine::RunError;
use crate::error::ErrorKind;
use crate::telemetry::DeploymentMetrics;
use crate::tensor::{Tensor, Value};

/// Runs one deployment's requests. Dropping it refuses what is new; the workers run what waits and then end by themselves,
/// so that nobody has to wait for a run that cannot be interrupted.
#[derive(Debug)]
pub struct Scheduler {
    shared: Arc<Shared>,
    execution: Execution,
    limits: Limits,
}

/// What bounds the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub queue_max_length: usize,
    pub queue_max_wait: Duration,
}

/// A run's outcome.
#[derive(Debug)]
pub struct Completed {
    /// In the signature's order.
    pub outputs: Vec<Value>,
    /// Time spent waiting for a session.
    pub queued: Duration,
    /// Time spent in the model.
    pub ran: Duration,
}

/// Why a request was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Too many wait already, or the wait would be too long.
    #[error("the queue is full")]
    Overloaded { retry_after: Duration },
    /// The deadline passed, before the run or during it.
    #[error("the deadline passed")]
    Expired,
    /// The model made more of the inputs than may be answered.
    #[error("the answer has more than {max_elements} elements")]
    AnswerTooLarge { max_elements: usize },
    /// The deployment is being taken down.
    #[error("the deployment is stopping")]
    Stopped,
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ScheduleError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            ScheduleError::Overloaded { .. } => ErrorKind::Overloaded,
            ScheduleError::Expired => ErrorKind::DeadlineExceeded,
            ScheduleError::AnswerTooLarge { .. } => ErrorKind::BadInput,
            ScheduleError::Stopped => ErrorKind::Unavailable,
            ScheduleError::Run(error) => error.kind(),
        }
    }
}

/// What the workers and the requests share.
#[derive(Debug)]
struct Shared {
    lanes: Vec<Arc<Lane>>,
    queue: Queue,
    /// A moving average of the time that one run takes, in nanoseconds.
    run_average_ns: AtomicU64,
    metrics: Arc<DeploymentMetrics>,
}

impl Scheduler {
    /// Takes over `lanes` (at least one) and starts a worker for each.
    pub fn start(
        lanes: Vec<Arc<Lane>>,
        execution: Execution,
        limits: Limits,
        metrics: Arc<DeploymentMetrics>,
    ) -> std::io::Result<Scheduler> {
        let shared = Arc::new(Shared {
            lanes,
            queue: Queue::new(limits.queue_max_length),
            run_average_ns: AtomicU64::new(0),
            metrics,
        });
        let scheduler = Scheduler { shared, execution, limits };
        for lane in &scheduler.shared.lanes {
            let (shared, lane) = (Arc::clone(&scheduler.shared), Arc::clone(lane));
            let worker = thread::Builder::new().name("scoria-worker".to_owned());
            worker.spawn(move || shared.work(&lane))?;
        }
        Ok(scheduler)
    }

    /// Runs the model on `inputs`, which the caller has checked against the signature.
    ///
    /// Cancel-safe: when the future is dropped, a job that still waits is skipped.
    pub async fn run(&self, inputs: Vec<Tensor>, deadline: Instant) -> Result<Completed, ScheduleError> {
        let submitted = Instant::now();
        if submitted >= deadline {
            return Err(ScheduleError::Expired);
        }
        if let Some(mut held) = self.inline_session(&inputs) {
            return self.shared.run(&mut held, &inputs, submitted, deadline, Place::Inline);
        }
        self.refuse_long_wait()?;
        let (reply, outcome) = oneshot::channel();
        match self.shared.queue.push(Job { inputs, submitted, deadline, reply }) {
            Ok(()) => self.shared.metrics.queue_depth.set(self.shared.queue.len() as i64),
            Err(Refused::Full) => return Err(self.overloaded(self.expected_wait())),
            Err(Refused::Closed) => return Err(ScheduleError::Stopped),
        }
        // The worker answers by the deadline unless the run cannot be interrupted; then the client is answered all the same.
        match tokio::time::timeout_at(deadline.into(), outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ScheduleError::Stopped),
            Err(_) => Err(ScheduleError::Expired),
        }
    }

    /// A free session, if this request may be run on the calling thread.
    fn inline_session(&self, inputs: &[Tensor]) -> Option<Held<'_>> {
        let Execution::Inline { max_elements } = self.execution else { return None };
        // Nobody overtakes those who wait. And whatever the plan says, a model whose runs have turned out long is not run
        // here until they are short again: a run's time may depend on its values.
        let has_waiting = self.shared.queue.len() > 0;
        let is_large = inputs.iter().map(Tensor::len).sum::<usize>() > max_elements;
        if has_waiting || is_large || self.shared.run_average() > INLINE_RUN_MAX {
            return None;
        }
        self.shared.lanes.iter().find_map(|lane| lane.try_hold())
    }

    fn refuse_long_wait(&self) -> Result<(), ScheduleError> {
        let wait = self.expected_wait();
        if wait > self.limits.queue_max_wait { Err(self.overloaded(wait)) } else { Ok(()) }
    }

    /// How long a job that joins the queue now would wait, by the runs seen lately.
    fn expected_wait(&self) -> Duration {
        let run = self.shared.run_average();
        let waiting = u32::try_from(self.shared.queue.len()).unwrap_or(u32::MAX);
        run.saturating_mul(waiting) / u32::try_from(self.shared.lanes.len()).unwrap_or(u32::MAX).max(1)
    }

    fn overloaded(&self, wait: Duration) -> ScheduleError {
        ScheduleError::Overloaded { retry_after: wait.max(Duration::from_secs(1)) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    /// A worker's life: take a job, run it, answer it.
    fn work(&self, lane: &Lane) {
        while self.queue.wait() {
            // First the session, which an inline request may have, then the job: so one that waits is seen to wait. And not
            // the session before there is a job: inline requests must not find it taken by an idle worker.
            let mut held = lane.hold();
            let Some(job) = self.queue.pop() else { continue };
            self.metrics.queue_depth.set(self.queue.len() as i64);
            if !job.is_wanted() {
                continue;
            }
            let outcome = self.run(&mut held, &job.inputs, job.submitted, job.deadline, Place::Worker);
            drop(held);
            job.answer(outcome);
        }
    }

    fn run(
        &self,
        held: &mut Held<'_>,
        inputs: &[Tensor],
        submitted: Instant,
        deadline: Instant,
        place: Place,
    ) -> Result<Completed, ScheduleError> {
        let started = Instant::now();
        if started >= deadline {
            return Err(ScheduleError::Expired);
        }
        let outcome = held.run(inputs, deadline, place);
        let ran = started.elapsed();
        self.note_run(ran);
        match outcome {
            Ok(outputs) => Ok(Completed { outputs, queued: started - submitted, ran }),
            Err(RunError::Interrupted) => Err(ScheduleError::Expired),
            Err(RunError::OutputsTooLarge { max_elements }) => Err(ScheduleError::AnswerTooLarge { max_elements }),
            Err(error) => Err(error.into()),
        }
    }

    fn run_average(&self) -> Duration {
        Duration::from_nanos(self.run_average_ns.load(Ordering::Relaxed))
    }

    fn note_run(&self, ran: Duration) {
        self.metrics.batch_size.observe(1.0);
        // A lost update between two workers loses one sample of an average: harmless, and cheaper than a lock.
        let sample = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        let average = self.run_average_ns.load(Ordering::Relaxed);
        let updated = if average == 0 { sample } else { average - average / 8 + sample / 8 };
        self.run_average_ns.store(updated, Ordering::Relaxed);
    }
}
