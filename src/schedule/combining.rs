//! Short runs, on the threads that serve connections.
//!
//! A request that finds a session free takes it and runs, without a hop to another thread. One that does not waits in the
//! queue; whoever gives a session back has the first of those waiting *lead*: take the session, and run all that waits as one
//! batch. (The scheme is flat combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010, with tasks for threads.) The lead
//! cannot get lost: a leader looks at the queue after it has given its session back, and one who was asked to lead and leaves
//! hands on.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::job::{Job, Place};
use super::lane::Held;
use super::plan::INLINE_RUN_MAX;
use super::reply::{Outcome, Ticket, Turn};
use super::scheduler::{Shared, Waiting, refusal};
use crate::tensor::Tensor;

/// How busy a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Requests come one by one: the sooner each runs the better.
    Sparse,
    /// They come together: the fewer runs the better.
    Dense,
}

/// A request that has a session.
struct Lead<'a> {
    held: Held<'a>,
    /// After the session, which is free when others are asked to take it.
    _end: EndOfLead<'a>,
}

struct EndOfLead<'a>(&'a Shared);

impl Drop for EndOfLead<'_> {
    fn drop(&mut self) {
        self.0.leaders.fetch_sub(1, Ordering::SeqCst);
        self.0.queue.hand_over();
    }
}

impl Shared {
    /// How busy a deployment is, now that a request has come.
    pub(super) fn load(&self) -> Load {
        if self.plan.max_batch > 1 && self.company.is_expected() { Load::Dense } else { Load::Sparse }
    }

    /// Runs a request on the spot, if a session is free and nobody waits.
    pub(super) fn run_at_once(
        &self,
        inputs: &[Tensor],
        submitted: Instant,
        deadline: Instant,
        load: Load,
    ) -> Option<Outcome> {
        if load == Load::Dense || !self.queue.is_empty() {
            return None;
        }
        let mut lead = self.take_lead(load)?;
        Some(self.runner(Place::Inline).run_alone(&mut lead.held, inputs, submitted, deadline))
    }

    /// Has a request wait, and lead when a session is free.
    pub(super) async fn combine(&self, job: Job, ticket: Ticket, load: Load) -> Outcome {
        let (deadline, pace) = (job.deadline, self.pace());
        let patience = job.patience(pace.bounds.burst);
        let waiting = Waiting { shared: self, ticket };
        self.queue.push(job, pace).map_err(refusal)?;
        if load == Load::Dense && self.leaders.load(Ordering::Relaxed) == 0 {
            // The tasks that are ready on this thread go first: they are requests, too.
            tokio::task::yield_now().await;
        }
        loop {
            self.lead(&waiting.ticket, load);
            // Who has been answered by now needs no timer.
            if let Some(outcome) = waiting.ticket.try_fetch() {
                return outcome;
            }
            if let Turn::Answered(outcome) = waiting.turn(patience, deadline).await {
                return outcome;
            }
        }
    }

    /// Runs batches of what waits until the ticket's job is among them, as long as there is a session for it.
    fn lead(&self, ticket: &Ticket, load: Load) {
        while !ticket.is_taken() {
            let Some(mut lead) = self.take_lead(load) else { return };
            let batch = self.queue.take(Place::Inline, self.max_inline_rows(), Instant::now(), self.pace());
            if batch.is_empty() {
                return;
            }
            // Whoever leads: one that waited may be in the batch of another that came meanwhile.
            self.company.note(batch.len());
            self.runner(Place::Inline).run(&mut lead.held, batch);
        }
    }

    /// A session, if there is one that a request may take.
    ///
    /// When requests come together and one of them leads, a further session is worth its run only for a full batch: what waits
    /// meanwhile makes the next batch larger, and each of its requests cheaper.
    fn take_lead(&self, load: Load) -> Option<Lead<'_>> {
        let is_led = load == Load::Dense && self.leaders.load(Ordering::SeqCst) > 0;
        if is_led && self.queue.rows() < self.plan.max_batch {
            return None;
        }
        let held = self.lanes.iter().find_map(|lane| lane.try_hold())?;
        self.leaders.fetch_add(1, Ordering::SeqCst);
        Some(Lead { held, _end: EndOfLead(self) })
    }

    /// The most rows of an inline run: as many as stay short, found by doubling.
    fn max_inline_rows(&self) -> usize {
        let max_batch = self.plan.max_batch;
        let is_short = |rows: usize| self.cost.of_rows(rows).is_some_and(|run| run <= INLINE_RUN_MAX);
        if self.plan.is_execution_fixed || is_short(max_batch) {
            return max_batch;
        }
        let mut rows = 1;
        while is_short(2 * rows) && 2 * rows < max_batch {
            rows *= 2;
        }
        rows
    }
}
