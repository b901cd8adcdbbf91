//! An answer of many messages, made by a future that writes them to an [`Outbox`].
//!
//! There is no task of its own: the answer is polled when its client has room for it, and the future with it. So a client that
//! does not read is not read from either, and one that leaves takes the future with it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use parking_lot::Mutex;

use super::status;
use crate::http::pipeline::{ApiError, Fed, Feed};

/// Messages on their way to the client.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Of one task, so that nobody ever waits for it.
    pieces: Mutex<VecDeque<Bytes>>,
    /// Requests that have begun to come and are not answered.
    in_work: AtomicUsize,
}

/// A request in work, until dropped.
#[derive(Debug)]
pub struct InWork(Arc<Outbox>);

impl Outbox {
    /// Adds a message.
    pub fn put(&self, pieces: Vec<Bytes>) {
        self.pieces.lock().extend(pieces);
    }

    /// Counts a request in.
    pub fn begin(self: &Arc<Self>) -> InWork {
        self.in_work.fetch_add(1, Ordering::Relaxed);
        InWork(Arc::clone(self))
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer that a future makes.
pub struct Driven<F> {
    future: Option<Pin<Box<F>>>,
    outbox: Arc<Outbox>,
    /// What the client is told at the end, once that is known.
    trailers: Option<HeaderMap>,
}

impl<F: Future<Output = Result<(), ApiError>> + Send> Driven<F> {
    pub fn new(outbox: Arc<Outbox>, future: F) -> Self {
        Driven { future: Some(Box::pin(future)), outbox, trailers: None }
    }
}

impl<F: Future<Output = Result<(), ApiError>> + Send> Feed for Driven<F> {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fed> {
        loop {
            let piece = self.outbox.pieces.lock().pop_front();
            if let Some(piece) = piece {
                return Poll::Ready(Fed::Piece(piece));
            }
            let Some(future) = &mut self.future else {
                return Poll::Ready(Fed::End(self.trailers.take().unwrap_or_default()));
            };
            match future.as_mut().poll(cx) {
                Poll::Ready(outcome) => {
                    let mut trailers = HeaderMap::new();
                    match outcome {
                        Ok(()) => status::succeed(&mut trailers),
                        Err(error) => status::fail(&error, &mut trailers),
                    }
                    (self.future, self.trailers) = (None, Some(trailers));
                }
                Poll::Pending if self.outbox.pieces.lock().is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.outbox.in_work.load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn messages_come_out_in_order_and_then_the_end() {
        let outbox = Arc::new(Outbox::default());
        let (release, released) = oneshot::channel::<()>();
        let driven = Driven::new(Arc::clone(&outbox), {
            let outbox = Arc::clone(&outbox);
            async move {
                let _in_work = outbox.begin();
                outbox.put(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
                drop(released.await);
                Ok(())
            }
        });
        let mut feed: Pin<Box<dyn Feed>> = Box::pin(driven);
        let mut next = || feed.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(next(), Poll::Ready(Fed::Piece(piece)) if piece == "a"));
        assert!(matches!(next(), Poll::Ready(Fed::Piece(piece)) if piece == "b"));
        assert!(next().is_pending());
        assert_eq!(outbox.in_work.load(Ordering::Relaxed), 1);
        drop(release);
        assert!(matches!(next(), Poll::Ready(Fed::End(trailers)) if trailers["grpc-status"] == "0"));
        assert!(feed.is_idle());
    }
}
