//! The Open Inference Protocol (KServe v2) with Triton's extensions, over REST.
//!
//! A model is an endpoint, its version that of the model deployed. Inference goes the way of every scoring request; what else
//! there is are small JSON documents about servers and models. Errors are `{"error": "…"}`. `docs/open-inference.md` says
//! what is served, and what differs from Triton.

mod caller;
mod infer;
pub mod logging;
pub mod model;
pub mod repository;
pub mod route;
pub mod server;
pub mod shared_memory;
pub mod trace;

use std::time::{Duration, Instant};

use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value as Json};

pub use caller::AdminAccess;
use caller::Caller;
use route::{About, Memory, Route};
use shared_memory::Registration;

use super::call::Call;
use super::error::ApiError;
use super::health;
use super::request_body::{BodyLimits, RequestBody, Sent, too_large};
use super::score::Served;
use super::{Body, Scoring};
use crate::error::ErrorKind;

/// The longest body of a request that is not for inference.
const CONTROL_BODY_BYTES_MAX: usize = 64 * 1024;
const CONTROL_BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Answers a request below `/v2`.
pub async fn answer(
    server: &Scoring,
    route: &Route,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
    served: &mut Option<Served>,
) -> Result<Response<Body>, ApiError> {
    match route {
        Route::Model { model, about: About::Infer } => infer::infer(server, model, parts, body, call, served).await,
        Route::Model { model, about } => model::read(server, model, *about, &parts.headers),
        Route::Server => Ok(json(StatusCode::OK, &server::metadata(server))),
        Route::Live => Ok(server::live()),
        Route::Ready => Ok(server::ready(server)),
        Route::Statistics => model::all_statistics(server, &parts.headers).map(|all| json(StatusCode::OK, &all)),
        Route::Index => {
            let is_ready = |wanted: &Map<String, Json>| wanted.get("ready").and_then(Json::as_bool) == Some(true);
            let listed = repository::index(server, &parts.headers, is_ready(&object(body, call).await?)).await?;
            Ok(json(StatusCode::OK, &listed))
        }
        Route::Load { name } => {
            must_administer(server, &parts.headers)?;
            let wanted = object(body, call).await?;
            let parameters = wanted.get("parameters").and_then(Json::as_object);
            let parameter = parameters.and_then(|given| given.keys().next()).map(String::as_str);
            repository::load(server, &parts.headers, name, parameter).await.map(|()| Response::new(Body::empty()))
        }
        Route::Unload { name } => {
            repository::unload(server, &parts.headers, name).await.map(|()| Response::new(Body::empty()))
        }
        Route::NamedRepository => {
            let message =
                "there is one repository here, without a name: use /v2/repository/index and /v2/repository/models/…";
            Err(ApiError::new(ErrorKind::NotFound, "unknown_route", message))
        }
        Route::Logging { change: false } => Ok(json(StatusCode::OK, &logging::show())),
        Route::Logging { change: true } => {
            must_administer(server, &parts.headers)?;
            logging::change(&object(body, call).await?).map(|settings| json(StatusCode::OK, &settings))
        }
        Route::TraceSetting { change: false } => Ok(json(StatusCode::OK, &trace::show())),
        Route::TraceSetting { change: true } => {
            must_administer(server, &parts.headers)?;
            trace::change(&object(body, call).await?).map(|settings| json(StatusCode::OK, &settings))
        }
        Route::RegionStatus { memory, region } => {
            let regions = shared_memory::status(server, &parts.headers, *memory, region.name.as_deref())?;
            Ok(json(StatusCode::OK, &regions))
        }
        Route::RegisterRegion { memory: Memory::System, name } => {
            let asked = Registration::of(object(body, call).await?)?;
            shared_memory::register(server, &parts.headers, name, &asked).map(|()| Response::new(Body::empty()))
        }
        Route::RegisterRegion { memory: Memory::Cuda, .. } => Err(shared_memory::register_cuda(server, &parts.headers)),
        Route::UnregisterRegion { memory, region } => {
            let done = shared_memory::unregister(server, &parts.headers, *memory, region.name.as_deref());
            done.map(|()| Response::new(Body::empty()))
        }
        Route::Options { allow } | Route::WrongMethod { allow } => Err(ApiError::wrong_method(allow)),
        Route::Unknown => {
            let message = "there is nothing at this path; inference is POST /v2/models/<name>/infer";
            Err(ApiError::new(ErrorKind::NotFound, "unknown_route", message))
        }
    }
}

/// Refuses whoever is not the operator.
pub fn must_administer(server: &Scoring, headers: &HeaderMap) -> Result<(), ApiError> {
    Caller::of(headers, &server.admin_access)?.check_administers(&server.routing.table())
}

/// A small body: a JSON object, or nothing.
async fn object(body: &mut RequestBody, call: &Call) -> Result<Map<String, Json>, ApiError> {
    let limits = BodyLimits {
        begun: call.started.max(Instant::now()),
        max_bytes: CONTROL_BODY_BYTES_MAX,
        timeout: CONTROL_BODY_TIME_MAX,
        min_bytes_per_s: 0,
    };
    let mut text = Vec::new();
    while let Some(data) = body.next(limits, text.len()).await? {
        if text.len() + data.len() > CONTROL_BODY_BYTES_MAX {
            return Err(too_large(CONTROL_BODY_BYTES_MAX, Sent::NoInputs));
        }
        text.extend_from_slice(&data);
    }
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&text).map_err(|error| {
        let message = format!("the body is not a JSON object: {error}");
        ApiError::new(ErrorKind::BadInput, "malformed_body", message).with_expected("a JSON object, or nothing")
    })
}

/// Words a missing endpoint as Triton does; its clients look for it.
pub fn unknown_model(mut error: ApiError, name: &str) -> ApiError {
    if error.code == "unknown_endpoint" {
        let called = error.expected().map(|known| format!("; this server calls it '{known}'")).unwrap_or_default();
        error.message = format!("Request for unknown model: '{}' is not found{called}", crate::codec::quoted(name));
    }
    error
}

fn json(status: StatusCode, answer: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(answer).expect("texts and numbers always serialize");
    let mut response = health::text(body, "application/json");
    *response.status_mut() = status;
    response
}
