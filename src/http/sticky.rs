//! What tells a request's user from others, so that they stay on one deployment.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};

use crate::registry::Sticky;

/// The bytes by which users are told apart; `None` where the request has none, so that its deployment is drawn.
pub fn user<'h>(by: &Sticky, headers: &'h HeaderMap) -> Option<&'h [u8]> {
    match by {
        Sticky::Header(name) => headers.get(name.as_str()).map(|value| value.as_bytes()),
        Sticky::Cookie(name) => cookie(name, headers),
        // A key is known by its text; which of two deployments it hashes to tells nothing of it.
        Sticky::Key => headers.get(AUTHORIZATION).map(|value| value.as_bytes()),
    }
    .filter(|user| !user.is_empty())
}

/// The value of a cookie (RFC 6265, section 4.2: `name=value` pairs, `; ` between them). HTTP/2 may split them over headers.
fn cookie<'h>(name: &str, headers: &'h HeaderMap) -> Option<&'h [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let named = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    named.into_iter().next()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let parsed = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        parsed.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_user_is_told_by_what_the_endpoint_says() {
        let headers = headers(&[
            ("x-scoria-sticky", "ann"),
            ("cookie", "session=1; user=bob; xuser=carl"),
            ("cookie", "late=dora"),
            ("authorization", "Bearer scoria_x"),
        ]);
        let of = |by: &Sticky| user(by, &headers).map(|bytes| std::str::from_utf8(bytes).unwrap());
        let cookie = |name: &str| Sticky::Cookie(name.to_owned());
        assert_eq!(of(&Sticky::Header("X-Scoria-Sticky".to_owned())), Some("ann"));
        assert_eq!(of(&cookie("user")), Some("bob"));
        assert_eq!(of(&cookie("late")), Some("dora"));
        assert_eq!(of(&Sticky::Key), Some("Bearer scoria_x"));
        for none in
            [cookie("us"), cookie("er"), Sticky::Header("absent".to_owned()), Sticky::Header("no header".to_owned())]
        {
            assert_eq!(of(&none), None, "{none:?}");
        }
    }
}
