//! A lane: sends one request after the other on its channel, and records what became of each.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::pacer::Pacer;
use crate::record::{Answered, Exchange, Recorder};
use crate::schedule::Schedule;
use crate::wire::{Answer, Channel, Failure, Outgoing};

/// What the lanes of one thread have in common.
#[derive(Debug)]
pub struct Thread {
    pub begin: Instant,
    pub end: Instant,
    /// [`crate::plan::Run::cutoffs`].
    pub cutoffs: Vec<Duration>,
    pub timeout: Duration,
    /// How long an open loop's request waits for a lane.
    pub patience: Duration,
    pub requests: std::sync::Arc<[Outgoing]>,
    /// Which request is next.
    pub turn: Cell<usize>,
    /// The open loop's arrivals; none if the loop is closed.
    pub schedule: Option<RefCell<Schedule>>,
    pub pacer: Pacer,
    pub recorder: RefCell<Recorder>,
    /// Exchanges that are over, for the progress bar.
    pub over: std::sync::Arc<AtomicU64>,
}

/// After a connection was refused: neither spin, nor stay away for long.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// Runs a lane to the end of its thread's phases.
pub async fn run(thread: Rc<Thread>, mut channel: Channel) -> Channel {
    let mut lane = Lane { deadline: Deadline::new(), thread };
    if lane.thread.schedule.is_some() {
        lane.open_loop(&mut channel).await;
    } else {
        lane.closed_loop(&mut channel).await;
    }
    channel
}

struct Lane {
    thread: Rc<Thread>,
    deadline: Deadline,
}

impl Lane {
    /// Each request when the last is over. Latency is what the exchange took.
    async fn closed_loop(&mut self, channel: &mut Channel) {
        self.thread.pacer.until(self.thread.begin).await;
        loop {
            let sent = Instant::now();
            if sent >= self.thread.end {
                return;
            }
            let gives_up = (sent + self.thread.timeout).min(self.thread.end);
            let outcome = self.exchange(channel, gives_up).await;
            if outcome == Err(Failure::TimedOut) && gives_up == self.thread.end {
                self.thread.recorder.borrow_mut().unfinished();
                return;
            }
            self.record(sent, sent, outcome);
            self.pause_if_refused(outcome).await;
        }
    }

    /// Each request at its time, or as soon after it as this lane is free. Whoever is free takes the next arrival, so that
    /// arrivals wait only while no lane is free. Latency counts from the intended time, and so does the time-out.
    async fn open_loop(&mut self, channel: &mut Channel) {
        while let Some(arrival) = self.draw() {
            let taken = Instant::now();
            let intended = self.thread.begin + arrival;
            self.thread.pacer.until(intended).await;
            let sent = Instant::now();
            let gives_up = intended + self.thread.timeout;
            let has_waited_too_long = taken > intended + self.thread.patience || sent >= gives_up;
            if has_waited_too_long || taken >= self.cutoff(arrival) {
                self.record(intended, sent, Err(Failure::Unsent));
                continue;
            }
            self.thread.recorder.borrow_mut().lag(arrival, sent - intended.max(taken));
            let outcome = self.exchange(channel, gives_up).await;
            self.record(intended, sent, outcome);
            self.pause_if_refused(outcome).await;
        }
    }

    /// From when on a request that is meant for this moment is not sent any more.
    fn cutoff(&self, arrival: Duration) -> Instant {
        let cutoff = self.thread.cutoffs.iter().find(|cutoff| **cutoff > arrival);
        cutoff.map_or(self.thread.end, |cutoff| self.thread.begin + *cutoff)
    }

    fn draw(&self) -> Option<Duration> {
        self.thread.schedule.as_ref().and_then(|schedule| schedule.borrow_mut().draw())
    }

    async fn exchange(&mut self, channel: &mut Channel, gives_up: Instant) -> Result<Answered, Failure> {
        let turn = self.thread.turn.get();
        self.thread.turn.set((turn + 1) % self.thread.requests.len());
        let thread = Rc::clone(&self.thread);
        let exchange = channel.exchange(&thread.requests[turn], 0);
        match self.deadline.bound(gives_up, exchange).await {
            Some(Ok(Answer { status, body_bytes, .. })) => Ok(Answered { status, body_bytes }),
            Some(Err(failure)) => Err(failure),
            None => {
                channel.abandon();
                Err(Failure::TimedOut)
            }
        }
    }

    fn record(&self, intended: Instant, sent: Instant, outcome: Result<Answered, Failure>) {
        let since = |moment: Instant| moment.saturating_duration_since(self.thread.begin);
        let exchange = Exchange { intended: since(intended), sent: since(sent), done: since(Instant::now()), outcome };
        self.thread.recorder.borrow_mut().over(&exchange);
        self.thread.over.fetch_add(1, Ordering::Relaxed);
    }

    async fn pause_if_refused(&self, outcome: Result<Answered, Failure>) {
        if outcome == Err(Failure::Connect) {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

/// One timer for a lane's whole life: nearly no exchange takes as long as its time-out, so the timer is looked at again only
/// when it has rung for an exchange that is long over.
struct Deadline {
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new() -> Deadline {
        Deadline { timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    /// None if the moment came first. The timer is exact to a millisecond, and late rather than early.
    async fn bound<T>(&mut self, moment: Instant, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let moment = tokio::time::Instant::from_std(moment);
        if self.timer.deadline() > moment {
            self.timer.as_mut().reset(moment);
        }
        std::future::poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            while self.timer.as_mut().poll(context).is_ready() {
                if self.timer.deadline() >= moment {
                    return Poll::Ready(None);
                }
                self.timer.as_mut().reset(moment);
            }
            Poll::Pending
        })
        .await
    }
}
