//! The one translation of failures into gRPC: a code, a message, and the trailers that carry them.
//!
//! `docs/grpc.md` tells users the same codes; a test compares the two.

use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::error::ErrorKind;
use crate::http::pipeline::ApiError;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long to wait before trying again, as gRPC's retry design (A6) has it.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// The stable code of the failure, as HTTP's answers have it in their body.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-scoria-error-code");

/// The longest message that is sent. Names that a request gives can be as long as the request.
const MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// The codes of gRPC that are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// Every code of a failure, in the order of their numbers.
    pub const FAILURES: [Code; 9] = [
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::Unauthenticated,
    ];

    /// gRPC's name of the code.
    pub const fn name(self) -> &'static str {
        match self {
            Code::Ok => "OK",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::NotFound => "NOT_FOUND",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
            Code::Unavailable => "UNAVAILABLE",
            Code::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// The code of each kind of failure.
pub const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::BadInput
        | ErrorKind::Misdirected
        | ErrorKind::UnsupportedMediaType
        | ErrorKind::NotAcceptable
        | ErrorKind::HeaderTooLarge => Code::InvalidArgument,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Forbidden => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::MethodNotAllowed => Code::Unimplemented,
        ErrorKind::BodyTimeout | ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::BodyTooLarge | ErrorKind::Overloaded => Code::ResourceExhausted,
        ErrorKind::ModelFailed | ErrorKind::Internal => Code::Internal,
        ErrorKind::Unavailable => Code::Unavailable,
    }
}

/// Adds a success to the trailers.
pub fn succeed(trailers: &mut HeaderMap) {
    trailers.insert(STATUS, HeaderValue::from(Code::Ok as u16));
}

/// Adds a failure to the trailers, or to the headers of an answer that has nothing else.
pub fn fail(error: &ApiError, trailers: &mut HeaderMap) {
    trailers.insert(STATUS, HeaderValue::from(code(error.kind) as u16));
    trailers.insert(MESSAGE, message(&error.message));
    trailers.insert(ERROR_CODE, HeaderValue::from_static(error.code));
    if let Some(seconds) = error.retry_after_s() {
        trailers.insert(PUSHBACK, HeaderValue::from(seconds.saturating_mul(1_000)));
    }
}

/// The message, percent-encoded as gRPC's wire format has it: what is not visible ASCII, and `%` itself.
fn message(text: &str) -> HeaderValue {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut encoded = String::with_capacity(end);
    for &byte in &text.as_bytes()[..end] {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes all that is written"),
        }
    }
    HeaderValue::from_str(&encoded).expect("visible ASCII is a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded_and_bounded() {
        assert_eq!(message("input 'x' takes 100%"), "input 'x' takes 100%25");
        assert_eq!(message("naïve\n"), "na%C3%AFve%0A");
        let long = message(&"ä".repeat(MESSAGE_BYTES_MAX));
        assert_eq!(long.len(), 3 * MESSAGE_BYTES_MAX);
    }

    #[test]
    fn a_failure_says_when_to_try_again() {
        let mut trailers = HeaderMap::new();
        let error = ApiError::new(ErrorKind::Overloaded, "queue_full", "too many").with_retry_after(2);
        fail(&error, &mut trailers);
        assert_eq!(trailers["grpc-status"], "8");
        assert_eq!(trailers["grpc-retry-pushback-ms"], "2000");
        assert_eq!(trailers["x-scoria-error-code"], "queue_full");
    }
}
