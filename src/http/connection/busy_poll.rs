//! Waiting awake for a client's next request.
//!
//! A thread that sleeps until the next request comes is woken by the kernel, on a processor that has gone to sleep too: some
//! 20 µs, as much as reading and answering a small request takes. A client that asks again as soon as it is answered need not
//! wait for that: the thread looks for its next request a few times more before it sleeps. (The kernel does the same for
//! sockets as `SO_BUSY_POLL`, where the network's driver can be polled.)
//!
//! Awake is one connection of a port at most, for microseconds, and only as long as it pays: a client that let it wait in vain is
//! waited for the more rarely the more often it did, and whoever has company on its thread does not wait awake at all, since
//! that thread does not sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::activity::Activity;

/// A turn of the runtime that finds nothing to do takes a microsecond. In one that takes longer others were served.
const TURN_MAX: Duration = Duration::from_micros(10);

/// A client that does not come back at once is waited for after one of so many requests all the same.
const REST_MAX: u32 = 1_023;

/// What the connections of a port share: who waits awake, and for how long at most.
#[derive(Debug)]
pub struct BusyPolling {
    longest: Duration,
    is_taken: AtomicBool,
}

impl BusyPolling {
    /// Without any, if `longest` is 0.
    pub fn new(longest: Duration) -> Arc<BusyPolling> {
        Arc::new(BusyPolling { longest, is_taken: AtomicBool::new(false) })
    }
}

/// One connection's part in it.
#[derive(Debug)]
pub struct BusyPoll<'a> {
    port: &'a BusyPolling,
    round: Option<Round>,
    /// The requests that had begun when the last one had been answered.
    answered: u32,
    /// After so many further requests the client is waited for again; and after how many if that is in vain.
    rest: u32,
    next_rest: u32,
}

/// A time awake.
#[derive(Clone, Copy, Debug)]
struct Round {
    began: Instant,
    last_turn: Instant,
}

impl BusyPoll<'_> {
    pub fn new(port: &BusyPolling) -> BusyPoll<'_> {
        BusyPoll { port, round: None, answered: 0, rest: 0, next_rest: 1 }
    }

    /// Whether the connection, which has nothing to do, is to be polled again soon although nothing has woken it.
    pub fn goes_on(&mut self, activity: &Activity, now: impl FnOnce() -> Instant) -> bool {
        if self.port.longest.is_zero() {
            return false;
        }
        if activity.is_busy() {
            self.end_round();
            return false;
        }
        let begun = activity.begun();
        let is_answered = begun != self.answered;
        self.answered = begun;
        match (self.round, is_answered) {
            (None, false) => false,
            (None, true) if self.rest > 0 => {
                self.rest -= 1;
                false
            }
            (None, true) => {
                let is_ours = !self.port.is_taken.swap(true, Ordering::Relaxed);
                let now = now();
                self.round = is_ours.then_some(Round { began: now, last_turn: now });
                is_ours
            }
            (Some(_), true) => {
                self.next_rest = 1;
                let now = now();
                self.round = Some(Round { began: now, last_turn: now });
                true
            }
            (Some(round), false) => {
                let now = now();
                if now - round.last_turn > TURN_MAX || now - round.began > self.port.longest {
                    self.end_round();
                    self.rest = self.next_rest;
                    self.next_rest = (2 * self.next_rest + 1).min(REST_MAX);
                    return false;
                }
                self.round = Some(Round { last_turn: now, ..round });
                true
            }
        }
    }

    fn end_round(&mut self) {
        if self.round.take().is_some() {
            self.port.is_taken.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for BusyPoll<'_> {
    fn drop(&mut self) {
        self.end_round();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// A connection, and the clock that it sees.
    struct Client<'a> {
        activity: Arc<Activity>,
        poll: BusyPoll<'a>,
        now: Instant,
    }

    impl<'a> Client<'a> {
        fn of(port: &'a BusyPolling) -> Self {
            let now = Instant::now();
            Client { activity: Activity::new(now), poll: BusyPoll::new(port), now }
        }

        fn asks(&mut self) -> bool {
            drop(self.activity.begin());
            self.turn(0)
        }

        fn turn(&mut self, us: u32) -> bool {
            self.now += us * US;
            let now = self.now;
            self.poll.goes_on(&self.activity, || now)
        }
    }

    #[test]
    fn who_comes_back_at_once_is_waited_for_each_time() {
        let port = BusyPolling::new(20 * US);
        let mut client = Client::of(&port);
        assert!(!client.turn(1), "nothing has been asked yet");
        for _ in 0..100 {
            assert!(client.asks());
            assert!((0..15).all(|_| client.turn(1)));
        }
    }

    #[test]
    fn who_does_not_is_waited_for_ever_more_rarely_until_it_does() {
        let port = BusyPolling::new(20 * US);
        let mut client = Client::of(&port);
        let mut waits = 0;
        for _ in 0..1_000 {
            waits += u32::from(client.asks());
            // It comes back after a while.
            while client.turn(9) {}
        }
        assert!((5..=10).contains(&waits), "{waits}");
        while !client.asks() {}
        assert!(client.asks() && client.poll.next_rest == 1, "it has come back at once");
    }

    #[test]
    fn one_at_a_time_and_nobody_in_company() {
        let port = BusyPolling::new(50 * US);
        let (mut one, mut other) = (Client::of(&port), Client::of(&port));
        assert!(one.asks() && !other.asks());
        assert!(!one.turn(11), "others were served meanwhile");
        assert!(other.asks());
        drop(other);
        assert!(!one.asks() && one.asks());
        assert!(!Client::of(&BusyPolling::new(Duration::ZERO)).asks());
    }
}
