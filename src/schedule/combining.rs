//! Short runs, on the threads that serve connections.
//!
//! A request that finds a session free takes it and runs, without a hop to another thread. One that does not waits in the
//! queue; whoever gives a session back has the first of those waiting *lead*: take the session, and run all that waits as one
//! batch. (The scheme is flat combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010, with tasks for threads.) The lead
//! cannot get lost: a leader looks at the queue after it has given its session back, and one who was asked to lead and leaves
//! hands on.

use std::time::Instant;

use super::company::{Arrival, is_worth_it};
use super::job::{Job, Place, Size};
use super::lane::{Audience, Held};
use super::others_first::others_first;
use super::plan::INLINE_RUN_MAX;
use super::reply::{Outcome, Ticket, Turn};
use super::scheduler::{Shared, Waiting, refusal};
use crate::client::Client;
use crate::tensor::Tensor;

/// Whether a request is run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// At once, if it can be.
    Alone,
    /// With the others of its thread, which go first.
    Together,
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
        self.0.queue.hand_over();
    }
}

impl Shared {
    /// Whether a request that has come now is to share a run. Some find out first whether others come.
    pub(super) async fn sharing(&self, size: Size) -> Sharing {
        if self.plan.max_batch == 1 || size.rows.is_none() {
            return Sharing::Alone;
        }
        if let Arrival::Trial { count } = self.company.arrive() {
            others_first().await;
            self.company.note(count);
        }
        let requests = self.company.expected().min(self.plan.max_batch);
        let costs = (self.cost.of_elements(size.elements), self.cost.of_elements(requests * size.elements));
        let (Some(alone), Some(together)) = costs else { return Sharing::Alone };
        if is_worth_it(alone, together, requests) { Sharing::Together } else { Sharing::Alone }
    }

    /// Runs a request on the spot, if a session is free and nobody waits.
    pub(super) fn run_at_once(&self, inputs: &[Tensor], submitted: Instant, deadline: Instant) -> Option<Outcome> {
        if !self.queue.is_empty() {
            return None;
        }
        let mut lead = self.take_lead()?;
        let audience = Client::of_request().map_or(Audience::Runner, Audience::Client);
        Some(self.runner(Place::Inline).run_alone(&mut lead.held, inputs, audience, (submitted, deadline)))
    }

    /// Has a request wait, and lead when a session is free.
    pub(super) async fn combine(&self, job: Job, ticket: Ticket, sharing: Sharing) -> Outcome {
        let (deadline, pace) = (job.deadline, self.pace());
        let patience = job.patience(pace.bounds.burst);
        let waiting = Waiting { shared: self, ticket };
        self.queue.push(job, pace).map_err(refusal)?;
        if sharing == Sharing::Together {
            others_first().await;
        }
        loop {
            self.lead(&waiting.ticket);
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
    fn lead(&self, ticket: &Ticket) {
        while !ticket.is_taken() {
            let Some(mut lead) = self.take_lead() else { return };
            let batch = self.queue.take(Place::Inline, self.max_inline_rows(), Instant::now(), self.pace());
            if batch.is_empty() {
                return;
            }
            self.runner(Place::Inline).run(&mut lead.held, batch);
        }
    }

    /// A session, if one is free.
    fn take_lead(&self) -> Option<Lead<'_>> {
        let held = self.lanes.iter().find_map(|lane| lane.try_hold())?;
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
