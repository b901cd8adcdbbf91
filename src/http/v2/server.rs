//! What the server says of itself: its metadata, and whether it is live and ready.
//!
//! Triton answers probes with an empty body, and KServe's client reads JSON: a status and a body suit both.

use hyper::{Response, StatusCode};
use serde_json::json;

use super::json;
use crate::codec::open_inference::{Capabilities, ServerMetadata};
use crate::http::health;
use crate::http::{Body, Scoring};

pub fn metadata(server: &Scoring) -> ServerMetadata {
    ServerMetadata::new(Capabilities {
        repository_control: server.repository.is_some(),
        system_shared_memory: server.shared_memory.is_some(),
    })
}

pub fn live() -> Response<Body> {
    json(StatusCode::OK, &json!({ "live": true }))
}

/// As `/readyz` has it.
pub fn ready(server: &Scoring) -> Response<Body> {
    let is_ready = health::is_ready(&server.routing.table(), &server.lifecycle, server.settings.readiness());
    json(ready_status(is_ready), &json!({ "ready": is_ready }))
}

pub fn ready_status(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
