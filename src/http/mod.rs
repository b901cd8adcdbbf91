//! The wire: routes, requests, answers. The only module besides `grpc` that names hyper.
//!
//! [`scoring`] serves clients, [`admin`] serves operators; [`server`] accepts connections for both. `score.rs` is the
//! product in one function.

mod admin;
mod body;
mod call;
mod connection;
mod cors;
mod descriptors;
mod docs;
mod document;
mod document_cache;
mod error;
mod etag;
mod feedback;
mod framing;
mod header_text;
mod health;
mod host;
mod json_schema;
mod mlflow;
mod pack;
mod percent;
mod request_body;
mod request_tag;
mod router;
mod score;
mod scoring;
pub mod server;
mod service_status;
mod sticky;
mod tensorflow;
pub mod tls;
mod triton_metrics;
mod unpack;
mod v2;

pub use admin::Admin;
pub use body::Body;
pub use descriptors::Room;
pub use document::inference;
pub use health::Lifecycle;
pub use host::AllowedHosts;
pub use json_schema::schemas;
pub use scoring::{Scoring, ScoringSettings};
pub use v2::AdminAccess;

/// What another wire over the same connections builds upon (`grpc`): the way of a request, part by part.
pub mod pipeline {
    pub use super::body::{Body, Fed, Feed};
    pub use super::call::{Call, Timed};
    pub use super::error::ApiError;
    pub use super::pack::pack;
    pub use super::request_body::{BodyLimits, RequestBody, overloaded};
    pub use super::score::{Admitted, InFlight, Served, check_key, enter, find_endpoint, off_the_loop, policy, run};
    pub use super::scoring::Reported;
    pub use super::unpack::{Coding, Unpacker};
    pub use super::v2::model::{Told, all_statistics, tell};
    pub use super::v2::route::Memory;
    pub use super::v2::route::{About, Model};
    pub use super::v2::server::metadata;
    pub use super::v2::{logging, must_administer, repository, shared_memory, trace, unknown_model};
}

/// The readers of a request's head, for the fuzzer, which calls each by itself (`fuzz/fuzz_targets/route.rs`).
#[doc(hidden)]
pub mod head {
    pub use super::call::{Call, IdSource};
    pub use super::cors::Cors;
    pub use super::host::check_single as check_single_host;
    pub use super::request_body::announced_bytes;
    pub use super::router::{AdminRoute, Docs, Document, Route, admin_route, route};
    pub use super::score::{accepted, bearer, body_format, timeout};
}

/// The server's name and version, as Azure's server says its own in `x-ms-server-version`.
pub const SERVER_VERSION: &str = concat!("scoria/", env!("CARGO_PKG_VERSION"));
