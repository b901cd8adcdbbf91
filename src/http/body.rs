//! The body of an answer: a few pieces of bytes of known total length, or pieces that are made one after the other; and what
//! follows it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Frame, SizeHint};

use super::connection::Exchange;

/// Bytes to be sent, handed over piece by piece without being copied together.
#[derive(Default)]
pub struct Body {
    /// The first piece, apart because most answers have only one.
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
    remaining: u64,
    /// Makes what follows.
    feed: Option<Pin<Box<dyn Feed>>>,
    /// Boxed, since few answers have any.
    trailers: Option<Box<HeaderMap>>,
    /// The request that this answers is in progress for as long as the answer waits to be taken.
    exchange: Option<Exchange>,
}

/// Makes an answer that has no end yet.
///
/// It is asked for the next piece only when the client has room for it, so that nothing is made, nor anything read that leads
/// to it, for a client that does not read; and it is dropped when the client leaves.
pub trait Feed: Send {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fed>;

    /// Whether it waits for its client rather than works for it.
    fn is_idle(&self) -> bool;
}

/// What a [`Feed`] gives.
#[derive(Debug)]
pub enum Fed {
    Piece(Bytes),
    /// The end, and what the client is told there.
    End(HeaderMap),
}

impl Body {
    pub fn empty() -> Body {
        Body::default()
    }

    /// A body of several pieces.
    pub fn from_parts(parts: Vec<Bytes>) -> Body {
        let remaining = parts.iter().map(|part| part.len() as u64).sum();
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        Body { first: parts.next(), rest: parts.collect(), remaining, ..Body::default() }
    }

    /// A body whose pieces are yet to be made.
    pub fn from_feed(feed: impl Feed + 'static) -> Body {
        Body { feed: Some(Box::pin(feed)), ..Body::default() }
    }

    /// Adds what follows the bytes.
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Body {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Ends `exchange` when the answer has been taken, or will not be.
    pub fn hold(&mut self, exchange: Exchange) {
        self.exchange = Some(exchange);
    }

    /// Asks the feed for the next frame. Being asked says that the client has taken the one before.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let (Some(feed), exchange) = (&mut self.feed, &mut self.exchange) else { return Poll::Pending };
        if let Some(exchange) = exchange {
            exchange.taken();
        }
        let fed = feed.as_mut().poll_next(cx);
        let is_idle = feed.is_idle();
        match (fed, exchange) {
            (Poll::Pending, exchange) => {
                if let Some(exchange) = exchange {
                    exchange.rest(is_idle);
                }
                Poll::Pending
            }
            (Poll::Ready(Fed::Piece(piece)), exchange) => {
                if let Some(exchange) = exchange {
                    exchange.rest(false);
                    exchange.await_client(piece.len() as u64);
                }
                Poll::Ready(Frame::data(piece))
            }
            (Poll::Ready(Fed::End(trailers)), _) => {
                self.feed = None;
                Poll::Ready(Frame::trailers(trailers))
            }
        }
    }

    /// Whether its pieces are made one after the other.
    pub fn is_fed(&self) -> bool {
        self.feed.is_some()
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
        Body { remaining: bytes.len() as u64, first: Some(bytes).filter(|bytes| !bytes.is_empty()), ..Body::default() }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.first.take().or_else(|| self.rest.pop_front()) {
            self.remaining -= piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.feed.is_some() {
            return self.poll_feed(cx).map(|frame| Some(Ok(frame)));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_empty() && self.feed.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.feed.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.remaining) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}
