//! A connection that speaks HTTP/1.1, one exchange after the other.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{Answer, AnswerReader};
use super::{Failure, open};

/// As much as is read at once: nearly every answer is one read.
const READ_BYTES: usize = 16 << 10;

/// The connection, which is made again when it has ended.
#[derive(Debug)]
pub struct Http1 {
    addresses: Arc<[SocketAddr]>,
    stream: Option<TcpStream>,
    buffer: Box<[u8; READ_BYTES]>,
    connects: u64,
}

impl Http1 {
    pub fn new(addresses: Arc<[SocketAddr]>) -> Http1 {
        Http1 { addresses, stream: None, buffer: Box::new([0; READ_BYTES]), connects: 0 }
    }

    pub async fn connect(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            self.stream = Some(open(&self.addresses).await?);
            self.connects += 1;
        }
        Ok(())
    }

    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    pub fn connects(&self) -> u64 {
        self.connects
    }

    pub async fn exchange(&mut self, request: &[u8], keep_bytes: usize) -> Result<Answer, Failure> {
        self.drop_if_ended();
        self.connect().await.map_err(|_| Failure::Connect)?;
        let stream = self.stream.as_mut().expect("connected just now");
        let mut exchange = Exchange {
            stream,
            buffer: &mut self.buffer,
            unwritten: request,
            can_write: true,
            reader: AnswerReader::keeping(keep_bytes),
        };
        let outcome = poll_fn(|context| exchange.poll(context)).await;
        // A refusal may come before the whole request was sent; the rest of it is not sent any more.
        let is_reusable = exchange.unwritten.is_empty() && outcome.as_ref().is_ok_and(|answer| answer.reusable);
        if !is_reusable {
            self.stream = None;
        }
        outcome
    }

    /// A server may end an idle connection, and a client that looks before it sends finds out.
    fn drop_if_ended(&mut self) {
        let ended = self.stream.as_ref().is_some_and(|stream| {
            !matches!(stream.try_read(&mut self.buffer[..1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        });
        if ended {
            self.stream = None;
        }
    }
}

struct Exchange<'a> {
    stream: &'a mut TcpStream,
    buffer: &'a mut [u8; READ_BYTES],
    unwritten: &'a [u8],
    can_write: bool,
    reader: AnswerReader,
}

impl Exchange<'_> {
    /// Writes and reads at the same time: a server that refuses a large body answers while it is still being sent.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        while self.can_write && !self.unwritten.is_empty() {
            match Pin::new(&mut *self.stream).poll_write(context, self.unwritten) {
                Poll::Ready(Ok(written)) => self.unwritten = &self.unwritten[written..],
                // The server takes no more. Its answer, if there is one, has already been received.
                Poll::Ready(Err(_)) => self.can_write = false,
                Poll::Pending => break,
            }
        }
        loop {
            let mut buffer = ReadBuf::new(&mut self.buffer[..]);
            match Pin::new(&mut *self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::Disconnected)),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(self.reader.end().ok_or(Failure::Disconnected));
                }
                Poll::Ready(Ok(())) => match self.reader.take(buffer.filled()) {
                    Ok(None) => {}
                    Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                    Err(malformed) => return Poll::Ready(Err(malformed.into())),
                },
            }
        }
    }
}
