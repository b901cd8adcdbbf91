//! The byte stream beneath hyper: how long a client may keep us waiting, and how a connection is closed such that its client
//! sees our last answer.
//!
//! hyper times an HTTP/1 head and the pause before it alike, and times nothing else. Here a head (of either version), the
//! pause between requests, and the taking of an answer have a limit each. Timers are armed late and checked when they fire, so
//! that a request on a busy connection touches none.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::Limits;
use super::activity::Activity;
use super::frames::Frames;
use super::lines::Lines;
use super::sniff::{First, Protocol};
use crate::telemetry::{Closed, ConnectionMetrics};

/// An answer up to this length is put together and sent as one piece: `send` is cheaper than `writev` by more than that copy.
const SHORT_BYTES: usize = 1_024;

/// How long, and how much, a client that was refused may go on sending.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an HTTP/2 client may send that is neither head nor body: so many frames, so many more for each request, and one more for
/// so many bytes of answers, which it acknowledges. Ten times what libraries send.
const CONTROL_FRAMES_MAX: u64 = 10_000;
const CONTROL_FRAMES_PER_REQUEST: u64 = 20;
const BYTES_PER_CONTROL_FRAME: u64 = 1_024;

/// A stream with limits. It fails with [`io::ErrorKind::TimedOut`], or says that it has ended, when one is passed.
pub struct Transport<S> {
    stream: S,
    first: First,
    activity: Arc<Activity>,
    limits: Arc<Limits>,
    metrics: Arc<ConnectionMetrics>,
    head: Head,
    patience: Patience,
    written_bytes: u64,
    /// While the client takes less than there is to write.
    blocked: Option<Blocked>,
    /// Our end to an idle HTTP/2 connection has been announced, and has to be acknowledged by then.
    retiring_until: Option<Instant>,
    shutdown: Shutdown,
}

/// What is known of the request head that is being read.
struct Head {
    /// `None` for HTTP/1, where whatever comes while no request is in progress belongs to a head.
    frames: Option<Frames>,
    /// For HTTP/1.
    lines: Lines,
    has_begun: bool,
    since: Option<Instant>,
    /// The connection's count of requests when `has_begun` was last true of it.
    requests: u32,
}

/// A timer that fires at or before the time that matters.
#[derive(Default)]
struct Patience {
    sleep: Option<Pin<Box<Sleep>>>,
    armed_for: Option<Instant>,
}

struct Blocked {
    since: Instant,
    taken_bytes: u64,
    sleep: Pin<Box<Sleep>>,
}

enum Shutdown {
    NotBegun,
    Lingering { until: Option<Pin<Box<Sleep>>>, forgotten_bytes: usize },
    Done,
}

impl<S> Transport<S> {
    /// Wraps a stream whose first bytes have been read already.
    pub fn new(
        stream: S,
        (protocol, first): (Protocol, First),
        activity: Arc<Activity>,
        limits: Arc<Limits>,
        metrics: Arc<ConnectionMetrics>,
    ) -> Transport<S> {
        let head = Head {
            frames: (protocol == Protocol::Http2).then(Frames::new),
            lines: Lines::default(),
            // A client that connects to say nothing is treated like one that does not finish what it says.
            has_begun: true,
            since: Some(activity.waiting_since()),
            requests: 0,
        };
        let (patience, shutdown) = (Patience::default(), Shutdown::NotBegun);
        Transport {
            stream,
            first,
            activity,
            limits,
            metrics,
            head,
            patience,
            written_bytes: 0,
            blocked: None,
            retiring_until: None,
            shutdown,
        }
    }

    /// What the client is being waited for, and until when.
    fn due(&mut self) -> Option<(Instant, Closed)> {
        let is_waiting = !self.activity.is_busy() && self.blocked.is_none();
        let head_since = self.head.since(&self.activity, is_waiting);
        let head = head_since.map(|since| (since + self.limits.header_timeout, Closed::HeaderTimeout));
        let idle = || (self.activity.waiting_since() + self.limits.keep_alive_timeout, Closed::Idle);
        if self.head.frames.is_none() {
            return head.or_else(|| is_waiting.then(idle));
        }
        let retiring = self.retiring_until.map(|until| (until, Closed::Idle));
        let idle = retiring.or_else(|| is_waiting.then(idle));
        let untaken = self.activity.first_untaken().map(|until| (until, Closed::SlowClient));
        [head, idle, untaken].into_iter().flatten().min_by_key(|(until, _)| *until)
    }

    /// Called when there is nothing to read: waits with the client, or is done waiting.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.should_leave() && !self.activity.is_busy() {
            self.metrics.closed(Closed::MadeRoom);
            return Poll::Ready(Ok(()));
        }
        loop {
            let due = self.due();
            // While nothing is due the timer still has to come by, since nothing else will when a request has ended.
            let until = due.map(|(until, _)| until);
            ready!(self.patience.poll(cx, until, self.limits.keep_alive_timeout));
            let now = Instant::now();
            match due {
                Some((until, reason)) if until <= now => return self.give_up(reason, now),
                _ => {}
            }
        }
    }

    fn give_up(&mut self, reason: Closed, now: Instant) -> Poll<io::Result<()>> {
        match reason {
            // Nothing is lost by an end between requests. HTTP/2 has a way to announce it, so that no request crosses it.
            Closed::Idle if self.head.frames.is_some() && self.retiring_until.is_none() => {
                self.retiring_until = Some(now + self.limits.header_timeout);
                self.activity.retire();
                Poll::Pending
            }
            Closed::Idle => {
                self.metrics.closed(reason);
                Poll::Ready(Ok(()))
            }
            _ => {
                self.metrics.closed(reason);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Notes what came of a write.
    fn wrote(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = outcome {
            self.written_bytes += count as u64;
        }
        match (&outcome, &mut self.blocked) {
            (Poll::Ready(Ok(count)), Some(blocked)) => blocked.taken_bytes += *count as u64,
            (Poll::Ready(_), _) => {}
            (Poll::Pending, _) => {
                let blocked = self.blocked.get_or_insert_with(|| {
                    let now = Instant::now();
                    Blocked { since: now, taken_bytes: 0, sleep: Box::pin(sleep_until(now.into())) }
                });
                let until = blocked.since + self.limits.time_to_take(blocked.taken_bytes);
                blocked.sleep.as_mut().reset(until.into());
                ready!(blocked.sleep.as_mut().poll(cx));
                self.metrics.closed(Closed::SlowClient);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        outcome
    }
}

impl Head {
    /// Takes note of bytes that have come.
    ///
    /// Bytes that hyper would take and we do not are changed such that it does not either: it then answers in its own way.
    fn follow(&mut self, buf: &mut ReadBuf<'_>, before: usize, activity: &Activity, written_bytes: u64) {
        match &mut self.frames {
            Some(frames) => {
                let earned =
                    CONTROL_FRAMES_PER_REQUEST * u64::from(activity.begun()) + written_bytes / BYTES_PER_CONTROL_FRAME;
                frames.follow(&mut buf.filled_mut()[before..], CONTROL_FRAMES_MAX + earned);
            }
            None if !activity.is_busy() => {
                self.forget_ended(activity);
                self.has_begun = true;
                if let Some(at) = self.lines.follow(&buf.filled()[before..]) {
                    // Refused with 400, as soon as the head has an end.
                    const NO_HEAD: &[u8] = b"\0\r\n\r\n";
                    buf.set_filled((before + at).min(buf.capacity().saturating_sub(NO_HEAD.len())));
                    buf.put_slice(NO_HEAD);
                }
            }
            None => {}
        }
    }

    /// Since when a head has been incomplete, as seen when there is nothing more to read.
    fn since(&mut self, activity: &Activity, is_waiting: bool) -> Option<Instant> {
        let is_incomplete = match &self.frames {
            Some(frames) => frames.is_incomplete(),
            None => {
                self.forget_ended(activity);
                self.has_begun && is_waiting
            }
        };
        if is_incomplete {
            Some(*self.since.get_or_insert_with(Instant::now))
        } else {
            self.since = None;
            None
        }
    }

    /// A head that has become a request is none any more.
    fn forget_ended(&mut self, activity: &Activity) {
        let begun = activity.begun();
        if begun != self.requests {
            *self = Head { frames: None, lines: Lines::default(), has_begun: false, since: None, requests: begun };
        }
    }
}

impl Patience {
    /// Waits until `until`, or for a while if there is nothing to wait for; may return early.
    fn poll(&mut self, cx: &mut Context<'_>, until: Option<Instant>, a_while: Duration) -> Poll<()> {
        let is_early_enough = self.armed_for.is_some_and(|armed| until.is_none_or(|until| armed <= until));
        if !is_early_enough {
            let until = until.unwrap_or_else(|| Instant::now() + a_while);
            self.armed_for = Some(until);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(until.into()),
                None => self.sleep = Some(Box::pin(sleep_until(until.into()))),
            }
        }
        let sleep = self.sleep.as_mut().expect("armed for a time, so there is a timer");
        ready!(sleep.as_mut().poll(cx));
        self.armed_for = None;
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let first = this.first.take(buf.remaining());
        if first.is_empty() {
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => return this.wait(cx),
            }
        } else {
            buf.put_slice(first);
        }
        this.head.follow(buf, before, &this.activity, this.written_bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut room = [0; SHORT_BYTES];
        if let Some(bytes) = together(pieces, &mut room) {
            return self.poll_write(cx, bytes);
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        match outcome {
            // hyper flushes when it has nothing more to write.
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Ready(Err(_)) => {}
            // A layer in between, such as TLS, holds what the client does not take.
            Poll::Pending => drop(ready!(self.wrote(cx, Poll::Pending))?),
        }
        outcome
    }

    /// If a socket is closed with unread bytes in it, the kernel sends a reset, and the reset can overtake the answer (RFC 9112,
    /// section 9.6). So the writing side is closed first, and what still comes in is read and forgotten for a while: if the
    /// connection is asked to, or finds that there are unread bytes, since hyper, too, ends a connection whose request it
    /// cannot read.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.shutdown {
                Shutdown::NotBegun => {
                    let outcome = Pin::new(&mut this.stream).poll_shutdown(cx);
                    if outcome.is_pending() {
                        // TLS has a last word, which the client does not take.
                        ready!(this.wrote(cx, Poll::Pending))?;
                    }
                    ready!(outcome)?;
                    this.shutdown = Shutdown::Lingering { until: None, forgotten_bytes: 0 };
                }
                Shutdown::Lingering { until, forgotten_bytes } => {
                    let mut scratch = [0; 16 * 1024];
                    let mut buf = ReadBuf::new(&mut scratch);
                    let is_over = match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) => {
                            *forgotten_bytes += buf.filled().len();
                            buf.filled().is_empty() || *forgotten_bytes > LINGER_BYTES_MAX
                        }
                        Poll::Ready(Err(_)) => true,
                        // Nothing unread, and nothing more is expected.
                        Poll::Pending if *forgotten_bytes == 0 && !this.activity.linger().load(Ordering::Relaxed) => {
                            true
                        }
                        Poll::Pending => {
                            let until = until.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_TIME_MAX)));
                            ready!(until.as_mut().poll(cx));
                            true
                        }
                    };
                    if is_over {
                        this.shutdown = Shutdown::Done;
                    }
                }
                Shutdown::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// All pieces as one, if they are short.
fn together<'a>(pieces: &[io::IoSlice<'_>], room: &'a mut [u8; SHORT_BYTES]) -> Option<&'a [u8]> {
    let mut filled = 0;
    for piece in pieces {
        room.get_mut(filled..filled + piece.len())?.copy_from_slice(piece);
        filled += piece.len();
    }
    Some(&room[..filled])
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    #[test]
    fn short_pieces_are_one_and_long_ones_stay_apart() {
        let mut room = [0; SHORT_BYTES];
        let long = [7; SHORT_BYTES];
        let pieces = [IoSlice::new(b"HTTP/1.1 200 OK\r\n\r\n"), IoSlice::new(b""), IoSlice::new(b"[1]")];
        assert_eq!(together(&pieces, &mut room), Some(&b"HTTP/1.1 200 OK\r\n\r\n[1]"[..]));
        assert_eq!(together(&[IoSlice::new(&long)], &mut room), Some(&long[..]));
        assert_eq!(together(&[IoSlice::new(b"1"), IoSlice::new(&long)], &mut room), None);
        assert_eq!(together(&[], &mut room), Some(&b""[..]));
    }
}
