//! The queue before a stream that takes bytes only when a test lets it.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Far more than a test takes; where it is waited for in vain, the test fails.
const LONG: Patience = Patience { limit: Duration::from_secs(60), stalled: Duration::from_secs(60) };
const NONE: Patience = Patience { limit: Duration::ZERO, stalled: Duration::ZERO };

/// A stream at whose gate every write waits.
struct Gated {
    arrived: Sender<()>,
    admitted: Receiver<io::Result<usize>>,
    taken: Sender<Vec<u8>>,
}

/// The test's side of it.
struct Gate {
    arrived: Receiver<()>,
    admit: Sender<io::Result<usize>>,
    taken: Receiver<Vec<u8>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.arrived.send(()).map_err(io::Error::other)?;
        let most = self.admitted.recv().map_err(io::Error::other)??;
        let count = bytes.len().min(most);
        self.taken.send(bytes[..count].to_vec()).map_err(io::Error::other)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gate {
    /// Lets the write that waits, or the next one, take so many bytes; gives what it took.
    fn admit(&self, bytes: usize) -> String {
        self.arrived.recv().unwrap();
        self.admit.send(Ok(bytes)).unwrap();
        String::from_utf8(self.taken.recv().unwrap()).unwrap()
    }
}

fn notice(lines: u64) -> String {
    format!("{lines} dropped\n")
}

fn queue(bytes_max: usize) -> (Arc<LineQueue>, Gate) {
    let ((arrive, arrived), (admit, admitted), (take, taken)) = (channel(), channel(), channel());
    let queue = Arc::new(LineQueue::new(bytes_max));
    queue.start("test", Gated { arrived: arrive, admitted, taken: take }, notice).unwrap();
    (queue, Gate { arrived, admit, taken })
}

#[test]
fn lines_come_out_in_their_order_and_whole() {
    let (queue, gate) = queue(100);
    queue.put(b"one\n");
    assert_eq!(gate.admit(2), "on");
    queue.put(b"two\n");
    assert_eq!([gate.admit(99), gate.admit(99)], ["e\n", "two\n"]);
    assert!(queue.flush(LONG) && queue.dropped() == 0);
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_told_in_its_place() {
    let (queue, gate) = queue(10);
    queue.put(b"1234\n");
    gate.arrived.recv().unwrap();
    // Lines in hand count until the stream has taken them.
    queue.put(b"678\n");
    queue.put(b"too long\n");
    queue.put(b"neither\n");
    assert_eq!(queue.dropped(), 2);
    gate.admit.send(Ok(99)).unwrap();
    assert_eq!(gate.taken.recv().unwrap(), b"1234\n");
    assert_eq!(gate.admit(99), "678\n2 dropped\n");
    assert!(queue.flush(LONG));
    queue.put(b"later\n");
    assert_eq!(gate.admit(99), "later\n");
}

#[test]
fn a_loss_is_told_although_nothing_is_put_any_more() {
    let (queue, gate) = queue(4);
    queue.put(b"longer than all\n");
    assert_eq!((gate.admit(99).as_str(), queue.dropped()), ("1 dropped\n", 1));
}

#[test]
fn nobody_who_puts_or_gives_up_waits_for_a_stream_that_takes_nothing() {
    let (queue, gate) = queue(1000);
    queue.put(b"first\n");
    gate.arrived.recv().unwrap();
    (0..10_000).for_each(|_| queue.put(b"a line of twenty...\n"));
    assert_eq!(queue.dropped(), 10_000 - (1000 - 6) / 20);
    assert!(!queue.flush(NONE), "the stream has taken nothing");
    assert!(!queue.flush(Patience { limit: LONG.limit, stalled: Duration::ZERO }), "and nothing is hoped for");
    drop(gate);
}

#[test]
fn a_stream_that_fails_loses_lines_and_stops_nobody() {
    let (queue, gate) = queue(100);
    queue.put(b"one\n");
    gate.arrived.recv().unwrap();
    gate.admit.send(Err(io::Error::from(ErrorKind::Interrupted))).unwrap();
    gate.arrived.recv().unwrap();
    gate.admit.send(Err(io::Error::from(ErrorKind::BrokenPipe))).unwrap();
    assert!(queue.flush(LONG));
    assert_eq!(queue.dropped(), 1);
    queue.put(b"two\n");
    assert_eq!(gate.admit(99), "two\n");
}

#[test]
fn a_write_ends_at_the_end_of_a_line_if_it_can() {
    let long = [b"x".repeat(PIECE_BYTES_MAX - 2).as_slice(), b"\nnext\n"].concat();
    assert_eq!(piece(&long).len(), PIECE_BYTES_MAX - 1);
    assert_eq!(piece(&b"x".repeat(2 * PIECE_BYTES_MAX)).len(), PIECE_BYTES_MAX);
    assert_eq!(piece(b"a\nb\n"), b"a\nb\n");
}
