//! Where models and the desired state of endpoints live: an object store of immutable files and append-only revisions.
//!
//! The layout is that of `docs/registry.md`. From below: [`store`] makes single objects and knows what became of them,
//! [`RevisionLog`] appends to histories, [`Registry`] names what there is. Nothing here loads a model or answers a request.

mod digest;
mod endpoint_keys;
mod endpoint_spec;
mod error;
mod limits;
mod nonce;
#[allow(clippy::module_inception, reason = "the noun of this module, in its file")]
mod registry;
mod revision;
mod rollout_spec;
mod share;
pub mod store;
mod url;

pub use digest::{Digest, Hasher, InvalidDigest};
pub use endpoint_keys::{EndpointKeys, StoredKey};
pub use endpoint_spec::{DeploymentSpec, EndpointSpec, Follow, ModelRef, Sticky};
pub use error::RegistryError;
pub use limits::StoreLimits;
pub use nonce::Nonce;
pub use registry::{Registry, Status};
pub use revision::{Change, Revision, RevisionLog};
pub use rollout_spec::{Guard, InvalidGuard, Rollout, Stage};
pub use share::{InvalidShare, Share};
pub use url::{Access, Presence, RegistryUrl};
