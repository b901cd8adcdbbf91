//! What a connection is doing, as its byte stream, its requests and the port's roster see it together.
//!
//! hyper knows when a request begins and ends and hides it; the timers of [`super::transport`] and the choice of
//! [`super::roster`] depend on it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Limits;
use crate::client::Client;

/// One connection's doings. Counting a request in and out is a few atomics.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    /// Requests that have begun, ever.
    begun: AtomicU32,
    /// Requests in progress: begun, and the answer not handed over to the connection yet.
    in_progress: AtomicU32,
    /// When the last request ended, in milliseconds after `opened`; 0 before that.
    waiting_since_ms: AtomicU64,
    /// Answers that wait for an HTTP/2 client to take them: an id, and the time it has for that.
    untaken: Mutex<Vec<(u32, Instant)>>,
    /// The connection must end although its client may still be sending.
    linger: AtomicBool,
    /// The connection should end as soon as no request is in progress.
    leave: AtomicBool,
    /// The client should be told that the connection takes no more requests.
    retire: AtomicBool,
    /// Its client, where others can see it.
    client: OnceLock<Client>,
    /// Wakes the connection's task.
    waker: OnceLock<Waker>,
    /// One of the three states below.
    polling: AtomicU8,
}

/// The connection is not being polled, so that waking it means waking its task.
const AT_REST: u8 = 0;
/// It is being polled.
const POLLED: u8 = 1;
/// It is being polled, and was woken meanwhile.
const POLLED_AND_WOKEN: u8 = 2;

impl Activity {
    pub fn new(opened: Instant) -> Arc<Activity> {
        Arc::new(Activity {
            opened,
            begun: AtomicU32::new(0),
            in_progress: AtomicU32::new(0),
            waiting_since_ms: AtomicU64::new(0),
            untaken: Mutex::new(Vec::new()),
            linger: AtomicBool::new(false),
            leave: AtomicBool::new(false),
            retire: AtomicBool::new(false),
            client: OnceLock::new(),
            waker: OnceLock::new(),
            polling: AtomicU8::new(AT_REST),
        })
    }

    /// Counts a request in, until what is returned is dropped.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        let id = self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        Exchange { activity: Arc::clone(self), id, is_answer_timed: false, is_at_rest: false, limits: None }
    }

    /// Says how others can see its client.
    pub fn know_client(&self, client: Client) {
        self.client.get_or_init(|| client);
    }

    pub fn client(&self) -> Option<Client> {
        self.client.get().cloned()
    }

    /// How many requests have begun; wraps around.
    pub fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    pub fn is_busy(&self) -> bool {
        self.in_progress.load(Ordering::Relaxed) > 0
    }

    /// Since when the connection has been waiting for its client's next request.
    pub fn waiting_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.waiting_since_ms.load(Ordering::Relaxed))
    }

    /// The client's next request is waited for from now on: the one before has ended, or a handshake has, which had time of
    /// its own.
    pub fn wait_from_now(&self) {
        let opened_ago = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waiting_since_ms.store(opened_ago, Ordering::Relaxed);
    }

    /// When the first answer that its client has not taken runs out of time.
    pub fn first_untaken(&self) -> Option<Instant> {
        self.untaken.lock().iter().map(|(_, until)| *until).min()
    }

    /// Set when the connection must end although its client may still be sending.
    pub fn linger(&self) -> &AtomicBool {
        &self.linger
    }

    /// Lets [`Activity::leave`] wake the connection's task. A task's waker is the same for all its life.
    pub fn wake_by(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// Asks the connection to end as soon as no request is in progress.
    pub fn leave(&self) {
        self.leave.store(true, Ordering::Release);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Polls what drives the connection, whose waker is to be made of this [`Activity`]; `cx` is the task's.
    ///
    /// hyper passes a request's body on through a channel, and so wakes, while it is polled, the task that it is polled by,
    /// once for each piece. For the scheduler that would be a task to be queued, and a reason to wake another thread, which
    /// costs more than to read and answer a small request. So what is woken while it is polled is polled once more at once;
    /// then it is the others' turn.
    pub fn poll<T>(&self, cx: &Context<'_>, mut poll: impl FnMut() -> Poll<T>) -> Poll<T> {
        for _ in 0..2 {
            self.polling.store(POLLED, Ordering::Release);
            let outcome = poll();
            let is_woken = self.polling.swap(AT_REST, Ordering::AcqRel) == POLLED_AND_WOKEN;
            if outcome.is_ready() || !is_woken {
                return outcome;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub fn should_leave(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }

    /// Asks whoever drives the connection to announce its end to the client.
    pub fn retire(self: &Arc<Self>) {
        self.retire.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    pub fn should_retire(&self) -> bool {
        self.retire.load(Ordering::Acquire)
    }
}

impl Wake for Activity {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.polling.compare_exchange(POLLED, POLLED_AND_WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(AT_REST)
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }
}

/// A request in progress.
#[derive(Debug)]
pub struct Exchange {
    activity: Arc<Activity>,
    id: u32,
    is_answer_timed: bool,
    /// Whether it waits for its client, and so does not count as in progress.
    is_at_rest: bool,
    /// What bounds a client's taking of answers, where an answer comes piece by piece.
    limits: Option<Arc<Limits>>,
}

impl Exchange {
    /// [`Activity::linger`] of the request's connection.
    pub fn linger(&self) -> &AtomicBool {
        self.activity.linger()
    }

    /// The answer is ready, and has to be taken by `until`.
    ///
    /// For HTTP/2, where a stream's answer can wait for its client while the connection is alive and well. On HTTP/1 it is
    /// the connection itself that stalls.
    pub fn answer_by(&mut self, until: Instant) {
        self.taken();
        self.activity.untaken.lock().push((self.id, until));
        self.is_answer_timed = true;
    }

    /// The answer has been taken.
    pub fn taken(&mut self) {
        if std::mem::take(&mut self.is_answer_timed) {
            self.activity.untaken.lock().retain(|(id, _)| *id != self.id);
        }
    }

    /// The answer will come in pieces, each of which has to be taken within these limits.
    pub fn answer_in_pieces(&mut self, limits: Arc<Limits>) {
        self.limits = Some(limits);
    }

    /// A piece of so many bytes is ready.
    pub fn await_client(&mut self, bytes: u64) {
        if let Some(limits) = &self.limits {
            self.answer_by(Instant::now() + limits.time_to_take(bytes));
        }
    }

    /// Whether the request waits for its client: then its connection counts as waiting, as it does between requests. What the
    /// client asks for next counts as a request.
    pub fn rest(&mut self, is_at_rest: bool) {
        if self.is_at_rest == is_at_rest {
            return;
        }
        self.is_at_rest = is_at_rest;
        if is_at_rest {
            self.activity.wait_from_now();
            self.activity.in_progress.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.activity.in_progress.fetch_add(1, Ordering::Relaxed);
            self.activity.begun.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.taken();
        self.rest(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task's waker that counts.
    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls with what wakes the connection at its first so many polls. Gives the polls, and how often the task was woken.
    fn polls(wakes: u32) -> (u32, u32) {
        let (activity, task) = (Activity::new(Instant::now()), Arc::new(Task::default()));
        let task_waker = Waker::from(Arc::clone(&task));
        activity.wake_by(&task_waker);
        let waker = Waker::from(Arc::clone(&activity));
        let mut polls = 0;
        let outcome = activity.poll(&Context::from_waker(&task_waker), || {
            polls += 1;
            if polls <= wakes {
                waker.wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(outcome.is_pending());
        (polls, task.0.load(Ordering::Relaxed))
    }

    #[test]
    fn what_is_woken_while_it_is_polled_is_polled_once_more_and_then_queued() {
        assert_eq!(polls(0), (1, 0));
        assert_eq!(polls(1), (2, 0));
        assert_eq!(polls(2), (2, 1));
    }

    #[test]
    fn what_is_woken_at_rest_wakes_its_task() {
        let (activity, task) = (Activity::new(Instant::now()), Arc::new(Task::default()));
        activity.wake_by(&Waker::from(Arc::clone(&task)));
        let poll = || Poll::Ready(Waker::from(Arc::clone(&activity)));
        let Poll::Ready(waker) = activity.poll(&Context::from_waker(Waker::noop()), poll) else { unreachable!() };
        waker.wake();
        activity.retire();
        activity.leave();
        assert_eq!(task.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn requests_are_counted_in_and_out() {
        let activity = Activity::new(Instant::now());
        assert!(!activity.is_busy());
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        assert!(activity.is_busy());
        drop(second);
        assert_eq!((activity.is_busy(), activity.begun()), (false, 2));
    }

    #[test]
    fn an_answer_counts_as_untaken_until_its_exchange_ends() {
        let now = Instant::now();
        let activity = Activity::new(now);
        let (mut late, mut soon) = (activity.begin(), activity.begin());
        late.answer_by(now + Duration::from_secs(2));
        soon.answer_by(now + Duration::from_secs(1));
        assert_eq!(activity.first_untaken(), Some(now + Duration::from_secs(1)));
        drop(soon);
        assert_eq!(activity.first_untaken(), Some(now + Duration::from_secs(2)));
        drop(late);
        assert_eq!(activity.first_untaken(), None);
    }
}
