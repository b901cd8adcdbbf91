//! Why the registry did not do what was asked. The texts are for whoever runs the command or calls the admin API.

use std::io;
use std::path::PathBuf;

use super::ModelRef;
use crate::error::ErrorKind;
use crate::moment::Moment;
use crate::name::Name;

/// Why an operation on the registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("'{url}' is no registry: {reason}")]
    Url { url: String, reason: String },
    /// Something that the caller gave cannot be kept.
    #[error("{0}")]
    Invalid(String),
    #[error("{what} cannot be read: {source}", what = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("there is no {what}")]
    NotFound { what: String },
    #[error(
        "{what} has been changed meanwhile: revision {revision} is {by}'s, of {at} ({why}); read it again, then decide"
    )]
    Conflict { what: String, revision: u64, by: String, at: Moment, why: String },
    #[error("property '{key}' of {model} is '{old}', and properties do not change; use a tag for what changes")]
    PropertyFixed { model: ModelRef, key: String, old: String },
    #[error(
        "{model} is in use by {}: update or roll forward what uses it, or delete the endpoint, before the version",
        names(endpoints)
    )]
    InUse { model: ModelRef, endpoints: Vec<Name> },
    #[error("{model} has been deleted")]
    Deleted { model: ModelRef },
    /// The store has something else than was written there.
    #[error("the registry is damaged at {path}: {reason}")]
    Damaged { path: String, reason: String },
    /// Nothing was changed.
    #[error("cannot {action} {path}: {reason}")]
    Refused { action: &'static str, path: String, reason: String },
    /// The store was not to be reached in time, or kept failing.
    #[error("cannot {action} {path} within {limit_ms} ms (registry_timeout_ms): {reason}")]
    Unavailable { action: &'static str, path: String, limit_ms: u128, reason: String },
    /// It may have been written, or may yet be.
    #[error("whether {path} has been written is not known: {reason}; look before you try again")]
    Unconfirmed { path: String, reason: String },
    #[error("too many writers changed {what} at the same time; try again")]
    Crowded { what: String },
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

impl RegistryError {
    /// What class of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RegistryError::Url { .. } | RegistryError::Invalid(_) | RegistryError::File { .. } => ErrorKind::BadInput,
            RegistryError::NotFound { .. } | RegistryError::Deleted { .. } => ErrorKind::NotFound,
            RegistryError::Conflict { .. } | RegistryError::PropertyFixed { .. } | RegistryError::Crowded { .. } => {
                ErrorKind::Conflict
            }
            RegistryError::InUse { .. } => ErrorKind::Precondition,
            RegistryError::Refused { .. } | RegistryError::Unavailable { .. } | RegistryError::Unconfirmed { .. } => {
                ErrorKind::Unavailable
            }
            RegistryError::Damaged { .. } | RegistryError::Random(_) => ErrorKind::Internal,
        }
    }
}

fn names(endpoints: &[Name]) -> String {
    endpoints.iter().map(|name| format!("endpoint {name}")).collect::<Vec<_>>().join(", ")
}
