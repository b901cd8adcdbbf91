//! The way of an outcome from whoever runs a job to the request that waits for it.
//!
//! A [`Reply`] travels with the job, its [`Ticket`] stays with the request. Besides an answer, a waiting request can be asked
//! to *lead*: to take a session and run what waits, since whoever had the session is done with its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::{Completed, ScheduleError};

pub type Outcome = Result<Completed, ScheduleError>;

/// The end that answers. Dropped unanswered, it says that the deployment stops.
#[derive(Debug)]
pub struct Reply(Arc<Mutex<State>>);

/// Sees whether the request still waits. For the watchdog, while the job is in a run.
#[derive(Debug)]
pub struct Listener(Arc<Mutex<State>>);

/// The end that waits. Dropped, the job is nobody's any more.
#[derive(Debug)]
pub struct Ticket(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// The request has been asked to lead and has not heard it yet.
    lead: bool,
    /// The job is in a run, or done: it does not wait any more.
    taken: bool,
    /// The request does not wait any more.
    left: bool,
    waker: Option<Waker>,
}

/// What a waiting request is told.
#[derive(Debug)]
pub enum Turn {
    Answered(Outcome),
    /// A session is free, and others wait: run what waits.
    Lead,
}

/// A reply and its ticket.
pub fn reply() -> (Reply, Ticket) {
    let state = Arc::new(Mutex::new(State::default()));
    (Reply(Arc::clone(&state)), Ticket(state))
}

impl Reply {
    /// Takes the job out of waiting; false if nobody wants it any more.
    pub fn take(&self) -> bool {
        let mut state = self.0.lock();
        state.taken = !state.left;
        state.taken
    }

    /// Answers. A request that has left does not miss it.
    pub fn answer(self, outcome: Outcome) {
        self.settle(outcome);
    }

    /// For whoever wants to know, while the job is run, whether its request still waits.
    pub fn listener(&self) -> Listener {
        Listener(Arc::clone(&self.0))
    }

    /// Whether nobody waits any more.
    pub fn has_left(&self) -> bool {
        self.0.lock().left
    }

    /// Asks the request to lead; false if it has left.
    pub fn ask_to_lead(&self) -> bool {
        let mut state = self.0.lock();
        if state.left {
            return false;
        }
        state.lead = true;
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
        true
    }

    fn settle(&self, outcome: Outcome) {
        let mut state = self.0.lock();
        state.taken = true;
        if state.outcome.is_none() && !state.left {
            state.outcome = Some(outcome);
            if let Some(waker) = state.waker.take() {
                drop(state);
                waker.wake();
            }
        }
    }
}

impl Listener {
    pub fn has_left(&self) -> bool {
        self.0.lock().left
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Without effect on an answered one: the outcome is there, or has been fetched by a request that then left.
        self.settle(Err(ScheduleError::Stopped));
    }
}

impl Ticket {
    /// The outcome, if it is there.
    pub fn try_fetch(&self) -> Option<Outcome> {
        self.0.lock().outcome.take()
    }

    /// Whether the job waits no more: it is in a run, or answered.
    pub fn is_taken(&self) -> bool {
        self.0.lock().taken
    }

    /// Waits for an answer, or to be asked to lead. Cancel-safe.
    pub async fn turn(&self) -> Turn {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut state = self.0.lock();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(Turn::Answered(outcome));
        }
        if std::mem::take(&mut state.lead) {
            return Poll::Ready(Turn::Lead);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Stops waiting, unless the job has been taken already. True if it has not.
    pub fn withdraw(&self) -> bool {
        let mut state = self.0.lock();
        state.left = !state.taken;
        state.left
    }

    /// Stops waiting, whatever has become of the job. True if the request had been asked to lead and has not.
    pub fn leave(&self) -> bool {
        let mut state = self.0.lock();
        state.left = true;
        std::mem::take(&mut state.lead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outcome_reaches_its_request_and_a_lost_reply_is_a_stop() {
        let (one, ticket) = reply();
        one.answer(Err(ScheduleError::Expired));
        assert!(matches!(ticket.turn().await, Turn::Answered(Err(ScheduleError::Expired))));
        let (lost, ticket) = reply();
        drop(lost);
        assert!(matches!(ticket.try_fetch(), Some(Err(ScheduleError::Stopped))));
    }

    #[tokio::test]
    async fn the_lead_is_heard_once_and_given_back_by_one_who_leaves() {
        let (reply, ticket) = reply();
        assert!(reply.ask_to_lead());
        assert!(matches!(ticket.turn().await, Turn::Lead));
        assert!(!ticket.leave(), "it was heard");
        assert!(!reply.ask_to_lead(), "nobody is there");
    }

    #[test]
    fn what_has_been_taken_is_not_withdrawn_and_what_was_withdrawn_not_taken() {
        let (taken, ticket) = reply();
        assert!(taken.take() && !ticket.withdraw());
        let (withdrawn, ticket) = reply();
        assert!(ticket.withdraw() && !withdrawn.take());
        let (asked, ticket) = reply();
        assert!(asked.ask_to_lead() && ticket.leave());
        let (heard, ticket) = reply();
        let listener = heard.listener();
        assert!(!listener.has_left() && !heard.has_left());
        ticket.leave();
        assert!(listener.has_left() && heard.has_left());
    }
}
