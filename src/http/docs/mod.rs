//! Swagger UI over HTTP: the page at `/docs`, of the server and of each endpoint, and the files it needs.
//!
//! All of it is in the binary: no path of a request reaches the disk, and the page asks no other host for anything, which its
//! Content-Security-Policy holds it to. Anyone may see it, as the documents that it shows.

mod asset;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use self::asset::{Assets, Encoding};
use super::Body;
use super::error::ApiError;
use super::etag::{self, ETag};
use crate::error::ErrorKind;

/// What the page may do: use our files, read our documents, call our routes. No inline script or style, no form, no frame
/// around it. `data:` is for the pictures in Swagger UI's style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PROTECTION: [(HeaderName, &str); 3] =
    [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];

const PAGE: &str = include_str!("../../../assets/docs/page.html");

/// The pages and their files, ready to be sent.
#[derive(Debug)]
pub struct Docs {
    server: Page,
    endpoint: Page,
    assets: Assets,
}

impl Docs {
    pub fn new() -> Docs {
        let assets = Assets::new();
        // `/docs` lies in the root, `/api/v1/service/<endpoint>/docs` four folders below.
        Docs { server: Page::new(".", &assets), endpoint: Page::new("../../../..", &assets), assets }
    }

    /// The page of the whole server.
    pub fn server_page(&self, request: &HeaderMap) -> Response<Body> {
        self.server.answer(request)
    }

    /// The page of an endpoint. It is the same for each, and shows the document beside it.
    pub fn endpoint_page(&self, request: &HeaderMap) -> Response<Body> {
        self.endpoint.answer(request)
    }

    /// A file of the pages. Its path names the bytes, so that it can be kept for ever.
    pub fn asset(&self, digest: &str, name: &str, request: &HeaderMap) -> Result<Response<Body>, ApiError> {
        let asset = self.assets.find(name).filter(|_| digest == self.assets.digest()).ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, "unknown_route", "the page at /docs has no file of this name")
        })?;
        let encoding = Encoding::acceptable(request);
        let (bytes, encoding, tag) = asset.get(encoding);
        let mut response = etag::answer(request, tag, "public, max-age=31536000, immutable", asset.media_type, bytes);
        let is_sent = response.status() == StatusCode::OK;
        let headers = response.headers_mut();
        if is_sent && encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        protect(headers);
        Ok(response)
    }
}

#[derive(Debug)]
struct Page {
    html: Bytes,
    tag: ETag,
}

impl Page {
    /// A page from which `root` leads to the server's root. Relative links outlive a proxy that puts a path before ours.
    fn new(root: &str, assets: &Assets) -> Page {
        let html = PAGE.replace("{assets}", &format!("{root}/docs/{}", assets.digest())).replace("{root}", root);
        Page { tag: ETag::of(html.as_bytes()), html: html.into() }
    }

    fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let html = self.html.clone();
        let mut response = etag::answer(request, &self.tag, "no-cache", "text/html; charset=utf-8", html);
        protect(response.headers_mut());
        response
    }
}

fn protect(headers: &mut HeaderMap) {
    headers.extend(PROTECTION.map(|(name, value)| (name, HeaderValue::from_static(value))));
}
