//! The model repository extension: what there is, and, where the operator allows it, loading and unloading.

use hyper::HeaderMap;
use serde::Serialize;

use super::caller::Caller;
use super::unknown_model;
use crate::control::{Repository, RepositoryError};
use crate::deployment::{Entry, State};
use crate::error::ErrorKind;
use crate::http::Scoring;
use crate::http::error::ApiError;
use crate::http::score::called_otherwise;

/// What of a model's failure is told to others than the operator.
const NOT_LOADED: &str = "the model could not be loaded";

/// One line of the index.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All that is served, and, to the operator, all that could be. Others see what their key is for.
pub async fn index(server: &Scoring, headers: &HeaderMap, only_ready: bool) -> Result<Vec<Listed>, ApiError> {
    let caller = Caller::of(headers, &server.admin_access)?;
    let is_operator = matches!(caller, Caller::Administrator);
    let mut listed: Vec<Listed> = Vec::new();
    {
        let table = server.routing.table();
        for (name, entry) in table.entries() {
            let is_seen = entry.endpoint.as_ref().map_or(is_operator, |endpoint| caller.may_see(endpoint));
            if is_seen {
                listed.extend(lines(name.as_str(), entry, is_operator));
            }
        }
    }
    if let Some(repository) = server.repository.as_ref().filter(|_| is_operator) {
        for model in repository.models().await.map_err(not_listed)? {
            if !listed.iter().any(|line| line.name == model.name.as_str()) {
                let unloaded = repository.was_unloaded(&model.name);
                listed.push(Listed {
                    name: model.name.to_string(),
                    version: unloaded.then(|| model.version.to_string()),
                    state: unloaded.then_some("UNAVAILABLE"),
                    reason: unloaded.then(|| "unloaded".to_owned()),
                });
            }
        }
    }
    if only_ready {
        listed.retain(|line| line.state == Some("READY"));
    }
    Ok(listed)
}

fn lines(name: &str, entry: &Entry, is_operator: bool) -> Vec<Listed> {
    let line = |version: Option<u64>, state, reason: &str| Listed {
        name: name.to_owned(),
        version: version.map(|version| version.to_string()),
        state: Some(state),
        reason: Some(reason.to_owned()),
    };
    let failed = |version, reason| line(version, "UNAVAILABLE", if is_operator { reason } else { NOT_LOADED });
    match (&entry.endpoint, &entry.state) {
        (Some(endpoint), _) => {
            let ready = endpoint.deployments.iter().map(|deployment| line(Some(deployment.model.version), "READY", ""));
            // The deployments of a folder's versions are named by them.
            let others = entry.deployments.iter().filter_map(|standing| {
                let version = standing.name.as_str().parse().ok()?;
                match &standing.state {
                    State::Failed { reason } => Some(failed(Some(version), reason)),
                    State::Loading => Some(line(Some(version), "LOADING", "")),
                    State::Ready | State::Draining => None,
                }
            });
            ready.chain(others).collect()
        }
        (None, State::Failed { reason }) => vec![failed(None, reason)],
        (None, _) => vec![line(None, "LOADING", "")],
    }
}

/// Loads a model, or its newest version in place of an older one, which answers until then. `parameter` is one that the request
/// has, of which there can be none.
pub async fn load(server: &Scoring, headers: &HeaderMap, name: &str, parameter: Option<&str>) -> Result<(), ApiError> {
    let repository = controlled(server, headers)?;
    if let Some(parameter) = parameter {
        let message = format!(
            "a model is loaded as it lies in the repository, without the parameter '{}'; put its files there",
            crate::codec::quoted(parameter)
        );
        return Err(ApiError::new(ErrorKind::BadInput, "bad_setting", message).with_expected("no parameters"));
    }
    repository.load(name).await.map_err(|error| refused(error, name))
}

/// Takes a model out of service; requests in progress finish.
pub async fn unload(server: &Scoring, headers: &HeaderMap, name: &str) -> Result<(), ApiError> {
    let repository = controlled(server, headers)?;
    repository.unload(name).await.map_err(|error| refused(error, name))
}

/// The repository, for one who may change what is served.
fn controlled<'a>(server: &'a Scoring, headers: &HeaderMap) -> Result<&'a Repository, ApiError> {
    Caller::of(headers, &server.admin_access)?.check_administers(&server.routing.table())?;
    server.repository.as_deref().ok_or_else(|| {
        let message = "models are loaded and unloaded by clients only if repository_mode is explicit";
        ApiError::new(ErrorKind::Unavailable, "repository_closed", message)
    })
}

fn not_listed(error: RepositoryError) -> ApiError {
    tracing::warn!(%error, "the model repository cannot be listed");
    ApiError::internal("the model repository cannot be listed; the server's log says why")
}

fn refused(error: RepositoryError, name: &str) -> ApiError {
    match error {
        RepositoryError::Unknown => {
            let message = format!("failed to load '{name}': no such model is in the repository");
            ApiError::new(ErrorKind::NotFound, "unknown_endpoint", message)
        }
        RepositoryError::Called(known) => unknown_model(called_otherwise(&known), name),
        // Whoever asks has the admin key, and is to know why.
        RepositoryError::NotLoaded(reason) => {
            let message = format!("failed to load '{name}': {reason}");
            ApiError::new(ErrorKind::BadInput, "model_not_loaded", message)
        }
        RepositoryError::Busy => {
            let message = "too many models wait to be loaded; try again";
            ApiError::new(ErrorKind::Overloaded, "overloaded", message).with_retry_after(1)
        }
        RepositoryError::Stopping => {
            ApiError::new(ErrorKind::Unavailable, "draining", "the server is stopping").with_retry_after(1)
        }
        error @ RepositoryError::Unreadable(_) => not_listed(error),
    }
}
