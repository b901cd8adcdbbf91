//! Cross-origin requests from browsers (Fetch standard, "CORS protocol"): off unless origins are configured.

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};

/// Which origins' pages may score, and read what models are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    Off,
    Any,
    Origins(Vec<String>),
}

impl Cors {
    /// From the setting `cors_origins`.
    pub fn new(origins: &[String]) -> Cors {
        match origins {
            [] => Cors::Off,
            origins if origins.iter().any(|origin| origin == "*") => Cors::Any,
            // A trailing slash is a common slip; an origin never has one.
            origins => Cors::Origins(origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect()),
        }
    }

    /// Adds what a browser needs to let its page see the answer. Another origin gets no CORS headers at all.
    pub fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let allowed = match (self, request.get(ORIGIN)) {
            (Cors::Off, _) => return,
            (Cors::Any, Some(_)) => HeaderValue::from_static("*"),
            (Cors::Origins(origins), Some(origin))
                if origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) =>
            {
                origin.clone()
            }
            (Cors::Origins(_), _) => {
                response.append(VARY, HeaderValue::from_static("origin"));
                return;
            }
            (Cors::Any, None) => return,
        };
        if *self != Cors::Any {
            response.append(VARY, HeaderValue::from_static("origin"));
        }
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        response.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "*, azureml-model-deployment, inference-header-content-length, retry-after, server-timing, x-request-id, \
                 x-scoria-dtype, x-scoria-shape",
            ),
        );
    }

    /// Adds the answer to a preflight request, if it is one and its origin may call.
    pub fn answer_preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if !is_preflight(request) {
            return;
        }
        self.allow(request, response);
        if response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            // `*` does not stand for Authorization (Fetch, section "CORS non-wildcard request-header name").
            response.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(
                    "accept, authorization, azureml-model-deployment, content-encoding, content-type, \
                     inference-header-content-length, traceparent, x-ms-client-request-id, x-ms-request-id, x-request-id, \
                     x-scoria-priority, x-scoria-shape, x-scoria-timeout-ms",
                ),
            );
            response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
}

/// Whether a browser asks, for a page, what it may do.
pub fn is_preflight(request: &HeaderMap) -> bool {
    request.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static(origin));
        request.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        let mut response = HeaderMap::new();
        cors.answer_preflight(&request, &mut response);
        response
    }

    #[test]
    fn only_a_configured_origin_is_allowed_and_by_its_own_name() {
        let cors = Cors::new(&["https://a.example/".to_owned()]);
        let allowed = headers(&cors, "https://a.example");
        assert_eq!(allowed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(allowed[VARY], "origin");
        assert!(allowed[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("authorization"));
        let refused = headers(&cors, "https://a.example.evil");
        assert!(
            !refused.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && !refused.contains_key(ACCESS_CONTROL_ALLOW_METHODS)
        );
        assert!(headers(&Cors::new(&[]), "https://a.example").is_empty());
    }

    #[test]
    fn a_star_allows_every_origin() {
        assert_eq!(headers(&Cors::new(&["*".to_owned()]), "https://b.example")[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
