//! Which messages of a call are packed, and how.
//!
//! Packing itself is HTTP's (`http/unpack.rs`, `http/pack.rs`); what differs is where the words stand, and who is answered so.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, Coding};

pub const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What is read and written here, as [`ACCEPT_ENCODING`] says it.
pub const ACCEPTED: &str = "identity,gzip,deflate";

/// A message of fewer bytes is not worth the time.
pub const WORTH_BYTES_MIN: usize = 1_024;

/// gRPC's name of a coding.
pub const fn name(coding: Coding) -> &'static str {
    match coding {
        Coding::Gzip => "gzip",
        Coding::Deflate => "deflate",
    }
}

/// How the client packs those of its messages that are packed; `None` if it packs none.
pub fn of_request(headers: &HeaderMap) -> Result<Option<Coding>, ApiError> {
    let Some(given) = headers.get(ENCODING).filter(|name| name.as_bytes() != b"identity") else { return Ok(None) };
    let codings = [Coding::Gzip, Coding::Deflate];
    let coding = codings.into_iter().find(|coding| name(*coding).as_bytes() == given.as_bytes());
    coding.map(Some).ok_or_else(|| {
        let message = format!("messages packed by this grpc-encoding are not read here, only {ACCEPTED}");
        ApiError::new(ErrorKind::MethodNotAllowed, "unsupported_grpc_encoding", message)
            .with_expected(ACCEPTED)
            .with_got(String::from_utf8_lossy(given.as_bytes()))
    })
}

/// How answers are packed: as the client packs its requests, if it takes that. Most clients say that they take packed answers
/// without being asked whether they want them, so that by itself is no reason to spend time on packing.
pub fn of_answer(headers: &HeaderMap) -> Option<Coding> {
    let coding = of_request(headers).ok()??;
    let accepted = headers.get_all(ACCEPT_ENCODING).iter();
    let mut names = accepted.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.any(|accepted| accepted.trim_ascii() == name(coding).as_bytes()).then_some(coding)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn answers_are_packed_for_those_who_pack() {
        let headers = |given: &[(HeaderName, &'static str)]| -> HeaderMap {
            given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let accepting = (ACCEPT_ENCODING, "identity, deflate, gzip");
        assert_eq!(of_answer(&headers(std::slice::from_ref(&accepting))), None);
        assert_eq!(of_answer(&headers(&[(ENCODING, "gzip"), accepting.clone()])), Some(Coding::Gzip));
        assert_eq!(of_answer(&headers(&[(ENCODING, "deflate"), accepting])), Some(Coding::Deflate));
        assert_eq!(of_answer(&headers(&[(ENCODING, "gzip")])), None);
        assert_eq!(of_request(&headers(&[(ENCODING, "identity")])).unwrap(), None);
        let error = of_request(&headers(&[(ENCODING, "snappy")])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::MethodNotAllowed, "gRPC: UNIMPLEMENTED");
    }
}
