//! Answers as gRPC has them over HTTP/2: status 200 whatever comes of a call, messages with their lengths before them, and what
//! came of it in the trailers.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response};

use super::coding::{self, ACCEPT_ENCODING, ACCEPTED, ENCODING, WORTH_BYTES_MIN};
use super::messages::PREFIX_BYTES;
use super::status;
use crate::codec::open_inference::protobuf::{Message, ROOM_BYTES, put_length};
use crate::http::pipeline::{ApiError, Body, Coding, Feed, pack};

/// The field of `ModelStreamInferResponse` that holds an answer.
const INFER_RESPONSE: u32 = 2;

/// How a message stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// As the `infer_response` of a `ModelStreamInferResponse`.
    Streamed,
}

/// The message's bytes, with what gRPC has before it.
pub fn framed(message: Message, form: Form, coding: Option<Coding>) -> Vec<Bytes> {
    let Message { mut head, rest } = message;
    let rest_bytes: usize = rest.iter().map(Bytes::len).sum();
    let mut start = ROOM_BYTES;
    if form == Form::Streamed {
        let mut tag = Vec::with_capacity(ROOM_BYTES);
        put_length(&mut tag, INFER_RESPONSE, head.len() - start + rest_bytes);
        start = put_before(&mut head, start, &tag);
    }
    let bytes = head.len() - start + rest_bytes;
    let Some(coding) = coding.filter(|_| bytes >= WORTH_BYTES_MIN) else {
        start = put_before(&mut head, start, &prefix(0, bytes));
        return std::iter::once(Bytes::from(head).slice(start..)).chain(rest).collect();
    };
    let parts: Vec<Bytes> = std::iter::once(Bytes::from(head).slice(start..)).chain(rest).collect();
    let before = |packed: u8, bytes: usize| std::iter::once(Bytes::copy_from_slice(&prefix(packed, bytes)));
    match pack(coding, &parts) {
        Some(packed) => before(1, packed.len()).chain([packed.into()]).collect(),
        None => before(0, bytes).chain(parts).collect(),
    }
}

/// A unary call's answer.
pub fn unary(message: Message, coding: Option<Coding>) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    status::succeed(&mut trailers);
    let body = Body::from_parts(framed(message, Form::Plain, coding)).with_trailers(trailers);
    with_headers(Response::new(body), coding)
}

/// The answers of a stream, which says by itself how it ended.
pub fn stream(feed: impl Feed + 'static, coding: Option<Coding>) -> Response<Body> {
    with_headers(Response::new(Body::from_feed(feed)), coding)
}

/// A failed call's answer, which has headers and nothing else.
pub fn failure(error: &ApiError) -> Response<Body> {
    let mut response = with_headers(Response::new(Body::empty()), None);
    status::fail(error, response.headers_mut());
    response
}

fn with_headers(mut response: Response<Body>, coding: Option<Coding>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    if let Some(coding) = coding {
        headers.insert(ENCODING, HeaderValue::from_static(coding::name(coding)));
    }
    response
}

/// Writes into the room before the message; gives where it begins then.
fn put_before(head: &mut [u8], start: usize, bytes: &[u8]) -> usize {
    let before = start - bytes.len();
    head[before..start].copy_from_slice(bytes);
    before
}

fn prefix(packed: u8, bytes: usize) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    [packed, a, b, c, d]
}
