//! A call's messages: each is a byte that says whether it is packed, its length in four, and so many bytes (gRPC over HTTP/2,
//! "Length-Prefixed-Message").
//!
//! Reads them piece by piece, as they come, so that a tensor can be filled straight from the connection's frames. A message's
//! length is checked before anything is read of it.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use hyper::HeaderMap;

use super::coding;
use crate::codec::DecodeError;
use crate::deployment::Permit;
use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, BodyLimits, Coding, RequestBody, Unpacker, off_the_loop, overloaded};

/// What stands before each message.
pub const PREFIX_BYTES: usize = 5;

/// What one packed byte may well become.
const UNPACKED_BYTES: usize = 64;

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
    is_packed: bool,
    unpacker: Option<Unpacker>,
    /// What has come out of it.
    unpacked: usize,
}

/// A message that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its length as it comes.
    pub bytes: usize,
    pub is_packed: bool,
}

/// Why a message is not answered.
#[derive(Debug)]
pub enum Refused {
    /// It is at fault, or cannot be served now.
    Message(ApiError),
    /// What comes after it cannot be told.
    Call(ApiError),
}

impl Refused {
    pub fn into_error(self) -> ApiError {
        match self {
            Refused::Message(error) | Refused::Call(error) => error,
        }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        Refused::Message(error)
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Refused {
        Refused::Message(error.into())
    }
}

impl Messages {
    pub fn new(body: RequestBody, headers: &HeaderMap, limits: MessageLimits) -> Result<Messages, ApiError> {
        Ok(Messages {
            body,
            rest: Bytes::new(),
            coding: coding::of_request(headers)?,
            limits,
            begun: Instant::now(),
            received: 0,
            left: 0,
            is_packed: false,
            unpacker: None,
            unpacked: 0,
        })
    }

    /// Waits for a message's first byte; false if there is none. On a stream, for as long as one may be idle.
    pub async fn wait(&mut self) -> Result<bool, ApiError> {
        let limits =
            BodyLimits { timeout: self.limits.idle_timeout, min_bytes_per_s: 0, ..self.body_limits(Instant::now()) };
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

    /// Begins the next message; `None` if there is none.
    pub async fn begin(&mut self, max_bytes: usize) -> Result<Option<Begun>, Refused> {
        (self.begun, self.received, self.left) = (Instant::now(), 0, PREFIX_BYTES);
        self.unpacked = 0;
        let (mut prefix, mut filled) = ([0; PREFIX_BYTES], 0);
        while let Some(piece) = self.piece().await? {
            prefix[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        match filled {
            0 => return Ok(None),
            PREFIX_BYTES => {}
            _ => return Err(cut_off()),
        }
        let [packed, length @ ..] = prefix;
        let (bytes, max_bytes) = (u32::from_be_bytes(length) as usize, max_bytes.min(self.limits.max_bytes));
        self.is_packed = match (packed, self.coding) {
            (0, _) => false,
            (1, Some(_)) => true,
            (1, None) => return Err(malformed("a message says that it is packed, but the call has no grpc-encoding")),
            _ => return Err(malformed("the call's body is not of messages: the first byte of each is 0 or 1")),
        };
        if bytes > max_bytes {
            return Err(Refused::Call(too_large(max_bytes).with_got(format!("{bytes} bytes"))));
        }
        (self.received, self.left) = (0, bytes);
        self.unpacker = self.coding.filter(|_| self.is_packed).map(Unpacker::new);
        Ok(Some(Begun { bytes, is_packed: self.is_packed }))
    }

    /// The next piece of the message; `None` at its end. `permit` is made to cover what comes out of a packed one.
    pub async fn next(&mut self, permit: &mut Permit) -> Result<Option<Bytes>, Refused> {
        loop {
            let piece = self.piece().await?;
            match (piece, self.is_packed) {
                (None, _) if self.left > 0 => return Err(cut_off()),
                (piece, false) => return Ok(piece),
                (Some(piece), true) => {
                    let plain = self.unpack(&piece, permit)?;
                    // The first bytes of a packed message are about its packing.
                    if !plain.is_empty() {
                        return Ok(Some(plain));
                    }
                }
                (None, true) => {
                    self.unpacker.take().map_or(Ok(()), Unpacker::finish)?;
                    return Ok(None);
                }
            }
        }
    }

    /// What comes out of a piece, counted while it does.
    fn unpack(&mut self, piece: &[u8], permit: &mut Permit) -> Result<Bytes, ApiError> {
        let Some(unpacker) = &mut self.unpacker else { return Err(ApiError::internal("a message was unpacked twice")) };
        let (unpacked, max_bytes, mut plain) = (&mut self.unpacked, self.limits.max_bytes, Vec::new());
        let mut take = |bytes: &[u8]| {
            *unpacked += bytes.len();
            if *unpacked > max_bytes {
                return Err(too_large(max_bytes).with_got("a packed message of more"));
            }
            plain.extend_from_slice(bytes);
            if permit.hold(*unpacked) { Ok(()) } else { Err(overloaded()) }
        };
        // A little can unpack to a lot.
        off_the_loop(piece.len().saturating_mul(UNPACKED_BYTES), || unpacker.unpack(piece, &mut take))?;
        Ok(plain.into())
    }

    /// The whole of the only message, for calls whose messages are short.
    pub async fn only(&mut self, max_bytes: usize, permit: &mut Permit) -> Result<Bytes, ApiError> {
        let begun = self.begin(max_bytes).await.map_err(Refused::into_error)?.ok_or_else(missing)?;
        if !permit.hold(begun.bytes) {
            return Err(overloaded());
        }
        let mut whole = Vec::new();
        while let Some(piece) = self.next(permit).await.map_err(Refused::into_error)? {
            if whole.len() + piece.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            whole.extend_from_slice(&piece);
        }
        self.end()?;
        Ok(whole.into())
    }

    /// Passes over what is left of a message that was refused.
    pub async fn skip(&mut self) -> Result<(), Refused> {
        while self.piece().await?.is_some() {}
        if self.left > 0 { Err(cut_off()) } else { Ok(()) }
    }

    /// The current message's length, where it is known before it has come.
    pub fn announced(&self) -> Option<usize> {
        (!self.is_packed).then_some(self.received + self.left)
    }

    /// What has come of the current message.
    pub fn received(&self) -> usize {
        self.received
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
    async fn piece(&mut self) -> Result<Option<Bytes>, Refused> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.rest.is_empty() {
            let limits = self.body_limits(self.begun);
            let next = self.body.next(limits, self.received).await.map_err(Refused::Call)?;
            let Some(next) = next else { return Ok(None) };
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

fn cut_off() -> Refused {
    Refused::Call(ApiError::new(ErrorKind::BadInput, "incomplete_body", "the call ended inside a message"))
}

fn malformed(message: &str) -> Refused {
    Refused::Call(ApiError::new(ErrorKind::BadInput, "malformed_body", message))
}

fn too_large(max_bytes: usize) -> ApiError {
    let message = format!("the message is longer than {max_bytes} bytes; send fewer rows at a time");
    ApiError::new(ErrorKind::BodyTooLarge, "body_too_large", message)
        .with_expected(format!("at most {max_bytes} bytes"))
}
