//! From a request's body frames into a decoder, within limits of size and time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT};
use tokio::time::error::Elapsed;

use super::connection::time_at_rate;
use super::error::ApiError;
use crate::codec::{Format, Receiver};
use crate::deployment::Permit;
use crate::error::ErrorKind;

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// When its time began.
    pub begun: Instant,
    pub max_bytes: usize,
    pub timeout: Duration,
    pub min_bytes_per_s: u64,
}

impl BodyLimits {
    /// The time until more than `received` bytes must have come.
    fn patience(&self, received: usize) -> Duration {
        /// A connection that hiccups at its beginning is not a slow one.
        const GRACE: Duration = Duration::from_secs(5);
        self.timeout.min(GRACE + time_at_rate(received as u64, self.min_bytes_per_s))
    }
}

/// The body's length as the client announced it; hyper has checked that it is a single number.
pub fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A request's body, read at most once.
#[derive(Debug)]
pub struct RequestBody {
    frames: Incoming,
    ended: bool,
}

impl RequestBody {
    pub fn new(frames: Incoming) -> RequestBody {
        RequestBody { ended: frames.is_end_stream(), frames }
    }

    /// Reads the body to its end, each frame straight into the decoder. Gives the number of bytes.
    pub async fn receive(
        &mut self,
        receiver: &mut Receiver<'_>,
        permit: &mut Permit,
        limits: BodyLimits,
    ) -> Result<usize, ApiError> {
        let mut total = 0usize;
        while let Some(data) = self.next(limits, total).await? {
            total = total.saturating_add(data.len());
            if total > limits.max_bytes {
                return Err(too_large(limits.max_bytes, Sent::of(receiver.format())));
            }
            if !permit.hold(total) {
                return Err(overloaded());
            }
            receiver.push(&data)?;
        }
        Ok(total)
    }

    /// Reads a short body to its end, into memory of its own.
    pub async fn collect(&mut self, limits: BodyLimits) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::new();
        while let Some(data) = self.next(limits, bytes.len()).await? {
            if bytes.len() + data.len() > limits.max_bytes {
                return Err(too_large(limits.max_bytes, Sent::NoInputs));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// The next bytes, after `received` of them; `None` at the end.
    pub async fn next(&mut self, limits: BodyLimits, received: usize) -> Result<Option<Bytes>, ApiError> {
        // The timer is registered only if a frame has to be waited for: a body that came with its headers never needs it.
        loop {
            let patience = limits.patience(received);
            let frame = self.next_frame(limits.begun + patience).await;
            let Some(frame) = frame.map_err(|_| too_slow(limits, patience, received))? else { return Ok(None) };
            let frame = frame.map_err(|_| {
                ApiError::new(ErrorKind::BadInput, "incomplete_body", "the body ended before its announced length")
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Reads and forgets what is left of a refused request's body, if it is short enough to be worth it; true if the end was
    /// reached, so that the connection can be used again.
    ///
    /// A client that is still sending when the connection closes may never see the answer (RFC 9112, section 9.6).
    pub async fn drain(&mut self, headers: &HeaderMap) -> bool {
        const DRAIN_BYTES_MAX: usize = 64 * 1024;
        const DRAIN_TIME_MAX: Duration = Duration::from_millis(500);
        if self.ended {
            return true;
        }
        // A client that waits for "100 Continue" sends nothing unless it is asked to, and reading would ask it to.
        if headers.contains_key(EXPECT) || announced_bytes(headers).is_some_and(|bytes| bytes > DRAIN_BYTES_MAX) {
            return false;
        }
        let deadline = Instant::now() + DRAIN_TIME_MAX;
        let mut total = 0;
        while total <= DRAIN_BYTES_MAX {
            match self.next_frame(deadline).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => total += frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
        false
    }

    async fn next_frame(&mut self, deadline: Instant) -> Result<Option<hyper::Result<Frame<Bytes>>>, Elapsed> {
        let frame = tokio::time::timeout_at(deadline.into(), self.frames.frame()).await?;
        self.ended = frame.is_none();
        Ok(frame)
    }
}

pub fn too_large(max_bytes: usize, sent: Sent) -> ApiError {
    let remedy = match sent {
        Sent::Text => {
            "send fewer rows at a time; numbers of many digits are shorter in a binary form, such as application/x-npz"
        }
        Sent::Binary => "send fewer rows at a time",
        Sent::NoInputs => "this route takes no more at a time",
    };
    let message = format!("the body is longer than {max_bytes} bytes; {remedy}");
    ApiError::new(ErrorKind::BodyTooLarge, "body_too_large", message)
}

/// How the numbers of a body are written, if it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// In digits, on a route that takes binary forms, too.
    Text,
    /// As they are, or on a route without another form.
    Binary,
    /// The body is not of a model's inputs.
    NoInputs,
}

impl Sent {
    pub fn of(format: Format) -> Sent {
        match format {
            Format::Json | Format::Csv => Sent::Text,
            Format::Npy | Format::Npz | Format::Raw | Format::Safetensors => Sent::Binary,
        }
    }
}

pub fn overloaded() -> ApiError {
    ApiError::new(ErrorKind::Overloaded, "overloaded", "too many requests are in progress; try again")
        .with_retry_after(1)
}

fn too_slow(limits: BodyLimits, patience: Duration, received: usize) -> ApiError {
    let (ms, rate) = (patience.as_millis(), limits.min_bytes_per_s);
    if patience == limits.timeout {
        let message = format!("the body did not arrive within {ms} ms");
        ApiError::new(ErrorKind::BodyTimeout, "body_timeout", message)
    } else {
        let message = format!("the body arrives too slowly: {received} bytes in {ms} ms");
        ApiError::new(ErrorKind::BodyTimeout, "body_too_slow", message)
            .with_expected(format!("{rate} bytes per second"))
    }
}
