//! Models of the registry on this machine: fetched, verified, and tried out before they may be loaded here.
//!
//! A version is first loaded by a child process, once for each of its digests and each version of the runtime, so that one which
//! kills the runtime kills only the probe. The verdict is remembered beside the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::controller::NotLoaded;
use super::{Description, ModelSpec, Obtained};
use crate::engine::EngineInfo;
use crate::error::ErrorKind;
use crate::probe::{Cause, ProbeReport};
use crate::registry::{Cache, CachedModel, ModelRef, Registry, RegistryError, RegistryUrl};

/// Tries a model out in a process of its own, with the sample at a path if there is one. Blocks.
pub type Trial = dyn Fn(&Path, Option<&Path>) -> ProbeReport + Send + Sync;

/// Opens the registry. Asked anew until it succeeds, since a folder may be away when a server starts.
pub type Open = dyn Fn() -> Result<Registry, RegistryError> + Send + Sync;

/// Where a server has its models from.
#[derive(Clone)]
pub struct Shelf {
    pub open: Arc<Open>,
    pub url: RegistryUrl,
    pub cache: Cache,
    /// The runtime that asks the registry.
    pub runtime: Handle,
    /// `None`: models are loaded without being tried out, as where there is no program to do so.
    pub trial: Option<Arc<Trial>>,
    pub engine: EngineInfo,
}

/// What a trial has shown.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    /// Why the model is not to be loaded; `None` if it is sound.
    refused: Option<String>,
}

impl Shelf {
    /// Has a version on this machine, and fit to be loaded. Blocks.
    pub fn obtain(&self, model: &ModelRef) -> Result<Obtained, NotLoaded> {
        let cached = self.fetch(model).map_err(|error| NotLoaded {
            is_transient: matches!(error.kind(), ErrorKind::Unavailable),
            reason: format!("{model} cannot be had: {error}"),
        })?;
        let sample = sample(&cached);
        self.vet(&cached, sample.as_deref())?;
        let spec = ModelSpec {
            name: model.name.clone(),
            path: cached.path.clone(),
            version: model.version,
            earlier: BTreeMap::new(),
            // What holds for a deployment is its revision's to say.
            description: Description::None,
        };
        Ok(Obtained { spec, sample, cached: Some(Arc::new(cached)) })
    }

    fn fetch(&self, model: &ModelRef) -> Result<CachedModel, RegistryError> {
        match (self.open)() {
            Ok(registry) => self.runtime.block_on(self.cache.load(&registry, &self.url, model, &|_| {})),
            // What has been kept may do without it.
            Err(error) => {
                self.runtime.block_on(self.cache.load_kept(&self.url, model)).transpose().unwrap_or(Err(error))
            }
        }
    }

    fn vet(&self, cached: &CachedModel, sample: Option<&Path>) -> Result<(), NotLoaded> {
        let Some(trial) = &self.trial else { return Ok(()) };
        let digest = &cached.manifest.content.digest;
        let place = format!("verdicts/{}/{}-{}", digest.as_str(), self.engine.name, self.engine.version);
        let remembered = self.cache.kept::<Verdict>(&self.url, &place).ok().flatten();
        let verdict = match remembered {
            Some(verdict) => verdict,
            None => {
                let report = trial(&cached.path, sample);
                let (verdict, is_lasting) = judge(&report);
                if is_lasting && let Err(error) = self.cache.keep(&self.url, &place, &verdict) {
                    tracing::warn!(%error, "what a trial has shown cannot be remembered");
                }
                verdict
            }
        };
        match verdict.refused {
            Some(reason) => Err(NotLoaded { reason, is_transient: false }),
            None => Ok(()),
        }
    }
}

/// The verdict, and whether the same trial would always end so.
fn judge(report: &ProbeReport) -> (Verdict, bool) {
    let Some(failure) = &report.failure else { return (Verdict { refused: None }, true) };
    // Its rows were only being looked at; it has loaded and run.
    if failure.cause == Cause::Timeout && report.runs {
        return (Verdict { refused: None }, true);
    }
    let is_lasting = match failure.cause {
        Cause::Refused => report.version.is_some(),
        // SIGKILL comes from outside, as when the machine has no memory left.
        Cause::Signal(signal) => signal != 9,
        Cause::Exit(_) | Cause::Timeout | Cause::NotStarted => false,
    };
    (Verdict { refused: Some(format!("it was tried out first: {}", failure.reason)) }, is_lasting)
}

/// The sample that was registered with a version.
fn sample(cached: &CachedModel) -> Option<PathBuf> {
    let content = &cached.manifest.content;
    let mut folder = cached.path.as_path();
    for _ in content.model.as_str().split('/') {
        folder = folder.parent()?;
    }
    content.sample_input.as_ref().map(|sample| sample.path.in_folder(folder))
}
