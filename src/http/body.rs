//! The body of an answer: a few pieces of bytes, of known total length.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::connection::Exchange;

/// Bytes to be sent, handed over piece by piece without being copied together.
#[derive(Debug, Default)]
pub struct Body {
    /// The first piece, apart because most answers have only one.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    remaining: u64,
    /// The request that this answers is in progress for as long as the answer waits to be taken.
    exchange: Option<Exchange>,
}

impl Body {
    pub fn empty() -> Body {
        Body::default()
    }

    /// A body of several pieces.
    pub fn from_parts(parts: Vec<Bytes>) -> Body {
        let remaining = parts.iter().map(|part| part.len() as u64).sum();
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        Body { first: parts.next(), rest: parts.collect(), remaining, exchange: None }
    }

    /// Ends `exchange` when the answer has been taken, or will not be.
    pub fn hold(&mut self, exchange: Exchange) {
        self.exchange = Some(exchange);
    }

    /// The whole body, if it is in one piece.
    pub fn single(&self) -> Option<&Bytes> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }

    /// Bytes yet to be sent.
    pub fn len(&self) -> u64 {
        self.remaining
    }

    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Body {
        let bytes = bytes.into();
        Body {
            remaining: bytes.len() as u64,
            first: Some(bytes).filter(|bytes| !bytes.is_empty()),
            rest: VecDeque::new(),
            exchange: None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.first.take().or_else(|| self.rest.pop_front());
        Poll::Ready(piece.map(|piece| {
            self.remaining -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
