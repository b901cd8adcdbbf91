//! What commands about a registry share: opening it, saying who acts, and the exit code of each failure.

use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::app::state_dir;
use crate::config::{Config, env};
use crate::error::ErrorKind;
use crate::moment::Moment;
use crate::publish::PublishError;
use crate::registry::{Access, Change, Presence, Registry, RegistryError, RegistryUrl, StoreLimits};

/// The folder of the registry in the state folder.
const DEFAULT: &str = "registry";

/// Whose variables say where a service is, and who we are.
const VARIABLES: &[&str] = &["AWS_", "AZURE_", "GOOGLE_"];

/// The registry that the settings mean.
pub fn url(config: &Config) -> Result<RegistryUrl, Failure> {
    match &config.registry {
        Some(text) => text.parse().map_err(|error: RegistryError| Failure::Usage(format!("registry: {error}"))),
        None => {
            let state = state_dir(config).map_err(|error| Failure::Failed(error.to_string()))?;
            Ok(RegistryUrl::folder(&state.join(DEFAULT)))
        }
    }
}

/// How a registry is reached, under these settings.
pub fn access(config: &Config, presence: Presence) -> Access {
    let limits = StoreLimits::within(std::time::Duration::from_millis(config.registry_timeout_ms));
    Access { limits, presence, variables: env::starting_with(VARIABLES) }
}

/// Opens the registry that the settings mean.
pub fn open(config: &Config, presence: Presence) -> Result<Registry, Failure> {
    Ok(Registry::open(&url(config)?, &access(config, presence))?)
}

/// A runtime for one command.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))
}

/// A change made at this terminal.
pub fn change(why: impl Into<String>) -> Change {
    let user = ["USER", "LOGNAME"].into_iter().find_map(env::variable).unwrap_or_else(|| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| env::variable("HOSTNAME"));
    let host = host.map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
    let by = host.map_or_else(|| user.clone(), |host| format!("{user}@{host}"));
    Change { by, why: why.into(), at: Moment::now() }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Failure {
        by_kind(error.kind(), error.to_string())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Failure {
        by_kind(error.kind(), error.to_string())
    }
}

fn by_kind(kind: ErrorKind, message: String) -> Failure {
    match kind {
        ErrorKind::NotFound => Failure::NotFound(message),
        _ => Failure::Failed(message),
    }
}
