//! Probes, for load balancers and orchestrators. They depend on nothing that scoring can hold.

use std::sync::atomic::{AtomicBool, Ordering};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Body;
use super::router::Probe;
use crate::deployment::{RoutingTable, State};

/// Whether the server is on its way out.
#[derive(Debug, Default)]
pub struct Lifecycle {
    draining: AtomicBool,
}

impl Lifecycle {
    /// From now on `/readyz` says 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// What readiness means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Whatever can be served is: a model that never loaded is reported, not waited for.
    Lenient,
    /// Every model that was asked for is served.
    Strict,
}

/// Answers a probe.
pub fn answer(probe: Probe, table: &RoutingTable, lifecycle: &Lifecycle, readiness: Readiness) -> Response<Body> {
    match probe {
        Probe::Root => text("Healthy", "text/html; charset=utf-8"),
        Probe::Live => text("ok", "text/plain; charset=utf-8"),
        Probe::Ready | Probe::Health => {
            let status = overall(table, lifecycle, readiness);
            let endpoints: serde_json::Map<_, _> =
                table.entries().map(|(name, entry)| (name.to_string(), json!(entry.state.name()))).collect();
            let body = json!({ "status": status, "endpoints": endpoints }).to_string();
            let mut response = text(body, "application/json");
            if status != "ready" && probe == Probe::Ready {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    }
}

/// Whether `/readyz` would say so.
pub fn is_ready(table: &RoutingTable, lifecycle: &Lifecycle, readiness: Readiness) -> bool {
    overall(table, lifecycle, readiness) == "ready"
}

fn overall(table: &RoutingTable, lifecycle: &Lifecycle, readiness: Readiness) -> &'static str {
    let has = |wanted: fn(&State) -> bool| table.entries().any(|(_, entry)| wanted(&entry.state));
    if lifecycle.is_draining() {
        "draining"
    } else if has(|state| *state == State::Loading) {
        "loading"
    // A server that was started with none, for models to be loaded later, lacks nothing.
    } else if table.entries().next().is_some() && !has(|state| *state == State::Ready) {
        "failed"
    } else if readiness == Readiness::Strict && has(|state| matches!(state, State::Failed { .. })) {
        "degraded"
    } else {
        "ready"
    }
}

/// A plain answer.
pub fn text(body: impl Into<bytes::Bytes>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
