//! Closing a connection whose client is still sending, such that it sees our answer.
//!
//! If a socket is closed with unread bytes in it, the kernel sends a reset, and the reset can overtake the answer (RFC 9112,
//! section 9.6). So the writing side is closed first, and what still comes in is read and forgotten for a while.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long, and how much, a refused client may go on sending.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A TCP stream that lingers on shutdown, if it is asked to or finds that there are unread bytes: hyper, too, ends a
/// connection whose request it cannot read.
#[derive(Debug)]
pub struct Lingering {
    stream: TcpStream,
    asked: Arc<AtomicBool>,
    shutdown: Shutdown,
}

#[derive(Debug)]
enum Shutdown {
    NotBegun,
    Lingering { until: Option<Pin<Box<Sleep>>>, forgotten: usize },
    Done,
}

impl Lingering {
    /// Wraps a stream; setting `asked` before the connection shuts down makes it linger in any case.
    pub fn new(stream: TcpStream, asked: Arc<AtomicBool>) -> Lingering {
        Lingering { stream, asked, shutdown: Shutdown::NotBegun }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.shutdown {
                Shutdown::NotBegun => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    this.shutdown = Shutdown::Lingering { until: None, forgotten: 0 };
                }
                Shutdown::Lingering { until, forgotten } => {
                    let mut scratch = [0; 16 * 1024];
                    let mut buf = ReadBuf::new(&mut scratch);
                    let over = match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) => {
                            *forgotten += buf.filled().len();
                            buf.filled().is_empty() || *forgotten > LINGER_BYTES_MAX
                        }
                        Poll::Ready(Err(_)) => true,
                        // Nothing unread, and nothing more is expected.
                        Poll::Pending if *forgotten == 0 && !this.asked.load(Ordering::Relaxed) => true,
                        Poll::Pending => {
                            let until = until.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_TIME_MAX)));
                            ready!(until.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        this.shutdown = Shutdown::Done;
                    }
                }
                Shutdown::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
