//! What a server serves: files that its operator named, or whatever a registry says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::{StartError, settings, state_dir};
use crate::auth::{KeyDigest, KeyRing};
use crate::config::{Auth, Config};
use crate::control::operations::Desk;
use crate::control::{
    Known, ModelSpec, NotLoaded, Obtain, Obtained, Orders, Replica, Shelf, Source, Trial, Wanted, WantedDeployment,
};
use crate::engine::EngineInfo;
use crate::follow::ProfileCommand;
use crate::name::Name;
use crate::registry::{Access, Cache, DeploymentSpec, Guard, ModelRef, Recommended, Registry, RegistryUrl};
use crate::schedule::Cores;

/// What is to be served.
#[derive(Clone)]
pub enum Offer {
    Files(Vec<ModelSpec>),
    Registry(RegistryOffer),
}

/// A registry to be served.
#[derive(Clone)]
pub struct RegistryOffer {
    pub url: RegistryUrl,
    pub access: Access,
    /// How models are tried out before they are loaded; `None` where there is no program to do so.
    pub trial: Option<Arc<Trial>>,
    /// How versions are profiled before their rollouts begin; `None` likewise.
    pub profile: Option<Arc<ProfileCommand>>,
}

impl From<Vec<ModelSpec>> for Offer {
    fn from(models: Vec<ModelSpec>) -> Offer {
        Offer::Files(models)
    }
}

impl Offer {
    /// The files, if it is files.
    pub fn files(&self) -> &[ModelSpec] {
        match self {
            Offer::Files(models) => models,
            Offer::Registry(_) => &[],
        }
    }
}

/// A registry that is about to be served.
pub(super) struct Opened {
    shelf: Shelf,
    profile: Option<Arc<ProfileCommand>>,
    poll_interval: Duration,
}

impl RegistryOffer {
    /// Opens the cache, and the registry if it is there. One that is away is an error only if nothing is known of it.
    pub(super) fn open(
        &self,
        config: &Config,
        engine: EngineInfo,
        runtime: tokio::runtime::Handle,
    ) -> Result<Opened, StartError> {
        let cache = Cache::open(&state_dir(config)?.join("cache"), config.cache_max_bytes)?;
        let (url, access) = (self.url.clone(), self.access.clone());
        let open = Arc::new(move || Registry::open(&url, &access));
        if let Err(error) = open() {
            if !Replica::knows(&cache, &self.url) {
                return Err(error.into());
            }
            tracing::warn!(registry = %self.url, %error, "the registry cannot be opened; it is tried again while serving");
        }
        let shelf = Shelf { open, url: self.url.clone(), cache, runtime, trial: self.trial.clone(), engine };
        let profile = self.profile.clone();
        Ok(Opened { shelf, profile, poll_interval: Duration::from_millis(config.registry_poll_interval_ms) })
    }
}

impl Opened {
    /// How its models are had.
    pub fn obtain(&self) -> Arc<Obtain> {
        let shelf = self.shelf.clone();
        Arc::new(move |model| shelf.obtain(model))
    }

    /// How its versions are profiled.
    pub fn profile(&self) -> Option<Arc<ProfileCommand>> {
        self.profile.clone()
    }

    /// Where operations on its endpoints are carried out.
    pub fn desk(&self, config: &Config) -> Desk {
        Desk::new(Arc::clone(&self.shelf.open), config.clone())
    }

    /// The watch over it, for a server with these settings.
    pub fn replica(&self, config: &Config, cores: &Arc<Cores>, orders: Orders) -> Replica {
        let (config, cores) = (config.clone(), Arc::clone(cores));
        Replica {
            open: Arc::clone(&self.shelf.open),
            url: self.shelf.url.clone(),
            cache: self.shelf.cache.clone(),
            orders,
            interpret: Box::new(move |name, known| interpret(name, known, &config, &cores)),
            poll_interval: self.poll_interval,
        }
    }
}

/// What a server without a registry has of its models.
pub(super) fn no_registry(model: &ModelRef) -> Result<Obtained, NotLoaded> {
    Err(NotLoaded { reason: format!("there is no registry to have {model} from"), is_transient: false })
}

/// What this server is to make of a revision. What cannot be made sense of is told by the state of the deployments.
fn interpret(name: &Name, known: &Known, config: &Config, cores: &Arc<Cores>) -> Wanted {
    let spec = &known.spec;
    let own = config.of_endpoint(name);
    let invalid = spec.check().err().map(|error| error.to_string());
    let deployment = |deployment: &DeploymentSpec| {
        let resolved = own.with_overrides(&[profile(deployment, cores), &spec.settings, &deployment.settings]);
        let reason = invalid.clone().or(resolved.as_ref().err().map(ToString::to_string));
        WantedDeployment {
            settings: settings(resolved.as_ref().unwrap_or(own), cores),
            source: reason.map_or_else(
                || Source::Published(deployment.model.clone()),
                |reason| Source::Unusable { reason: format!("revision {}: {reason}", known.revision) },
            ),
        }
    };
    let deployments: BTreeMap<_, _> =
        spec.deployments.iter().map(|(name, spec)| (name.clone(), deployment(spec))).collect();
    let shared = own.with_overrides(&[&spec.settings]);
    Wanted {
        name: name.clone(),
        revision: Some(known.revision),
        keys: (config.auth == Auth::Key).then(|| key_ring(known)),
        settings: settings(shared.as_ref().unwrap_or(own), cores).endpoint,
        deployments,
        traffic: spec.traffic.clone(),
        default: spec.default.clone(),
        mirror: spec.mirror.clone(),
        answer_tolerance: spec
            .follow
            .as_ref()
            .map_or(Guard::default().answer_tolerance, |follow| follow.guard.answer_tolerance),
        sticky: spec.sticky.clone(),
    }
}

/// What of a deployment's profile holds here. One that was made where there are more cores would have them wait for each other.
fn profile<'a>(deployment: &'a DeploymentSpec, cores: &Cores) -> &'a Recommended {
    static NONE: Recommended = Recommended::new();
    let asked = |key| deployment.profile.get(key).and_then(Json::as_u64).unwrap_or(1).max(1);
    let needed = asked("workers").saturating_mul(asked("intra_op_threads"));
    if needed <= cores.total() as u64 {
        return &deployment.profile;
    }
    tracing::warn!(
        model = %deployment.model, needed, cores = cores.total(),
        "its profile is of a larger machine, and is left out; it is measured anew"
    );
    &NONE
}

/// The endpoint's keys. One whose keys are not known, or cannot be read, is open to nobody.
fn key_ring(known: &Known) -> KeyRing {
    let digest = |hex: &str| KeyDigest::from_hex(hex).unwrap_or_else(KeyDigest::of_nobody);
    match &known.keys {
        Some(keys) => {
            KeyRing { primary: digest(keys.primary.sha256.as_str()), secondary: digest(keys.secondary.sha256.as_str()) }
        }
        None => KeyRing::of_nobody(),
    }
}
