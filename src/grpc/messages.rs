//! A call's messages: each is a byte that says whether it is packed, its length in four, and so many bytes (gRPC over HTTP/2,
//! "Length-Prefixed-Message").
//!
//! Reads them piece by piece, as they come, so that a tensor can be filled straight from the connection's frames. A message's
//! length is checked before anything is read of it.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use hyper::HeaderMap;

use super::coding::{Coding, Unpacking};
use crate::deployment::Permit;
use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, BodyLimits, RequestBody, overloaded};

/// What stands before each message.
pub const PREFIX_BYTES: usize = 5;

/// What a message may be, and how long its sender may take.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimits {
    pub max_bytes: usize,
    pub timeout: Duration,
    pub min_bytes_per_s: u64,
    /// How long a stream may be without a message.
    pub idle_timeout: Duration,
}

/// The messages of a request's body.
pub struct Messages {
    body: RequestBody,
    /// What has come and is not taken.
    rest: Bytes,
    coding: Option<Coding>,
    limits: MessageLimits,
    /// When the current message's time began.
    begun: Instant,
    /// What has come of it, and what is left.
    received: usize,
    left: usize,
    unpacking: Option<Unpacking>,
    /// What has come out of it.
    unpacked: usize,
}

/// A message that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its length; `None` if it is packed.
    pub bytes: Option<usize>,
}

impl Messages {
    pub fn new(body: RequestBody, headers: &HeaderMap, limits: MessageLimits) -> Result<Messages, ApiError> {
        Ok(Messages {
            body,
            rest: Bytes::new(),
            coding: Coding::of_request(headers)?,
            limits,
            begun: Instant::now(),
            received: 0,
            left: 0,
            unpacking: None,
            unpacked: 0,
        })
    }

    /// Waits for a message's first byte; false if there is none. On a stream, for as long as one may be idle.
    pub async fn wait(&mut self) -> Result<bool, ApiError> {
        let limits = BodyLimits { timeout: self.limits.idle_timeout, min_bytes_per_s: 0, ..self.body_limits(Instant::now()) };
        while self.rest.is_empty() {
            let next = self.body.next(limits, 0).await.map_err(|error| match error.kind {
                ErrorKind::BodyTimeout => {
                    let message = format!("the stream was idle for {} ms", limits.timeout.as_millis());
                    ApiError::new(ErrorKind::Unavailable, "stream_idle", message)
                }
                _ => error,
            })?;
            let Some(next) = next else { return Ok(false) };
            self.rest = next;
        }
        Ok(true)
    }

    /// Begins the next message; `None` if there is none. `permit` is made to cover it, if there is one.
    ///
    /// A packed message is read whole, since only then it can be unpacked.
    pub async fn begin(&mut self, max_bytes: usize, permit: Option<&mut Permit>) -> Result<Option<Begun>, ApiError> {
        (self.begun, self.received, self.left) = (Instant::now(), 0, PREFIX_BYTES);
        (self.unpacking, self.unpacked) = (None, 0);
        let mut prefix = Vec::with_capacity(PREFIX_BYTES);
        while let Some(piece) = self.piece().await? {
            prefix.extend_from_slice(&piece);
        }
        let Ok([packed, length @ ..]) = <[u8; PREFIX_BYTES]>::try_from(prefix.as_slice()) else {
            return if prefix.is_empty() { Ok(None) } else { Err(cut_off()) };
        };
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > max_bytes.min(self.limits.max_bytes) {
            return Err(too_large(max_bytes.min(self.limits.max_bytes)).with_got(format!("{bytes} bytes")));
        }
        if permit.is_some_and(|permit| !permit.hold(bytes)) {
            return Err(overloaded());
        }
        (self.received, self.left) = (0, bytes);
        match (packed, self.coding) {
            (0, _) => Ok(Some(Begun { bytes: Some(bytes) })),
            (1, Some(coding)) => {
                let mut whole = Vec::new();
                while let Some(piece) = self.piece().await? {
                    whole.extend_from_slice(&piece);
                }
                if whole.len() < bytes {
                    return Err(cut_off());
                }
                self.unpacking = Some(Unpacking::new(coding, whole));
                Ok(Some(Begun { bytes: None }))
            }
            (1, None) => {
                let message = "a message says that it is packed, and the call has no grpc-encoding";
                Err(ApiError::new(ErrorKind::BadInput, "malformed_body", message))
            }
            _ => {
                let message = "the call's body is not of messages: the first byte of each is 0 or 1";
                Err(ApiError::new(ErrorKind::BadInput, "malformed_body", message).with_got(packed.to_string()))
            }
        }
    }

    /// The next piece of the message; `None` at its end.
    pub async fn next(&mut self, permit: Option<&mut Permit>) -> Result<Option<Bytes>, ApiError> {
        let Some(unpacking) = &mut self.unpacking else {
            return match self.piece().await? {
                None if self.left > 0 => Err(cut_off()),
                piece => Ok(piece),
            };
        };
        let Some(piece) = unpacking.next()? else { return Ok(None) };
        self.unpacked += piece.len();
        if self.unpacked > self.limits.max_bytes {
            return Err(too_large(self.limits.max_bytes).with_got("a packed message of more"));
        }
        let held = self.received.saturating_add(self.unpacked);
        if permit.is_some_and(|permit| !permit.hold(held)) {
            return Err(overloaded());
        }
        Ok(Some(piece))
    }

    /// The whole of the only message, for calls whose messages are short.
    pub async fn only(&mut self, max_bytes: usize, mut permit: Option<&mut Permit>) -> Result<Bytes, ApiError> {
        self.begin(max_bytes, permit.as_deref_mut()).await?.ok_or_else(missing)?;
        let mut whole = Vec::new();
        while let Some(piece) = self.next(permit.as_deref_mut()).await? {
            if whole.len() + piece.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            whole.extend_from_slice(&piece);
        }
        self.end()?;
        Ok(whole.into())
    }

    /// Passes over what is left of a message that was refused.
    pub async fn skip(&mut self) -> Result<(), ApiError> {
        self.unpacking = None;
        while self.next(None).await?.is_some() {}
        Ok(())
    }

    /// Fails if more has come than the one message of a unary call.
    pub fn end(&self) -> Result<(), ApiError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let message = "more than one message has come, and the method takes one";
        Err(ApiError::new(ErrorKind::BadInput, "malformed_body", message))
    }

    /// Reads and forgets what is left of a short body. The client of a long one is told to stop by the end of the stream.
    pub async fn drain(&mut self, headers: &HeaderMap) {
        self.body.drain(headers).await;
    }

    /// When the current message's time began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The next bytes of the current message, as they come; `None` at its end, or at the body's.
    async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.rest.is_empty() {
            let limits = self.body_limits(self.begun);
            let Some(next) = self.body.next(limits, self.received).await? else { return Ok(None) };
            self.rest = next;
        }
        let piece = self.rest.split_to(self.left.min(self.rest.remaining()));
        self.left -= piece.len();
        self.received += piece.len();
        Ok(Some(piece))
    }

    fn body_limits(&self, begun: Instant) -> BodyLimits {
        let MessageLimits { max_bytes, timeout, min_bytes_per_s, .. } = self.limits;
        BodyLimits { begun, max_bytes, timeout, min_bytes_per_s }
    }
}

/// A call without a message.
pub fn missing() -> ApiError {
    ApiError::new(ErrorKind::BadInput, "incomplete_body", "the call ended without a message")
}

fn cut_off() -> ApiError {
    ApiError::new(ErrorKind::BadInput, "incomplete_body", "the call ended inside a message")
}

fn too_large(max_bytes: usize) -> ApiError {
    let message = format!("the message is longer than {max_bytes} bytes; send fewer rows at a time");
    ApiError::new(ErrorKind::BodyTooLarge, "body_too_large", message).with_expected(format!("at most {max_bytes} bytes"))
}
