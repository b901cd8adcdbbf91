//! What the operator can set: one table of settings, resolved once from flags, environment, file and defaults.
//!
//! Raw text becomes a checked [`Config`] here and is not looked at again anywhere else. A setting is declared once, in
//! `settings.rs`; its flag, its `SCORIA_…` variable, its key in the file, its line in `docs/configuration.md` and its place in
//! `schemas/config.schema.json` follow.

pub mod env;
mod file;
mod reference;
mod schema;
mod settings;
mod tls;
mod value;

use std::path::PathBuf;

pub use file::File;
pub use reference::reference;
pub use schema::schema;
pub use settings::{Config, SETTINGS, Setting};
pub use tls::TlsFiles;
pub use value::{
    Auth, EngineChoice, ExecutionChoice, Form, List, LogFormat, LogLevel, NonFiniteOutput, NullInput, SettingValue,
    TlsVersion,
};

/// Where a setting's value came from; later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
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
    #[error("{key} = '{text}' ({origin}): {reason}")]
    Invalid { key: &'static str, text: String, origin: Origin, reason: String },
    #[error("{0}")]
    Conflict(String),
}

fn suggestion(hint: &Option<&'static str>) -> String {
    hint.map_or_else(|| "; docs/configuration.md lists them all".to_owned(), |hint| format!("; did you mean '{hint}'?"))
}

#[cfg(test)]
mod tests;
