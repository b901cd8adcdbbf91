//! What `scoria profile` is about: a model's file, or a version of the registry, which keeps the report.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::probe::try_out;
use super::{Failure, registry};
use crate::app::state_dir;
use crate::config::Config;
use crate::control::{ModelSpec, Obtained, Shelf, resolve_models};
use crate::engine::EngineInfo;
use crate::error::ErrorKind;
use crate::registry::{Cache, ModelRef, ModelSelector, Presence, Registry};

/// What the argument means.
pub enum Asked {
    File(Box<ModelSpec>),
    Version(Published),
}

/// A version of the registry.
pub struct Published {
    pub model: ModelRef,
    registry: Registry,
    runtime: Runtime,
}

impl Asked {
    /// A path if there is one, or it looks like one; else a model of the registry.
    pub fn of(argument: &str, config: &Config) -> Result<Asked, Failure> {
        match selector(argument) {
            Some(selector) => Published::find(&selector, config).map(Asked::Version),
            None => file(argument).map(|spec| Asked::File(Box::new(spec))),
        }
    }

    /// Has the model on this machine, fit to be loaded.
    pub fn obtain(&self, config: &Config, engine: &EngineInfo) -> Result<Obtained, Failure> {
        match self {
            Asked::File(spec) => Ok(Obtained { spec: (**spec).clone(), sample: None, cached: None }),
            Asked::Version(version) => version.obtain(config, engine),
        }
    }
}

impl Published {
    fn find(selector: &ModelSelector, config: &Config) -> Result<Published, Failure> {
        let registry = registry::open(config, Presence::Expect)?;
        // Of a thread of its own: a shelf waits for the registry through a handle, which drives nothing.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
        let found = runtime.block_on(registry.models().select(selector)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::NotFound(format!(
                "{error}, and there is no file or folder '{selector}'; `scoria models list` has what is registered"
            )),
            _ => error.into(),
        })?;
        Ok(Published { model: found.manifest.model_ref(), registry, runtime })
    }

    /// Has its files on this machine, tried out in a process of their own as a server would.
    fn obtain(&self, config: &Config, engine: &EngineInfo) -> Result<Obtained, Failure> {
        let failed = |error: String| Failure::Failed(error);
        let state = state_dir(config).map_err(|error| failed(error.to_string()))?;
        let program =
            std::env::current_exe().map_err(|error| failed(format!("this program cannot be found: {error}")))?;
        let (settings, name, open) = (config.clone(), engine.name, self.registry.clone());
        let trial = move |model: &Path, sample: Option<&Path>| try_out(&program, &settings, name, model, sample);
        let shelf = Shelf {
            open: Arc::new(move || Ok(open.clone())),
            url: registry::url(config)?,
            cache: Cache::open(&state.join("cache"), config.cache_max_bytes)?,
            runtime: self.runtime.handle().clone(),
            trial: Some(Arc::new(trial)),
            engine: engine.clone(),
        };
        shelf.obtain(&self.model).map_err(|error| failed(error.to_string()))
    }

    /// Keeps a report with the version. Gives its number among the version's reports.
    pub fn keep(&self, report: &serde_json::Value) -> Result<u64, Failure> {
        let objective = report["objective"].as_str().unwrap_or("the highest rate");
        let change = registry::change(format!("profiled: {objective}"));
        let log = self.registry.models().profile(&self.model);
        let kept = self.runtime.block_on(log.update(&change, |_| Ok(Some(report.clone()))));
        Ok(kept?.map_or(0, |revision| revision.revision))
    }
}

fn selector(argument: &str) -> Option<ModelSelector> {
    let is_path = argument.contains(['/', '=']) || argument.ends_with(".onnx") || Path::new(argument).exists();
    argument.parse::<ModelSelector>().ok().filter(|_| !is_path)
}

fn file(argument: &str) -> Result<ModelSpec, Failure> {
    let mut models = resolve_models(&[argument.to_owned()]).map_err(super::doctor::refuse)?;
    match (models.pop(), models.len()) {
        (Some(spec), 0) => Ok(spec),
        (_, others) => Err(Failure::Usage(format!("{argument} holds {} models; name one of them", others + 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_models_unless_it_is_a_path() {
        let is_models = |argument: &str| selector(argument).is_some();
        assert!(["ridge", "ridge:3", "ridge:latest", "no.such.thing"].into_iter().all(is_models));
        for path in ["./ridge", "a/b", "mine=ridge", "ridge.onnx", "Ridge", "ridge:x", "src", "Cargo.toml"] {
            assert!(!is_models(path), "{path}");
        }
    }
}
