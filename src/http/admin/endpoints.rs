//! Operations on the endpoints of the registry, over HTTP: the same as the commands of the terminal, with the same code beneath.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Admin, json};
use crate::auth::Slot;
use crate::config::Overrides;
use crate::control::operations::{Addition, Amendment, Decision, EndpointView, OperationError, Operations};
use crate::error::ErrorKind;
use crate::experiment::Level;
use crate::http::Body;
use crate::http::error::ApiError;
use crate::http::router::{EndpointRoute, EndpointVerb};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Change, Follow, ModelSelector, RegistryError, Share};

/// The longest body of an operation, and the time it may take to come.
const BODY_BYTES_MAX: usize = 64 * 1024;
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Revisions that `history` shows, if nobody says how many, and at most.
const HISTORY_SHOWN: usize = 20;
const HISTORY_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployBody {
    /// `ridge:3`, or `ridge` for its latest version.
    model: String,
    name: Option<Name>,
    traffic: Option<Share>,
    #[serde(default)]
    settings: Overrides,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    description: Option<String>,
    sticky: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    deployment: Name,
    model: Option<String>,
    #[serde(default)]
    settings: Overrides,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharesBody {
    shares: BTreeMap<Name, Share>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    to: Option<u64>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    candidate: Option<Name>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowBody {
    /// As in a revision; `null` follows nothing any more.
    follow: Option<Follow>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    deployment: Option<Name>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    slot: SlotName,
    #[serde(default)]
    reason: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SlotName {
    Primary,
    Secondary,
}

/// An operation that is asked for, by somebody who may.
pub(super) struct Asked<'a> {
    pub route: &'a EndpointRoute,
    pub parts: &'a Parts,
    pub body: Incoming,
    /// Who asks, for the history.
    pub by: String,
}

impl Admin {
    /// Carries an operation out.
    pub(super) async fn operate(&self, asked: Asked<'_>) -> Result<Response<Body>, ApiError> {
        let operations = self.desk()?.operations().map_err(refused)?;
        let Asked { route, parts, body, by } = asked;
        let endpoint = match &route.endpoint {
            None => return Ok(json(&json!({ "endpoints": operations.list().await.map_err(refused)? }))),
            // What is no name is nobody's.
            Some(text) => Name::parse(text).map_err(|error| invalid(error.to_string()))?,
        };
        match route.verb {
            EndpointVerb::Show => Ok(json(&operations.show(&endpoint, Moment::now()).await.map_err(refused)?)),
            EndpointVerb::History => {
                let limit = limit(parts)?;
                Ok(json(&json!({ "revisions": operations.history(&endpoint, limit).await.map_err(refused)? })))
            }
            EndpointVerb::Compare => {
                let level = level(parts)?;
                Ok(json(&operations.compare(&endpoint, level).await.map_err(refused)?))
            }
            EndpointVerb::Keys => {
                let keys = operations.keys(&endpoint, Moment::now()).await.map_err(refused)?;
                Ok(json(&json!({ "keys": keys })))
            }
            _ => change(&operations, &endpoint, route.verb, &read(parts, body).await?, by).await,
        }
    }
}

async fn change(
    operations: &Operations,
    endpoint: &Name,
    verb: EndpointVerb,
    body: &[u8],
    by: String,
) -> Result<Response<Body>, ApiError> {
    let change = |why: String, usual: String| Change {
        by: by.clone(),
        why: if why.is_empty() { usual } else { why },
        at: Moment::now(),
    };
    let revision = match verb {
        EndpointVerb::Deploy => return deploy(operations, endpoint, parse(body)?, &change).await,
        EndpointVerb::RotateKey => {
            let RotateBody { slot, reason } = parse(body)?;
            let slot = match slot {
                SlotName::Primary => Slot::Primary,
                SlotName::Secondary => Slot::Secondary,
            };
            let change = change(reason, format!("{} key replaced", slot.name()));
            let key = operations.rotate_key(endpoint, slot, &change).await.map_err(refused)?;
            return Ok(json(&json!({ "slot": slot.name(), "id": key.digest().id(), "key": key.reveal() })));
        }
        EndpointVerb::Update => {
            let UpdateBody { deployment, model, settings, reason } = parse(body)?;
            let model = model.as_deref().map(selector).transpose()?;
            let change = change(reason, format!("{deployment} updated"));
            operations.update(endpoint, &deployment, model.as_ref(), &settings, &change).await
        }
        EndpointVerb::Traffic => {
            let SharesBody { shares, reason } = parse(body)?;
            operations.traffic(endpoint, &shares, &change(reason, "traffic changed".to_owned())).await
        }
        EndpointVerb::Mirror => {
            let SharesBody { shares, reason } = parse(body)?;
            operations.mirror(endpoint, &shares, &change(reason, "mirror changed".to_owned())).await
        }
        EndpointVerb::Promote | EndpointVerb::Abort => {
            let DecisionBody { candidate, reason } = parse(body)?;
            let (decision, usual) = match verb {
                EndpointVerb::Promote => (Decision::Promote, "promoted by hand"),
                _ => (Decision::Abort, "aborted by hand"),
            };
            operations.decide(endpoint, decision, candidate.as_ref(), &change(reason, usual.to_owned())).await
        }
        EndpointVerb::Follow => {
            let FollowBody { follow, reason } = parse(body)?;
            let usual = follow
                .as_ref()
                .map_or("follows no model any more".to_owned(), |follow| format!("follows {}", follow.model));
            operations.follow(endpoint, follow.as_ref(), &change(reason, usual)).await
        }
        EndpointVerb::Rollback => {
            let RollbackBody { to, reason } = parse(body)?;
            operations.rollback(endpoint, to, &change(reason, String::new())).await
        }
        _ => match parse(body)? {
            DeleteBody { deployment: Some(deployment), reason } => {
                operations.remove(endpoint, &deployment, &change(reason, format!("{deployment} deleted"))).await
            }
            DeleteBody { deployment: None, reason } => {
                operations.delete(endpoint, &change(reason, "deleted".to_owned())).await
            }
        },
    };
    Ok(json(&EndpointView::of(endpoint, &revision.map_err(refused)?)))
}

async fn deploy(
    operations: &Operations,
    endpoint: &Name,
    body: DeployBody,
    change: &(impl Fn(String, String) -> Change + Sync),
) -> Result<Response<Body>, ApiError> {
    let DeployBody { model, name, traffic, settings, tags, description, sticky, reason } = body;
    let model = selector(&model)?;
    let sticky = sticky.map(|text| text.parse().map(Some).map_err(invalid)).transpose()?;
    let amendment = Amendment { tags, description, sticky, ..Amendment::default() };
    let change = change(reason, format!("deployed {model}"));
    let addition =
        |model, profile| Addition { name: name.clone(), model, profile, traffic, settings: settings.clone() };
    let deployed = operations.deploy(endpoint, &model, addition, &amendment, &change).await.map_err(refused)?;
    let keys =
        deployed.keys.map(|keys| json!({ "primary": keys.primary.reveal(), "secondary": keys.secondary.reveal() }));
    let view = EndpointView::of(endpoint, &deployed.revision);
    Ok(json(&json!({ "deployment": deployed.deployment, "endpoint": view, "keys": keys })))
}

fn selector(text: &str) -> Result<ModelSelector, ApiError> {
    text.parse().map_err(|error: RegistryError| invalid(error.to_string()))
}

fn limit(parts: &Parts) -> Result<usize, ApiError> {
    let mut arguments = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let Some((_, text)) = arguments.find(|(name, _)| name == "limit") else { return Ok(HISTORY_SHOWN) };
    let number = text.parse::<usize>().ok().filter(|number| (1..=HISTORY_MAX).contains(number));
    number.ok_or_else(|| invalid(format!("limit: expected a number from 1 to {HISTORY_MAX}, got '{text}'")))
}

/// How sure intervals are to hold: `?confidence=95`.
fn level(parts: &Parts) -> Result<Level, ApiError> {
    let mut arguments = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let Some((_, text)) = arguments.find(|(name, _)| name == "confidence") else { return Ok(Level::USUAL) };
    Level::from_confidence(&text)
        .ok_or_else(|| invalid(format!("confidence: expected a percentage from 50 to below 100, got '{text}'")))
}

/// The body of an operation. Its media type has to be said, which no web page can without asking first (CORS).
pub(super) async fn read(parts: &Parts, body: Incoming) -> Result<Vec<u8>, ApiError> {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let error = ApiError::new(ErrorKind::UnsupportedMediaType, "unsupported_media_type", "an operation is JSON");
        return Err(error.with_expected("Content-Type: application/json").with_got(essence));
    }
    let collected = tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let slow = || ApiError::new(ErrorKind::BodyTimeout, "body_timeout", "the body did not arrive in time");
    match collected.map_err(|_| slow())? {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            Err(ApiError::new(ErrorKind::BodyTooLarge, "body_too_large", message).that_ends_the_connection())
        }
        Err(_) => {
            Err(ApiError::new(ErrorKind::BadInput, "incomplete_body", "the body ended before its announced length"))
        }
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Nothing is the same as nothing said.
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))
}

pub(super) fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorKind::BadInput, "bad_operation", message)
}

/// An operation that was not carried out. Operators are told what it was, registry and all.
pub(super) fn refused(error: OperationError) -> ApiError {
    let kind = error.kind();
    let message = error.to_string();
    match kind {
        ErrorKind::NotFound => ApiError::new(kind, "not_found", message),
        ErrorKind::Conflict => ApiError::new(kind, "conflict", message),
        ErrorKind::Precondition => ApiError::new(kind, "refused_as_it_is", message),
        ErrorKind::Unavailable => ApiError::new(kind, "registry_unavailable", message).with_retry_after(1),
        ErrorKind::BadInput => invalid(message),
        _ => ApiError::internal("the operation failed; the server's log has the reason"),
    }
}
