//! The shared memory extensions: regions are registered, listed and forgotten.
//!
//! CUDA's is there for clients that measure, which forget all regions of both kinds before they begin: there are none to forget.

use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::caller::Caller;
use super::json;
use super::route::{Memory, Region};
use crate::error::ErrorKind;
use crate::http::error::ApiError;
use crate::http::{Body, Scoring};
use crate::shared_memory::{SharedMemory, SharedMemoryError};

/// The body of a registration.
#[derive(Deserialize)]
struct Registration {
    key: String,
    #[serde(default)]
    offset: u64,
    byte_size: u64,
}

/// The regions there are.
pub fn status(server: &Scoring, memory: Memory, region: &Region, parts: &Parts) -> Result<Response<Body>, ApiError> {
    check_known(server, parts)?;
    let name = region.name.as_deref();
    match (memory, &server.shared_memory) {
        (Memory::System, Some(regions)) => Ok(json(StatusCode::OK, &regions.status(name)?)),
        _ if name.is_none() => Ok(json(StatusCode::OK, &Vec::<()>::new())),
        _ => Err(SharedMemoryError::Unknown(crate::codec::quoted(name.unwrap_or_default())).into()),
    }
}

/// Registers a region.
pub fn register(
    server: &Scoring,
    memory: Memory,
    name: &str,
    parts: &Parts,
    body: Map<String, Json>,
) -> Result<Response<Body>, ApiError> {
    check_known(server, parts)?;
    let regions = enabled(server, memory)?;
    let asked: Registration = serde_json::from_value(Json::Object(body)).map_err(|error| {
        ApiError::new(
            ErrorKind::BadInput,
            "malformed_body",
            format!("the registration is not of the expected form: {error}"),
        )
        .with_expected("{\"key\": \"/name\", \"offset\": 0, \"byte_size\": 64}")
    })?;
    regions.register(name, &asked.key, asked.offset, asked.byte_size)?;
    Ok(Response::new(Body::empty()))
}

/// Forgets a region, or all.
pub fn unregister(
    server: &Scoring,
    memory: Memory,
    region: &Region,
    parts: &Parts,
) -> Result<Response<Body>, ApiError> {
    check_known(server, parts)?;
    if let (Memory::System, Some(regions)) = (memory, &server.shared_memory) {
        match &region.name {
            Some(name) => regions.unregister(name),
            None => regions.unregister_all(),
        }
    }
    Ok(Response::new(Body::empty()))
}

/// Whoever may score on some endpoint may register.
fn check_known(server: &Scoring, parts: &Parts) -> Result<(), ApiError> {
    Caller::of(&parts.headers, &server.admin_access)?.check_known(&server.routing.table())
}

fn enabled(server: &Scoring, memory: Memory) -> Result<&SharedMemory, ApiError> {
    let off = |message| Err(ApiError::new(ErrorKind::BadInput, "shared_memory_off", message));
    match (memory, &server.shared_memory) {
        (Memory::System, Some(regions)) => Ok(regions),
        (Memory::System, None) => {
            off("this server takes no shared memory (its setting system_shared_memory); send the bytes")
        }
        (Memory::Cuda, _) => off("this server takes no CUDA shared memory; send the bytes"),
    }
}

impl From<SharedMemoryError> for ApiError {
    fn from(error: SharedMemoryError) -> ApiError {
        let code = match &error {
            SharedMemoryError::Unknown(_) => "unknown_region",
            SharedMemoryError::TooMany { .. } | SharedMemoryError::TooLarge { .. } => "too_many_regions",
            _ => "bad_region",
        };
        ApiError::new(error.kind(), code, error.to_string())
    }
}
