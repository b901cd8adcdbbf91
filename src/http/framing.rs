//! Where a request's body ends, where hyper would let two readers differ.

use hyper::HeaderMap;
use hyper::header::TRANSFER_ENCODING;

use super::error::ApiError;
use crate::error::ErrorKind;

/// Refuses every transfer coding but a single `chunked`, after which the connection ends.
///
/// hyper wants `chunked` to be the last and lets others pass that it does not undo (RFC 9112, section 6.1): what a proxy in
/// front takes for the end of such a body may not be what we take for it.
pub fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if is_plain {
        return Ok(());
    }
    let got: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().map(|value| value.as_bytes()).collect();
    let message = "the body's transfer coding is not one that is read here";
    Err(ApiError::new(ErrorKind::BadInput, "bad_transfer_encoding", message)
        .with_expected("Transfer-Encoding: chunked, once and alone, or a Content-Length")
        .with_got(String::from_utf8_lossy(&got.join(&b", "[..])))
        .that_ends_the_connection())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn one_chunked_is_taken_and_nothing_else() {
        let headers = |codings: &[&'static str]| {
            codings.iter().map(|coding| (TRANSFER_ENCODING, HeaderValue::from_static(coding))).collect::<HeaderMap>()
        };
        for good in [&[][..], &["chunked"], &["Chunked"], &[" chunked "]] {
            assert!(check(&headers(good)).is_ok(), "{good:?}");
        }
        for bad in [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["gzip", "chunked"], &[""]]
        {
            assert_eq!(check(&headers(bad)).unwrap_err().code, "bad_transfer_encoding", "{bad:?}");
        }
    }
}
