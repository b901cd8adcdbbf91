//! Lines on their way to a stream whose reader may stall: a bounded queue, and the thread that writes.
//!
//! Whoever has a line copies it into the queue and goes on. The lock is held while bytes are copied, never while they are written,
//! so that a reader who takes nothing holds up the writing thread alone. What does not fit is dropped and counted; as soon as there
//! is room again, a line in its place says how many were.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Written at once, at most: what the kernel puts into a pipe whole, beside what other processes write.
const PIECE_BYTES_MAX: usize = 4096;

/// Memory that an empty queue keeps for the next lines.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// How long a stream is left alone that somebody has made non-blocking, and that takes nothing now.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Words a line that says how many lines were dropped.
pub type Notice = fn(u64) -> String;

/// The queue. Clones of its `Arc` share it.
#[derive(Debug)]
pub struct LineQueue {
    bytes_max: usize,
    state: Mutex<State>,
    /// Something waits to be written.
    put: Condvar,
    /// Something has been written.
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    in_hand: usize,
    /// Bytes written, or given up, since the start.
    progress: u64,
    /// Lines dropped that no line tells of yet.
    untold: u64,
}

/// Bounds on the wait for lines that are still to be written.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In all.
    pub limit: Duration,
    /// For a reader that takes nothing.
    pub stalled: Duration,
}

impl LineQueue {
    /// A queue of at most `bytes_max`, what is being written included.
    pub fn new(bytes_max: usize) -> LineQueue {
        LineQueue {
            bytes_max,
            state: Mutex::default(),
            put: Condvar::new(),
            written: Condvar::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Starts the thread that writes to `out`. It lives as long as the process.
    pub fn start(
        self: &Arc<Self>,
        thread_name: &str,
        mut out: impl Write + Send + 'static,
        notice: Notice,
    ) -> io::Result<()> {
        let queue = Arc::clone(self);
        let write = move || {
            loop {
                queue.write_next(&mut out, notice);
            }
        };
        thread::Builder::new().name(thread_name.to_owned()).spawn(write).map(drop)
    }

    /// Takes over whole lines, or drops them if there is no room. Never waits for the stream.
    pub fn put(&self, lines: &[u8]) {
        let mut state = self.state.lock();
        if state.pending() + lines.len() > self.bytes_max {
            let count = count_lines(lines);
            state.untold += count;
            self.dropped.fetch_add(count, Ordering::Relaxed);
        } else {
            state.waiting.extend_from_slice(lines);
        }
        drop(state);
        // A loss is told, too, even of what is longer than an empty queue.
        self.put.notify_one();
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything has been written, as long as the reader takes something. Whether it has.
    pub fn flush(&self, patience: Patience) -> bool {
        let end = Instant::now() + patience.limit;
        let mut state = self.state.lock();
        let mut give_up = Instant::now() + patience.stalled;
        while state.pending() > 0 {
            let seen = state.progress;
            let is_late = self.written.wait_until(&mut state, give_up.min(end)).timed_out();
            if state.progress != seen {
                give_up = Instant::now() + patience.stalled;
            } else if is_late {
                break;
            }
            if Instant::now() >= end {
                break;
            }
        }
        state.pending() == 0
    }

    /// Waits for lines, and writes what there is.
    fn write_next(&self, out: &mut impl Write, notice: Notice) {
        let mut state = self.state.lock();
        self.put.wait_while(&mut state, |state| state.waiting.is_empty() && state.untold == 0);
        let mut lines = std::mem::take(&mut state.waiting);
        let untold = std::mem::take(&mut state.untold);
        if untold > 0 {
            // What was dropped would have come after these, and before all that is put from now on.
            lines.extend_from_slice(notice(untold).as_bytes());
        }
        state.in_hand = lines.len();
        drop(state);
        self.write(&lines, out);
        lines.clear();
        let mut state = self.state.lock();
        if state.waiting.capacity() == 0 && lines.capacity() <= KEPT_BYTES_MAX {
            state.waiting = lines;
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "nobody waits for this thread, and a stream of others tells of no event"
    )]
    fn write(&self, mut lines: &[u8], out: &mut impl Write) {
        while !lines.is_empty() {
            match out.write(piece(lines)) {
                Ok(bytes @ 1..) => {
                    lines = lines.get(bytes..).unwrap_or_default();
                    self.note(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TRY_AGAIN),
                // The reader has gone for good; nobody could be told.
                Ok(0) | Err(_) => {
                    self.dropped.fetch_add(count_lines(lines), Ordering::Relaxed);
                    self.note(lines.len());
                    return;
                }
            }
        }
    }

    fn note(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.in_hand = state.in_hand.saturating_sub(bytes);
        state.progress += bytes as u64;
        drop(state);
        self.written.notify_all();
    }
}

impl State {
    fn pending(&self) -> usize {
        self.waiting.len() + self.in_hand
    }
}

/// The lines at the beginning that go into one write; of a longer one, a part.
fn piece(lines: &[u8]) -> &[u8] {
    let most = lines.get(..PIECE_BYTES_MAX).unwrap_or(lines);
    match most.iter().rposition(|byte| *byte == b'\n') {
        Some(last) if most.len() < lines.len() => &most[..=last],
        _ => most,
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count().max(1) as u64
}

#[cfg(test)]
#[path = "line_queue_tests.rs"]
mod tests;
