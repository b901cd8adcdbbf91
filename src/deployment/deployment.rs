//! One model version, loaded and warm.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RowJoining;
use crate::engine::EngineInfo;
use crate::name::Name;
use crate::registry::CachedModel;
use crate::schedule::{Completed, Plan, Priority, ScheduleError, Scheduler};
use crate::telemetry::DeploymentMetrics;
use crate::tensor::{Signature, Tensor};

/// A model that can answer. Clones share everything that counts: sessions, queue, metrics, lifeline.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub name: Name,
    pub model: ModelInfo,
    pub engine: EngineInfo,
    /// What the model takes and gives: the endpoint's contract, but for the names of sizes.
    pub signature: Arc<Signature>,
    /// Of outputs that are scores of classes.
    pub labels: Labels,
    /// A body that is valid for the model and that it runs on, if one is short enough to be shown.
    pub example: Option<String>,
    pub plan: Plan,
    /// Whether its requests share runs.
    pub row_joining: RowJoining,
    /// Shared with whoever takes the deployment down, so that the sessions are let go by them and not by a request.
    pub scheduler: Arc<Scheduler>,
    pub metrics: Arc<DeploymentMetrics>,
    /// The longest deadline of a request.
    pub scoring_timeout: Duration,
    /// Keeps the model's files in the cache, if it came from a registry.
    pub cached: Option<Arc<CachedModel>>,
    /// Told when nobody uses any of the clones any more.
    pub lifeline: Arc<Lifeline>,
}

impl Deployment {
    /// Runs the model on inputs that have been checked against the endpoint's signature, by `deadline`.
    ///
    /// Cancel-safe: when the future is dropped, a request that still waits is not run.
    pub async fn run(
        &self,
        inputs: Vec<Tensor>,
        deadline: Instant,
        priority: Priority,
    ) -> Result<Completed, ScheduleError> {
        self.scheduler.run(inputs, deadline, priority).await
    }

    /// The same for a request that does not want to wait for its run longer than `max_wait`.
    pub async fn run_soon(
        &self,
        inputs: Vec<Tensor>,
        deadline: Instant,
        priority: Priority,
        max_wait: Option<Duration>,
    ) -> Result<Completed, ScheduleError> {
        self.scheduler.run_soon(inputs, deadline, priority, max_wait).await
    }

    /// Whether a request would be let in to wait now.
    pub fn admit(&self, priority: Priority) -> Result<(), ScheduleError> {
        self.scheduler.admit(priority)
    }
}

/// Calls somebody when the last that hold it are gone. Must not wait, since whoever answers the last request drops it.
pub struct Lifeline(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Lifeline {
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Lifeline {
        Lifeline(Some(Box::new(end)))
    }

    /// One that nobody waits for.
    pub fn nobodys() -> Lifeline {
        Lifeline(None)
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lifeline(…)")
    }
}

/// For each output, in the signature's order, the names of its classes, if they are known. Shorter if none of the rest has any.
pub type Labels = Vec<Option<Arc<[String]>>>;

/// Which model a deployment runs, for the operator's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model's name in the registry, if it came from one.
    pub registered: Option<Name>,
    pub path: PathBuf,
    /// The version in the registry, or that the folder states; 1 otherwise.
    pub version: u64,
    /// SHA-256 of the model's file, in hexadecimal.
    pub digest: String,
    pub producer: String,
    /// `(domain, version)`.
    pub opsets: Vec<(String, i64)>,
    /// Execution providers that were asked for, that took the model, and that could not be had (with the reason).
    pub providers_asked: Vec<String>,
    pub providers_got: Vec<String>,
    pub providers_missing: Vec<(String, String)>,
    /// Those that are still to come: they build for long, and the others compute meanwhile.
    pub providers_pending: Vec<String>,
}
