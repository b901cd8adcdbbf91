//! Long runs, by worker threads.
//!
//! A worker takes what waits, up to a full batch, as soon as it has a session and cores to run it on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::ScheduleError;
use super::job::{Job, Place};
use super::lane::Lane;
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
            let (shared, lane) = (Arc::clone(self), Arc::clone(lane));
            let worker = thread::Builder::new().name("scoria-worker".to_owned());
            let spawned = worker.spawn(move || shared.work(&lane));
            spawned.inspect_err(|_| self.has_workers.store(false, Ordering::Release))?;
        }
        Ok(())
    }

    /// A worker's life.
    fn work(&self, lane: &Lane) {
        let mut last = None;
        while self.queue.wait() {
            self.gather(last);
            // First what a run needs, then the jobs: so one that waits is seen to wait, and takes later ones along.
            let _cores = self.cores.lease(self.plan.intra_op_threads);
            let mut held = lane.hold();
            let started = Instant::now();
            let batch = self.queue.take(Place::Worker, self.rows_to_run(), started, self.pace());
            let rows = batch.iter().filter_map(|job| job.size.rows).sum();
            self.runner(Place::Worker).run(&mut held, batch);
            drop(held);
            let ended = Instant::now();
            last = Some(Last { rows, took: ended - started, ended });
            // Requests whose runs are short may have found the session taken.
            self.queue.hand_over();
        }
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
