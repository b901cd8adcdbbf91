//! One of any number of servers on one registry: watches what is wanted there, and has the controller make it so.
//!
//! A replica needs nobody but the registry. It lists the names of endpoints and asks for the next revision of each; an endpoint
//! ends when a revision says so, never because it cannot be found, so that a store which is away or empty takes nothing down. What
//! was last known is kept on this machine, for a start while the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Open, Order, Orders, Wanted};
use crate::error::ErrorKind;
use crate::name::Name;
use crate::registry::{Cache, EndpointKeys, EndpointSpec, Registry, RegistryError, RegistryUrl, Revision, RevisionLog};

/// Where what was last known is kept.
const KEPT: &str = "endpoints";

/// How long a start waits for the registry if there is something to serve without it.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Makes of a revision what this server is to do about it.
pub type Interpret = dyn Fn(&Name, &Known) -> Wanted + Send + Sync;

/// A watch over a registry.
pub struct Replica {
    pub open: Arc<Open>,
    pub url: RegistryUrl,
    pub cache: Cache,
    pub orders: Orders,
    pub interpret: Box<Interpret>,
    pub poll_interval: Duration,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub revision: u64,
    pub spec: EndpointSpec,
    /// Of the keys; 0 if there are none.
    pub keys_revision: u64,
    pub keys: Option<EndpointKeys>,
}

/// The endpoints, and whether the registry could be asked last time.
#[derive(Default)]
struct State {
    known: BTreeMap<Name, Known>,
    registry: Option<Registry>,
    is_away: bool,
    /// New endpoints that were seen without keys, once.
    keyless: BTreeSet<Name>,
    /// Endpoints that cannot be read, with what has been said of it.
    troubled: BTreeMap<Name, String>,
}

impl Replica {
    /// Whether anything is kept of a registry, so that a server can start without it.
    pub fn knows(cache: &Cache, url: &RegistryUrl) -> bool {
        cache.kept::<BTreeMap<Name, Known>>(url, KEPT).is_ok_and(|known| known.is_some_and(|known| !known.is_empty()))
    }

    /// Watches for ever.
    pub async fn watch(self) {
        let known: BTreeMap<Name, Known> = self.cache.kept(&self.url, KEPT).ok().flatten().unwrap_or_default();
        let has_known = !known.is_empty();
        let mut state = State::default();
        let patience = if has_known { START_PATIENCE } else { Duration::MAX };
        let first = timeout(patience, self.look(&mut state)).await.is_ok_and(|is_there| is_there);
        if !first && has_known {
            tracing::warn!(registry = %self.url, "the registry is away; serving what was last known of it");
            state.known.clone_from(&known);
            state.known.iter().for_each(|(name, known)| self.tell(name, known));
        }
        self.orders.give(Order::Complete);
        let mut ticks = interval(self.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look(&mut state).await;
        }
    }

    /// Looks once at everything; whether the registry could be asked.
    async fn look(&self, state: &mut State) -> bool {
        let outcome = self.look_at_all(state).await;
        match &outcome {
            Ok(()) if state.is_away => {
                tracing::info!(registry = %self.url, "the registry is there again");
            }
            Err(error) if !state.is_away => {
                tracing::warn!(registry = %self.url, %error, "the registry cannot be read; serving on as it is");
            }
            _ => {}
        }
        state.is_away = outcome.is_err();
        outcome.is_ok()
    }

    async fn look_at_all(&self, state: &mut State) -> Result<(), RegistryError> {
        let registry = match &state.registry {
            Some(registry) => registry.clone(),
            None => state.registry.insert((self.open)()?).clone(),
        };
        let mut has_changed = false;
        for name in registry.endpoints().await? {
            match self.next(&registry, &name, state.known.get(&name)).await {
                Ok(None) => drop(state.troubled.remove(&name)),
                // Its keys are made right after it; it is given until the next look to have them.
                Ok(Some(next)) if next.keys.is_none() && state.keyless.insert(name.clone()) => {}
                Ok(Some(next)) => {
                    state.troubled.remove(&name);
                    self.tell(&name, &next);
                    state.known.insert(name, next);
                    has_changed = true;
                }
                // The store is what is wrong, not this endpoint.
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(error) => {
                    let reason = error.to_string();
                    if state.troubled.get(&name) != Some(&reason) {
                        tracing::error!(endpoint = %name, %error, "the endpoint stays as it is");
                        state.troubled.insert(name, reason);
                    }
                }
            }
        }
        if has_changed && let Err(error) = self.cache.keep(&self.url, KEPT, &state.known) {
            tracing::warn!(%error, "what is served cannot be remembered for a start without the registry");
        }
        Ok(())
    }

    /// What an endpoint is to be now, if that is not known yet.
    async fn next(
        &self,
        registry: &Registry,
        name: &Name,
        known: Option<&Known>,
    ) -> Result<Option<Known>, RegistryError> {
        // The keys last: they are made right after the endpoint, which is open to nobody without them.
        let spec = newer(&registry.endpoint(name), known.map_or(0, |known| known.revision)).await?;
        let keys = newer(&registry.endpoint_keys(name), known.map_or(0, |known| known.keys_revision)).await?;
        if keys.is_none() && spec.is_none() {
            return Ok(None);
        }
        let Some((revision, spec)) = spec
            .map(|spec| (spec.revision, spec.body))
            .or_else(|| known.map(|known| (known.revision, known.spec.clone())))
        else {
            return Ok(None);
        };
        let (keys_revision, keys) = match keys {
            Some(keys) => (keys.revision, Some(keys.body)),
            None => known.map_or((0, None), |known| (known.keys_revision, known.keys.clone())),
        };
        Ok(Some(Known { revision, spec, keys_revision, keys }))
    }

    fn tell(&self, name: &Name, known: &Known) {
        self.orders.give(if known.spec.deleted {
            Order::Forget(name.clone())
        } else {
            Order::Want(Box::new((self.interpret)(name, known)))
        });
    }
}

/// The latest revision after `known` (0: none is known).
async fn newer<T>(log: &RevisionLog<T>, known: u64) -> Result<Option<Revision<T>>, RegistryError>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    if known == 0 {
        return log.latest().await;
    }
    let mut newest = None;
    for number in known + 1.. {
        match log.read(number).await {
            Ok(Some(revision)) => newest = Some(revision),
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // One that cannot be read does not stand in the way of those after it.
            Err(error) => return log.latest().await.map_err(|_| error),
        }
    }
    Ok(newest)
}
