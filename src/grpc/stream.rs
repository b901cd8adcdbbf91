//! `ModelStreamInfer`: many requests on one call, answered in their order.
//!
//! Up to [`CONCURRENT_MAX`] requests of a stream are in work; the next one is read when there is room, so that a client that
//! sends faster than it is answered is held up by HTTP/2's own flow control. A request that is refused is answered by a message
//! that says so, and the stream goes on; it ends with its client, its deadline, a message that cannot be told from the next, or
//! when nothing has come for as long as a connection may be idle.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};
use hyper::{HeaderMap, Method};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::coding;
use super::feed::{Driven, Outbox};
use super::infer::{Said, answer, deadline_passed, receive};
use super::messages::{Messages, Refused};
use super::reply::{Form, framed};
use super::{Context, Server};
use crate::codec::open_inference::protobuf::{Message, messages as proto};
use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, Call, Coding, Feed, Reported, Served, check_key, overloaded};

/// The requests of one stream that are in work at a time.
const CONCURRENT_MAX: usize = 16;

/// A stream, for as long as it lives.
struct Stream {
    server: Arc<Server>,
    headers: HeaderMap,
    deadline: Option<Instant>,
    outbox: Arc<Outbox>,
    coding: Option<Coding>,
}

/// What became of the next request.
enum Next {
    Answered(Vec<Bytes>),
    /// There is none. Nobody else is let to read.
    Over {
        _messages: OwnedMutexGuard<Messages>,
    },
    Broken(ApiError),
}

/// Opens a stream for who has a key.
pub fn open(context: Context<'_>, messages: Messages) -> Result<impl Feed + use<>, ApiError> {
    check_key(&context.server.scoring.routing.table(), context.headers)?;
    let outbox = Arc::new(Outbox::default());
    let stream = Stream {
        server: Arc::clone(context.server),
        headers: context.headers.clone(),
        deadline: context.deadline,
        outbox: Arc::clone(&outbox),
        coding: coding::of_answer(context.headers),
    };
    Ok(Driven::new(outbox, async move {
        match stream.deadline {
            Some(deadline) => {
                let served = tokio::time::timeout_at(deadline.into(), stream.serve(messages)).await;
                served.unwrap_or_else(|_| Err(deadline_passed()))
            }
            None => stream.serve(messages).await,
        }
    }))
}

impl Stream {
    async fn serve(&self, messages: Messages) -> Result<(), ApiError> {
        let messages = Arc::new(Mutex::new(messages));
        let mut requests = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some(next) = requests.next() => match next {
                    Next::Answered(pieces) => self.outbox.put(pieces),
                    Next::Over { .. } => return Ok(()),
                    Next::Broken(error) => return Err(error),
                },
                // Free as soon as the request before has been read.
                messages = Arc::clone(&messages).lock_owned(), if requests.len() < CONCURRENT_MAX => {
                    requests.push_back(self.request(messages));
                }
            }
        }
    }

    /// Waits for the next request, reads it, lets the next one be read, and answers.
    async fn request(&self, mut messages: OwnedMutexGuard<Messages>) -> Next {
        let mut stopping = self.server.stopping.clone();
        let has_come = tokio::select! {
            has_come = messages.wait() => has_come,
            () = stopping.wait() => Err(draining()),
        };
        match has_come {
            Ok(true) => {}
            Ok(false) => return Next::Over { _messages: messages },
            Err(error) => return Next::Broken(error),
        }
        let _in_work = self.outbox.begin();
        let (mut call, ids) = self.server.scoring.begin(&self.headers);
        let (mut said, mut served) = (Said::default(), None);
        let outcome = match ids {
            Ok(()) => self.infer(messages, &mut call, &mut served, &mut said).await,
            Err(error) => Err(Refused::Call(error)),
        };
        let (status, pieces) = match outcome {
            Ok(Some(message)) => (200, framed(message, Form::Streamed, self.coding)),
            Ok(None) => return Next::Broken(ApiError::internal("a message that had begun is not there")),
            Err(Refused::Message(error)) => {
                (error.status().as_u16(), framed(refusal(&error, said), Form::Plain, self.coding))
            }
            Err(Refused::Call(error)) => return Next::Broken(error),
        };
        let reported = Reported {
            method: &Method::POST,
            path: "/inference.GRPCInferenceService/ModelStreamInfer",
            status,
            response_bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
            is_probe: false,
        };
        self.server.scoring.report(reported, &call, served.as_ref());
        Next::Answered(pieces)
    }

    async fn infer(
        &self,
        mut messages: OwnedMutexGuard<Messages>,
        call: &mut Call,
        served: &mut Option<Served>,
        said: &mut Said,
    ) -> Result<Option<Message>, Refused> {
        let context = Context { server: &self.server, headers: &self.headers, deadline: self.deadline };
        let received = match self.server.scoring.admission.admit(0) {
            Some(permit) => receive(context, &mut messages, permit, call, served, said).await,
            None => messages.begin(usize::MAX).await.and_then(|_| Err(overloaded().into())),
        };
        if let Err(Refused::Message(_)) = &received {
            messages.skip().await?;
        }
        // The next one may be read while this one runs.
        drop(messages);
        let Some(received) = received? else { return Ok(None) };
        Ok(Some(answer(context, received, call).await?))
    }
}

/// The answer to a request that is refused, which its client knows again by its id.
fn refusal(error: &ApiError, said: Said) -> Message {
    let response = proto::ModelInferResponse {
        model_name: said.model.name,
        model_version: said.model.version,
        id: said.id,
        ..Default::default()
    };
    Message::of(&proto::ModelStreamInferResponse {
        error_message: error.message.clone(),
        infer_response: Some(response),
    })
}

fn draining() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "draining", "the server is being taken down; open the stream again")
        .with_retry_after(1)
}
