//! Heads of requests: routes of both ports, and each header that the server reads.
//!
//! The first line is method and target, the others are headers, `name: value`.

#![no_main]

use std::sync::LazyLock;

use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request};
use scoria::http::head::{self, AdminRoute, Call, Cors, Docs, Document, IdSource, Route};
use scoria_fuzz::bounds;

static IDS: LazyLock<IdSource> = LazyLock::new(|| IdSource::new().expect("the system has random numbers"));

const OWN_ORIGIN: &str = "https://a.example";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    bounds::within(64 * data.len() + (16 << 10), || {
        routes(&parts);
        headers(&parts);
        identity(&parts.headers);
        origins(&parts.headers);
    });
});

fn parts(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut words = lines.next()?.split(|&byte| byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some(request.body(()).ok()?.into_parts().0)
}

fn routes(parts: &Parts) {
    let path = parts.uri.path();
    let (name, leaf) = match head::route(&parts.method, path) {
        Route::Score { endpoint } => (endpoint, "score"),
        Route::Feedback { endpoint } => (endpoint, "feedback"),
        Route::Document(Document::Swagger { endpoint }) => (endpoint, "swagger.json"),
        Route::Document(Document::OpenApi { endpoint }) => (endpoint, "openapi.json"),
        Route::Docs(Docs::Page { endpoint }) => (endpoint, "docs"),
        Route::V2(_) => {
            assert!(path == "/v2" || path.starts_with("/v2/"));
            (None, "")
        }
        Route::TensorFlow(_) => {
            assert!(path == "/v1/models" || path.starts_with("/v1/models/"));
            (None, "")
        }
        Route::Mlflow(_) => {
            assert!(["/invocations", "/ping", "/health", "/version"].contains(&path));
            (None, "")
        }
        Route::Probe(_) | Route::Docs(Docs::Asset { .. }) => (None, ""),
        Route::Options { .. } | Route::WrongMethod { .. } | Route::Unknown => (None, ""),
    };
    // No two paths mean the same: a proxy's rule for one cannot be got around by another.
    match name {
        Some(name) => {
            assert!(!name.is_empty() && !name.contains('/'));
            assert_eq!(path, format!("/api/v1/service/{name}/{leaf}"));
        }
        None => assert!(leaf.is_empty() || path[1..] == *leaf),
    }
    if let AdminRoute::Service { endpoint } = head::admin_route(&parts.method, path) {
        assert_eq!(path, format!("/api/v1/service/{endpoint}"));
    }
}

fn headers(parts: &Parts) {
    let headers = &parts.headers;
    let all = |name| headers.get_all(name).iter().count();
    match head::bearer(headers) {
        Ok(key) => assert!(all(AUTHORIZATION) == 1 && key == key.trim()),
        Err(error) => assert_eq!(error.into_response().status(), 401),
    }
    match head::timeout(headers) {
        Ok(asked) => assert!(asked.is_none_or(|asked| !asked.is_zero())),
        Err(error) => assert_eq!(error.into_response().status(), 400),
    }
    if let Err(error) = head::body_format(headers) {
        assert_eq!(error.into_response().status(), 415);
    }
    let _ = head::accepted(headers);
    let _ = head::announced_bytes(headers);
    match head::check_single_host(parts) {
        // The requests made here are HTTP/1.1, which has to name one.
        Ok(()) => assert!(all(HOST) == 1 && !headers[HOST].as_bytes().contains(&b'@')),
        Err(error) => assert_eq!(error.into_response().status(), 400),
    }
}

/// Ids are taken over or made, and never longer than they may be.
fn identity(headers: &HeaderMap) {
    let (call, problem) = Call::begin(headers, &IDS);
    if let Err(error) = problem {
        assert_eq!(error.into_response().status(), 431);
    }
    let mut answer = HeaderMap::new();
    call.stamp(&mut answer);
    for name in ["x-request-id", "x-ms-request-id"] {
        assert!(answer[name].len() <= 100);
    }
}

/// An answer is for every page to see, or for the configured ones, and for nobody else's.
fn origins(headers: &HeaderMap) {
    for (configured, allowed) in
        [(vec![], None), (vec![OWN_ORIGIN.to_owned()], Some(OWN_ORIGIN)), (vec!["*".to_owned()], Some("*"))]
    {
        let mut answer = HeaderMap::new();
        Cors::new(&configured).answer_preflight(headers, &mut answer);
        if let Some(origin) = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN) {
            assert_eq!(Some(origin.as_bytes()), allowed.map(str::as_bytes));
            assert!(allowed == Some("*") || headers[ORIGIN] == OWN_ORIGIN);
        }
    }
}
