//! Where models and the desired state of endpoints live: an object store of immutable files and append-only revisions.
//!
//! The layout is that of `docs/registry.md`. From below: [`store`] makes single objects and knows what became of them,
//! [`RevisionLog`] appends to histories, [`Registry`] names what there is. Nothing here loads a model or answers a request.

mod at_once;
mod blobs;
mod cache;
mod collection;
mod digest;
mod download;
mod endpoint_keys;
mod endpoint_spec;
mod error;
mod file_path;
mod leftovers;
mod limits;
mod manifest;
mod model_meta;
mod model_search;
mod model_selector;
mod model_view;
mod models;
mod nonce;
mod profile;
#[allow(clippy::module_inception, reason = "the noun of this module, in its file")]
mod registry;
mod revision;
mod rollout_spec;
mod share;
pub mod store;
mod url;

pub use blobs::{LocalFile, Progress};
pub use cache::{Cache, CachedModel};
pub use collection::Collected;
pub use digest::{Digest, Hasher, InvalidDigest};
pub use endpoint_keys::{EndpointKeys, StoredKey};
pub use endpoint_spec::{DeploymentSpec, EndpointSpec, Follow, InvalidSpec, ModelRef, Sticky};
pub use error::RegistryError;
pub use file_path::{FilePath, InvalidFilePath};
pub use limits::StoreLimits;
pub use manifest::{Content, Manifest, StoredFile, Trial};
pub use model_meta::{MetaEdit, ModelMeta};
pub use model_search::{Archived, ModelQuery, Only, Pair};
pub use model_selector::ModelSelector;
pub use model_view::ModelView;
pub use models::{Draft, ModelVersion, Models};
pub use nonce::Nonce;
pub use profile::{ProfileView, Recommended, recommended};
pub use registry::{Registry, Status};
pub use revision::{Change, Revision, RevisionLog};
pub use rollout_spec::{Guard, InvalidGuard, Rollout, Stage};
pub use share::{InvalidShare, Share};
pub use url::{Access, Presence, RegistryUrl};
