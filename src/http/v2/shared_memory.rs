//! The shared memory extensions, over REST and gRPC: regions are registered, listed and forgotten.
//!
//! CUDA's is there for clients that measure, which forget all regions of both kinds before they begin: there are none to forget.

use hyper::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::caller::Caller;
use super::route::Memory;
use crate::error::ErrorKind;
use crate::http::Scoring;
use crate::http::error::ApiError;
use crate::shared_memory::{RegionStatus, SharedMemory, SharedMemoryError};

/// A region that is to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Registration {
    pub key: String,
    #[serde(default)]
    pub offset: u64,
    pub byte_size: u64,
}

impl Registration {
    /// From the body of a request.
    pub fn of(body: Map<String, Json>) -> Result<Registration, ApiError> {
        serde_json::from_value(Json::Object(body)).map_err(|error| {
            let message = format!("the registration is not of the expected form: {error}");
            ApiError::new(ErrorKind::BadInput, "malformed_body", message)
                .with_expected("{\"key\": \"/name\", \"offset\": 0, \"byte_size\": 64}")
        })
    }
}

/// The regions there are: one, or all.
pub fn status(
    server: &Scoring,
    headers: &HeaderMap,
    memory: Memory,
    region: Option<&str>,
) -> Result<Vec<RegionStatus>, ApiError> {
    check_known(server, headers)?;
    match (memory, &server.shared_memory, region) {
        (Memory::System, Some(regions), _) => Ok(regions.status(region)?),
        (_, _, None) => Ok(Vec::new()),
        (_, _, Some(name)) => Err(SharedMemoryError::Unknown(crate::codec::quoted(name)).into()),
    }
}

/// Registers a region of system shared memory.
pub fn register(server: &Scoring, headers: &HeaderMap, region: &str, asked: &Registration) -> Result<(), ApiError> {
    check_known(server, headers)?;
    let regions = system(server)?;
    Ok(regions.register(region, &asked.key, asked.offset, asked.byte_size)?)
}

/// Refuses to register a region of CUDA's.
pub fn register_cuda(server: &Scoring, headers: &HeaderMap) -> ApiError {
    let message = "this server takes no CUDA shared memory; send the bytes";
    check_known(server, headers).err().unwrap_or_else(|| off(message))
}

/// Forgets a region, or all.
pub fn unregister(server: &Scoring, headers: &HeaderMap, memory: Memory, region: Option<&str>) -> Result<(), ApiError> {
    check_known(server, headers)?;
    match (memory, &server.shared_memory, region) {
        (Memory::System, Some(regions), Some(name)) => regions.unregister(name),
        (Memory::System, Some(regions), None) => regions.unregister_all(),
        (Memory::System, None, _) | (Memory::Cuda, _, _) => {}
    }
    Ok(())
}

/// Whoever may score on some endpoint may register.
fn check_known(server: &Scoring, headers: &HeaderMap) -> Result<(), ApiError> {
    Caller::of(headers, &server.admin_access)?.check_known(&server.routing.table())
}

fn system(server: &Scoring) -> Result<&SharedMemory, ApiError> {
    let message = "this server takes no shared memory (its setting system_shared_memory); send the bytes";
    server.shared_memory.as_deref().ok_or_else(|| off(message))
}

fn off(message: &str) -> ApiError {
    ApiError::new(ErrorKind::BadInput, "shared_memory_off", message)
}

impl From<SharedMemoryError> for ApiError {
    fn from(error: SharedMemoryError) -> ApiError {
        let (kind, message) = (error.kind(), error.to_string());
        match &error {
            SharedMemoryError::Unknown(_) => ApiError::new(kind, "unknown_region", message),
            SharedMemoryError::TooMany { .. } | SharedMemoryError::TooLarge { .. } => {
                ApiError::new(kind, "too_many_regions", message).with_retry_after(1)
            }
            _ => ApiError::new(kind, "bad_region", message),
        }
    }
}
