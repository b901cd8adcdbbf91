//! What the operator can set: one table of settings, resolved once from flags, environment, file and defaults.
//!
//! Raw text becomes a checked [`Config`] here and is not looked at again anywhere else. A setting is declared once, in
//! `settings.rs`; its flag, its `SCORIA_…` variable, its key in the file, its line in `docs/configuration.md` and its place in
//! `schemas/config.schema.json` follow.

mod endpoints;
pub mod env;
mod file;
mod listen;
mod reference;
mod schema;
mod settings;
mod tls;
mod value;

use std::path::PathBuf;

use crate::name::{InvalidName, Name};

pub use endpoints::{Overrides, override_of};
pub use file::File;
pub use reference::reference;
pub use schema::schema;
pub use settings::{Config, SETTINGS, Scope, Setting};
pub use tls::TlsFiles;
pub use value::{
    Auth, EngineChoice, ExecutionChoice, ExtraColumns, Form, List, LogFormat, LogLevel, NonFiniteOutput, NullInput,
    RepositoryMode, SettingValue, TlsVersion,
};

/// Where a setting's value came from; later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
    /// What the registry says of an endpoint, over the server's own.
    Specification,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Specification => f.write_str("specification"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A setting that cannot be used. The text is for the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error("{}: unknown setting '{key}'{}", path.display(), suggestion(hint))]
    UnknownKey { path: PathBuf, key: String, hint: Option<&'static str> },
    #[error("{}: [endpoints.{endpoint}]: unknown setting '{key}'{}", path.display(), endpoint_suggestion(hint))]
    UnknownEndpointKey { path: PathBuf, endpoint: Name, key: String, hint: Option<&'static str> },
    #[error("{}: [endpoints.{endpoint}]: '{key}' holds for the whole server; for one endpoint there are {}",
            path.display(), endpoints::keys())]
    ServerKey { path: PathBuf, endpoint: Name, key: &'static str },
    #[error("{}: endpoints: {source}", path.display())]
    EndpointName { path: PathBuf, source: InvalidName },
    #[error("[endpoints.{endpoint}]: {source}")]
    Endpoint { endpoint: Name, source: Box<ConfigError> },
    #[error("{key} = '{text}' ({origin}): {reason}")]
    Invalid { key: &'static str, text: String, origin: Origin, reason: String },
    #[error("{0}")]
    Conflict(String),
}

fn suggestion(hint: &Option<&'static str>) -> String {
    hint.map_or_else(|| "; docs/configuration.md lists them all".to_owned(), |hint| format!("; did you mean '{hint}'?"))
}

fn endpoint_suggestion(hint: &Option<&'static str>) -> String {
    hint.map_or_else(|| format!("; there are {}", endpoints::keys()), |hint| format!("; did you mean '{hint}'?"))
}

#[cfg(test)]
mod tests;
