//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13.1.2), for what is read again and again.

use std::fmt::Write;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::Body;

/// Names the bytes of a representation: the same tag, the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(HeaderValue);

impl ETag {
    /// The tag of a representation, from its bytes.
    pub fn of(bytes: &[u8]) -> ETag {
        ETag(HeaderValue::try_from(format!("\"{}\"", digest(bytes))).expect("digits and quotes are a header value"))
    }

    /// Whether the client says that it has these bytes. The comparison is the weak one, as the RFC asks.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let own = self.0.as_bytes();
        let lists = request.get_all(IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
        // Our tags hold no comma, so that one within another's tag cannot make it ours.
        lists
            .flat_map(|list| list.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own)
    }
}

/// The first half of a SHA-256, in hexadecimal: enough to tell versions apart, and short in a path.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// Answers with `body`, or 304 if the client has it already. `cache` is how long it may be used without asking again.
pub fn answer(
    request: &HeaderMap,
    tag: &ETag,
    cache: &'static str,
    media_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if tag.is_known_to(request) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = body.into();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response.headers_mut().insert(ETAG, tag.0.clone());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(given: &[&str]) -> StatusCode {
        let mut request = HeaderMap::new();
        for value in given {
            request.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
        }
        answer(&request, &ETag::of(b"text"), "no-cache", "text/plain", "text").status()
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let tag = ETag::of(b"text").0.to_str().unwrap().to_owned();
        for given in [tag.clone(), format!("W/{tag}"), format!("\"other\" , {tag}"), "*".to_owned()] {
            assert_eq!(status(&[&given]), StatusCode::NOT_MODIFIED, "{given}");
        }
        assert_eq!(status(&["\"other\"", &tag]), StatusCode::NOT_MODIFIED, "a header may come twice");
        for given in ["", "\"other\"", tag.trim_matches('"'), "W/"] {
            assert_eq!(status(&[given]), StatusCode::OK, "{given}");
        }
        assert_eq!(status(&[]), StatusCode::OK);
    }

    #[test]
    fn other_bytes_have_another_tag() {
        assert_ne!(ETag::of(b"text"), ETag::of(b"texts"));
        assert_eq!(digest(b""), "e3b0c44298fc1c149afbf4c8996fb924");
    }

    #[test]
    fn a_304_has_no_body_and_keeps_the_tag() {
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        let response = answer(&request, &ETag::of(b"text"), "no-cache", "text/plain", "text");
        assert!(response.body().is_empty());
        assert_eq!(
            (&response.headers()[ETAG], &response.headers()[CACHE_CONTROL]),
            (&ETag::of(b"text").0, &HeaderValue::from_static("no-cache"))
        );
    }
}
