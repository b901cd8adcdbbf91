//! Long runs, by worker threads.
//!
//! A worker takes what waits, up to a full batch, as soon as it has a session and cores to run it on.
//!
//! A run that uses all cores answers one request soonest, but its threads wait for each other at each node: when one of them is
//! kept from its core, all are. So where there are *narrow* lanes, of a core each, they take its place while there is a
//! [`Crowd`](super::crowd). All workers but the first are helpers, who come for that alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::ScheduleError;
use super::batch::Runner;
use super::job::{Job, Place};
use super::lane::{Held, Lane};
use super::queue::Batch;
use super::reply::{Outcome, Ticket, Turn};
use super::scheduler::{Shared, Waiting, refusal};

/// The part of a run that a worker waits for the requests it has just answered to be followed by others.
///
/// Clients that send their next request when they have the last answer come back together, a little after the run that
/// answered them. A worker that went on at once would run the first of them alone, and the others after it.
const REGROUP_PART: u32 = 16;

/// A batch that has been run.
#[derive(Clone, Copy, Debug)]
struct Last {
    rows: usize,
    took: Duration,
    ended: Instant,
}

impl Shared {
    /// Has a request wait for a worker.
    pub(super) async fn leave_to_worker(self: &Arc<Self>, job: Job, ticket: Ticket) -> Outcome {
        if let Err(error) = self.start_workers() {
            tracing::error!(%error, "no worker thread could be started");
            return Err(ScheduleError::Stopped);
        }
        let (deadline, pace) = (job.deadline, self.pace());
        let patience = job.patience(pace.bounds.burst);
        let waiting = Waiting { shared: self, ticket };
        self.queue.push(job, pace).map_err(refusal)?;
        loop {
            // Nobody asks a worker's job to lead.
            if let Turn::Answered(outcome) = waiting.turn(patience, deadline).await {
                return outcome;
            }
        }
    }

    /// Starts a worker for each session, once.
    pub(super) fn start_workers(self: &Arc<Self>) -> std::io::Result<()> {
        if self.has_workers.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        for lane in &self.lanes {
            let narrow = self.narrow_lanes().first().cloned();
            self.start_thread(Arc::clone(lane), move |shared, lane| shared.work(lane, narrow.as_deref()))?;
        }
        for lane in self.narrow_lanes().iter().skip(1) {
            self.start_thread(Arc::clone(lane), Shared::help)?;
        }
        Ok(())
    }

    fn start_thread(
        self: &Arc<Self>,
        lane: Arc<Lane>,
        life: impl FnOnce(&Shared, &Lane) + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name("scoria-worker".to_owned()).spawn(move || life(&shared, &lane));
        spawned.inspect_err(|_| self.has_workers.store(false, Ordering::Release))?;
        Ok(())
    }

    /// A worker's life.
    fn work(&self, lane: &Lane, narrow: Option<&Lane>) {
        let mut last = None;
        while self.queue.wait() {
            self.gather(last);
            last = Some(match narrow.filter(|_| self.queue.is_crowded()) {
                None => self.run_wide(lane),
                Some(lane) => self.run_narrow(lane),
            });
        }
    }

    /// A helper's life.
    fn help(&self, lane: &Lane) {
        let mut last = None;
        while self.queue.wait_for_crowd() {
            self.gather(last);
            last = Some(self.run_narrow(lane));
        }
    }

    /// Runs what is next as planned.
    fn run_wide(&self, lane: &Lane) -> Last {
        // First what a run needs, then the jobs: so one that waits is seen to wait, and takes later ones along.
        let _cores = self.cores.lease(self.plan.intra_op_threads);
        let (held, started) = (lane.hold(), Instant::now());
        let batch = self.queue.take(Place::Worker, self.rows_to_run(), started, self.pace());
        self.run_batch(held, started, batch, &self.runner(Place::Worker))
    }

    /// Runs what is next on one core.
    fn run_narrow(&self, lane: &Lane) -> Last {
        let _core = self.cores.lease(1);
        let (held, started) = (lane.hold(), Instant::now());
        let (batch, _run) = self.queue.take_narrow(started, self.pace());
        self.run_batch(held, started, batch, &self.narrow_runner())
    }

    fn run_batch(&self, mut held: Held<'_>, started: Instant, batch: Batch, runner: &Runner<'_>) -> Last {
        let rows = batch.iter().filter_map(|job| job.size.rows).sum();
        runner.run(&mut held, batch);
        drop(held);
        let ended = Instant::now();
        // Requests whose runs are short may have found the session taken.
        self.queue.hand_over();
        Last { rows, took: ended - started, ended }
    }

    fn narrow_lanes(&self) -> &[Arc<Lane>] {
        self.narrow.as_ref().map_or(&[], |narrow| &narrow.lanes)
    }

    fn narrow_runner(&self) -> Runner<'_> {
        let part = u32::try_from(self.narrow_lanes().len()).unwrap_or(u32::MAX).max(1);
        Runner { part, ..self.runner(Place::Worker) }
    }

    /// How many rows to take.
    fn rows_to_run(&self) -> usize {
        let Some(sizes) = self.plan.sizes else { return self.plan.max_batch };
        sizes.rows_to_run(self.queue.rows(), |rows| self.cost.of_rows(rows)).clamp(1, self.plan.max_batch)
    }

    /// Waits for more rows where that pays.
    fn gather(&self, last: Option<Last>) {
        let max_batch = self.plan.max_batch;
        if max_batch == 1 {
            return;
        }
        if !self.plan.max_batch_delay.is_zero() {
            let since = self.queue.oldest().unwrap_or_else(Instant::now);
            self.queue.gather(max_batch, since + self.plan.max_batch_delay);
        } else if let Some(last) = last.filter(|last| last.rows > 1) {
            self.queue.gather(last.rows.min(max_batch), last.ended + last.took / REGROUP_PART);
        }
    }
}
