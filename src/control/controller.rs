//! The only publisher of the routing table.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::ModelSpec;
use super::loader::Loader;
use crate::auth::KeyRing;
use crate::deployment::{EndpointSettings, Entry, Routing, RoutingTable, State};
use crate::engine::{Engine, LoadError};
use crate::memory;
use crate::name::Name;
use crate::schedule::{Cores, Limits, Watchdog, Wishes};
use crate::telemetry::Metrics;

/// What applies to the deployments of one endpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    pub providers: Vec<String>,
    pub wishes: Wishes,
    pub queue: Limits,
    pub cores: Arc<Cores>,
    pub endpoint: EndpointSettings,
}

/// Brings what is served in line with what was asked for.
pub struct Controller {
    engine: Arc<dyn Engine>,
    metrics: Arc<Metrics>,
    watchdog: Arc<Watchdog>,
    routing: Arc<Routing>,
    default_endpoint: Option<Name>,
    entries: BTreeMap<Name, Entry>,
}

impl Controller {
    pub fn new(
        engine: Arc<dyn Engine>,
        metrics: Arc<Metrics>,
        watchdog: Arc<Watchdog>,
        routing: Arc<Routing>,
        default_endpoint: Option<Name>,
    ) -> Self {
        Controller { engine, metrics, watchdog, routing, default_endpoint, entries: BTreeMap::new() }
    }

    /// Publishes that these models are being loaded, so that probes and clients are told so meanwhile.
    pub fn announce<'a>(&mut self, specs: impl IntoIterator<Item = &'a ModelSpec>) {
        for spec in specs {
            self.metrics.not_ready(spec.name.as_str(), "default");
            self.entries.insert(spec.name.clone(), Entry { state: State::Loading, endpoint: None });
        }
        self.publish();
    }

    /// Loads one model and publishes the outcome. A model that cannot be loaded does not disturb the others.
    ///
    /// What is served already under the name answers until then; and afterwards, too, if the model cannot be loaded, which is
    /// told in words for the operator.
    ///
    /// Blocks for as long as loading takes.
    pub fn load(&mut self, spec: &ModelSpec, settings: Settings, keys: Option<KeyRing>) -> Result<(), String> {
        let started = Instant::now();
        let loader = Loader {
            engine: Arc::clone(&self.engine),
            settings,
            metrics: Arc::clone(&self.metrics),
            watchdog: Arc::clone(&self.watchdog),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| loader.load(spec, keys))).unwrap_or_else(|_| {
            let reason = "the engine panicked while loading".to_owned();
            Err(LoadError::Failed { engine: self.engine.info().name, reason })
        });
        let took_ms = started.elapsed().as_millis() as u64;
        let outcome = match outcome {
            Ok(endpoint) => {
                let deployment = &endpoint.deployments[0];
                tracing::info!(
                    endpoint = %spec.name,
                    engine = deployment.engine.name,
                    providers = deployment.model.providers_got.join(","),
                    execution = deployment.plan.execution.name(),
                    workers = deployment.plan.workers,
                    intra_op_threads = deployment.plan.intra_op_threads,
                    max_batch = deployment.plan.max_batch,
                    took_ms,
                    "model loaded"
                );
                for (provider, reason) in &deployment.model.providers_missing {
                    tracing::warn!(endpoint = %spec.name, provider, reason, "execution provider could not be used");
                }
                self.entries
                    .insert(spec.name.clone(), Entry { state: State::Ready, endpoint: Some(Arc::new(endpoint)) });
                Ok(())
            }
            Err(error) => {
                tracing::error!(endpoint = %spec.name, model = %spec.path.display(), %error, took_ms, "model not loaded");
                let reason = error.to_string();
                if self.entries.get(&spec.name).is_none_or(|entry| entry.endpoint.is_none()) {
                    let state = State::Failed { reason: reason.clone() };
                    self.entries.insert(spec.name.clone(), Entry { state, endpoint: None });
                }
                Err(reason)
            }
        };
        self.publish();
        // The file was in memory as a whole, and again as what engines make of it on the way.
        memory::give_back();
        outcome
    }

    /// Serves a model no longer; false if it was not served. Requests in progress finish.
    pub fn unload(&mut self, name: &Name) -> bool {
        let was_there = self.entries.remove(name).is_some();
        if was_there {
            self.metrics.not_ready(name.as_str(), "default");
            tracing::info!(endpoint = %name, "model unloaded");
            self.publish();
            memory::give_back();
        }
        was_there
    }

    fn publish(&self) {
        let default = self.default_endpoint.clone().or_else(|| {
            let named_default = Name::parse("default").ok()?;
            self.entries.contains_key(&named_default).then_some(named_default)
        });
        self.routing.publish(RoutingTable::new(self.entries.clone(), default));
    }
}
