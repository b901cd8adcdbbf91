//! Where models and the desired state of endpoints live: an object store of immutable files and append-only revisions.
//!
//! The layout is that of `docs/registry.md`. Nothing here loads a model or answers a request.

mod endpoint_spec;
mod share;

pub use endpoint_spec::{DeploymentSpec, EndpointSpec, Follow, ModelRef, Sticky};
pub use share::{InvalidShare, Share};
