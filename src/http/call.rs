//! One request's identity and its times: the headers that every answer carries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::error::ApiError;
use super::header_text::HeaderText;
use super::request_tag::{ID_BYTES, RequestTag};
use crate::error::ErrorKind;
use crate::name::Name;
use crate::splitmix::mix_count;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// As Azure's server has it.
const ID_BYTES_MAX: usize = 100;

/// A request in progress.
#[derive(Debug)]
pub struct Call {
    pub started: Instant,
    request_id: HeaderValue,
    /// Whether the id was made here.
    is_made: bool,
    ms_request_id: HeaderValue,
    ms_client_request_id: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
    stages: [Option<Duration>; 6],
}

/// The stages that `Server-Timing` tells a client about, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    Auth,
    Read,
    Decode,
    Queue,
    Run,
    Encode,
}

const STAGE_NAMES: [&str; 6] = ["auth", "read", "decode", "queue", "run", "encode"];

impl Call {
    /// Takes over the ids that the client gave, or makes new ones.
    ///
    /// An id that cannot be taken over is an error to be answered under a made one, which is why both come back.
    pub fn begin(headers: &HeaderMap, ids: &IdSource) -> (Call, Result<(), ApiError>) {
        let mut problem = Ok(());
        let mut take = |name: &HeaderName| match headers.get(name) {
            Some(value) if value.len() > ID_BYTES_MAX => {
                let message = format!("{name} must not exceed {ID_BYTES_MAX} characters");
                problem = Err(ApiError::new(ErrorKind::HeaderTooLarge, "request_id_too_long", message));
                None
            }
            value => value.cloned(),
        };
        let (request_id, ms_request_id, client_id) =
            (take(&REQUEST_ID), take(&MS_REQUEST_ID), take(&MS_CLIENT_REQUEST_ID));
        let is_made = request_id.is_none();
        let request_id = request_id.unwrap_or_else(|| ids.next());
        let call = Call {
            started: Instant::now(),
            is_made,
            // Azure: its own legacy header, else the client's id, else the request's.
            ms_request_id: ms_request_id.clone().or_else(|| client_id.clone()).unwrap_or_else(|| request_id.clone()),
            ms_client_request_id: client_id.or(ms_request_id),
            request_id,
            traceparent: headers.get(TRACEPARENT).cloned(),
            stages: [None; 6],
        };
        (call, problem)
    }

    /// The request's id, for the log.
    pub fn id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Has the id say who answers, if it is one that was made here.
    pub fn tag(&mut self, tag: RequestTag, endpoint: &Name) {
        let Some(mut id) = <[u8; ID_BYTES]>::try_from(self.request_id.as_bytes()).ok().filter(|_| self.is_made) else {
            return;
        };
        tag.put(&mut id, endpoint);
        let id = HeaderValue::from_bytes(&id).expect("digits and dashes are a header value");
        if self.ms_request_id == self.request_id {
            self.ms_request_id = id.clone();
        }
        self.request_id = id;
    }

    /// Notes how long a stage took.
    pub fn note(&mut self, stage: Timed, took: Duration) {
        self.stages[stage as usize] = Some(took);
    }

    /// Adds the headers that every answer carries.
    pub fn stamp(self, headers: &mut HeaderMap) {
        if let Some(timing) = self.server_timing() {
            headers.insert(SERVER_TIMING, timing);
        }
        headers.insert(REQUEST_ID, self.request_id);
        headers.insert(MS_REQUEST_ID, self.ms_request_id);
        if let Some(id) = self.ms_client_request_id {
            headers.insert(MS_CLIENT_REQUEST_ID, id);
        }
        if let Some(traceparent) = self.traceparent {
            headers.insert(TRACEPARENT, traceparent);
        }
    }

    /// `auth;dur=0.012, read;dur=…` in milliseconds (W3C Server Timing).
    fn server_timing(&self) -> Option<HeaderValue> {
        let mut text = HeaderText::<256>::new();
        for (name, took) in STAGE_NAMES.iter().zip(self.stages) {
            let Some(took) = took else { continue };
            if !text.is_empty() {
                text.push(b", ");
            }
            text.push(name.as_bytes());
            text.push(b";dur=");
            text.push_ms(took);
        }
        (!text.is_empty()).then(|| text.value())
    }
}

/// Makes request ids: unique, and not to be confused with another server's.
#[derive(Debug)]
pub struct IdSource {
    seed: [u64; 2],
    counter: AtomicU64,
}

impl IdSource {
    /// Seeded by the operating system, so that replicas and restarts do not repeat each other's ids.
    pub fn new() -> Result<IdSource, getrandom::Error> {
        Ok(IdSource { seed: [getrandom::u64()?, getrandom::u64()?], counter: AtomicU64::new(0) })
    }

    /// An id in the form of a version 4 UUID (RFC 9562). It has to be unique, not unpredictable: 128 bits mixed from seed and
    /// counter by a bijection each, so that two of one server never meet.
    pub fn next(&self) -> HeaderValue {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let high = mix_count(self.seed[0].wrapping_add(count)) & !0xf000 | 0x4000;
        let low = mix_count(self.seed[1].wrapping_add(count)) & !(0b11 << 62) | 0b10 << 62;
        let (mut text, mut at) = ([b'-'; 36], 0);
        for (i, byte) in [high.to_be_bytes(), low.to_be_bytes()].as_flattened().iter().enumerate() {
            at += usize::from(matches!(i, 4 | 6 | 8 | 10));
            text[at] = HEX_DIGITS[usize::from(byte >> 4)];
            text[at + 1] = HEX_DIGITS[usize::from(byte & 0xf)];
            at += 2;
        }
        HeaderValue::from_bytes(&text).expect("digits and dashes are a header value")
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn begin(given: &[(&'static str, &str)]) -> (Call, Result<(), ApiError>) {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Call::begin(&headers, &IdSource::new().unwrap())
    }

    fn stamped(given: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        begin(given).0.stamp(&mut headers);
        headers
    }

    #[test]
    fn ids_are_taken_over_or_made() {
        let headers = stamped(&[("x-request-id", "mine"), ("x-ms-client-request-id", "cli")]);
        assert_eq!(headers["x-request-id"], "mine");
        assert_eq!(headers["x-ms-request-id"], "cli");
        assert_eq!(headers["x-ms-client-request-id"], "cli");
        let headers = stamped(&[]);
        assert_eq!(headers["x-request-id"], headers["x-ms-request-id"]);
        assert!(!headers.contains_key("x-ms-client-request-id"));
    }

    #[test]
    fn a_made_id_says_who_answers_and_a_given_one_is_left_alone() {
        let endpoint = Name::parse("ridge").unwrap();
        let tag = RequestTag::new(3, &Name::parse("blue").unwrap()).unwrap();
        for (given, is_tagged) in
            [(&[][..], true), (&[("x-ms-client-request-id", "cli")], true), (&[("x-request-id", "mine")], false)]
        {
            let mut call = begin(given).0;
            call.tag(tag, &endpoint);
            assert_eq!(RequestTag::read(call.id(), &endpoint) == Some(tag), is_tagged, "{given:?}");
            let ms = call.ms_request_id.to_str().unwrap();
            assert!(ms == call.id() || ms == "cli", "{ms}");
        }
    }

    #[test]
    fn an_id_beyond_the_limit_is_refused_and_replaced() {
        let (call, problem) = begin(&[("x-request-id", &"x".repeat(101))]);
        assert_eq!(problem.unwrap_err().message, "x-request-id must not exceed 100 characters");
        assert_eq!(call.request_id.len(), 36);
    }

    #[test]
    fn made_ids_are_version_4_uuids_and_never_repeat() {
        let ids = IdSource::new().unwrap();
        let made: HashSet<String> = (0..10_000).map(|_| ids.next().to_str().unwrap().to_owned()).collect();
        assert_eq!(made.len(), 10_000);
        for id in &made {
            assert_eq!((&id[14..15], id.len()), ("4", 36), "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }

    #[test]
    fn server_timing_tells_the_stages_in_milliseconds() {
        let (mut call, _) = begin(&[]);
        call.note(Timed::Run, Duration::from_micros(1_234));
        call.note(Timed::Auth, Duration::from_micros(7));
        let mut headers = HeaderMap::new();
        call.stamp(&mut headers);
        assert_eq!(headers["server-timing"], "auth;dur=0.007, run;dur=1.234");
    }
}
