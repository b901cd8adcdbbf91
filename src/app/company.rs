//! What goes beside a server of a registry: reports, rollouts, webhooks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{StartError, state_dir};
use crate::config::Config;
use crate::control::operations::Desk;
use crate::deployment::Routing;
use crate::follow::{Accompanied, Companion, Identity, ProfileCommand};
use crate::moment::Moment;
use crate::telemetry::Metrics;
use crate::webhook::{EventKind, Receiver, Retry, SecretPlace, Webhooks};

/// Starts it for a server with these settings.
pub(super) fn accompany(
    config: &Config,
    desk: Desk,
    routing: Arc<Routing>,
    metrics: &Metrics,
    profile: Option<Arc<ProfileCommand>>,
) -> Result<Accompanied, StartError> {
    let state = state_dir(config)?;
    let identity = Arc::new(Identity::claim(&state, Moment::now())?);
    let folder = state.join("webhooks").join(identity.name.as_str());
    let webhooks = webhooks(config, &folder, metrics)?.map(|webhooks| (webhooks, folder));
    let interval = Duration::from_millis(config.status_interval_ms);
    let companion = Companion { desk, routing, identity, interval, webhooks, profile };
    companion.start().map_err(|source| StartError::Start { what: "the thread that reports", source })
}

/// The receivers that the settings name, if they name any.
fn webhooks(config: &Config, folder: &Path, metrics: &Metrics) -> Result<Option<Webhooks>, StartError> {
    if config.webhook_urls.0.is_empty() {
        return Ok(None);
    }
    let refuse = |reason: String| StartError::Webhooks { reason };
    let place = config.webhook_secret.as_deref().ok_or_else(|| {
        refuse("webhook_urls are signed: say where the secret is with webhook_secret, as in env:NAME".to_owned())
    })?;
    let place: SecretPlace = place.parse().map_err(|error| refuse(format!("webhook_secret: {error}")))?;
    let secret = place.read().map_err(|error| refuse(format!("webhook_secret: {error}")))?;
    let kinds = config.webhook_events.0.iter().map(|name| name.parse::<EventKind>());
    let kinds: BTreeSet<_> =
        kinds.collect::<Result<_, _>>().map_err(|error| refuse(format!("webhook_events: {error}")))?;
    let receivers = config.webhook_urls.0.iter().map(|url| Receiver::new(url, secret.clone(), kinds.clone()));
    let receivers =
        receivers.collect::<Result<Vec<_>, _>>().map_err(|error| refuse(format!("webhook_urls: {error}")))?;
    let timeout = Duration::from_millis(config.webhook_timeout_ms);
    let started = Webhooks::start(folder, receivers, timeout, Retry::default(), metrics);
    started.map(Some).map_err(|error| refuse(error.to_string()))
}
