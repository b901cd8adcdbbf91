//! Waking at a moment, to a few microseconds.
//!
//! tokio's timers count in milliseconds, which is longer than many a request takes. One `timerfd` a thread, which the
//! kernel's high-resolution timers serve, wakes whoever is due; nobody spins, since the server may need that core.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe;

/// Those who wait on one thread, in the order of their moments.
#[derive(Debug)]
pub struct Pacer {
    /// A `timerfd`. To tokio it is a pipe: something that becomes readable, and is read. (`AsyncFd` would need `unsafe`.)
    timer: pipe::Receiver,
    waiting: RefCell<VecDeque<(Instant, Waker)>>,
}

impl Pacer {
    /// Within the thread's runtime.
    pub fn new() -> io::Result<Pacer> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Pacer { timer: pipe::Receiver::from_owned_fd_unchecked(timer)?, waiting: RefCell::default() })
    }

    /// Waits for a moment. Whoever waits later must wait for a later moment, as the arrivals of a schedule do.
    pub async fn until(&self, moment: Instant) {
        let mut is_waiting = false;
        poll_fn(|context| {
            if Instant::now() >= moment {
                return Poll::Ready(());
            }
            if !is_waiting {
                is_waiting = true;
                let mut waiting = self.waiting.borrow_mut();
                waiting.push_back((moment, context.waker().clone()));
                if waiting.len() == 1 {
                    self.set(moment);
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes those who are due, for as long as it is polled; it ends only if the timer fails.
    pub async fn drive(&self) -> io::Result<Infallible> {
        loop {
            self.timer.readable().await?;
            // How often it rang: 1, or nothing if it was set anew since.
            let mut count = [0; 8];
            match self.timer.try_read(&mut count) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            let now = Instant::now();
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(|(moment, _)| *moment <= now) {
                if let Some((_, waker)) = waiting.pop_front() {
                    waker.wake();
                }
            }
            if let Some((moment, _)) = waiting.front() {
                self.set(*moment);
            }
        }
    }

    fn set(&self, moment: Instant) {
        // Zero would switch it off.
        let left = moment.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: left.try_into().expect("a run's time is bounded"),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).expect("a timer of our own, a valid time");
    }
}
