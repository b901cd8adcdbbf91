//! One model version, loaded and warm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::EngineInfo;
use crate::name::Name;
use crate::schedule::{Completed, Plan, Priority, ScheduleError, Scheduler};
use crate::telemetry::DeploymentMetrics;
use crate::tensor::Tensor;

/// A model that can answer.
#[derive(Debug)]
pub struct Deployment {
    pub name: Name,
    pub model: ModelInfo,
    pub engine: EngineInfo,
    pub plan: Plan,
    pub scheduler: Scheduler,
    pub metrics: Arc<DeploymentMetrics>,
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

/// Which model a deployment runs, for the operator's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    pub path: PathBuf,
    /// The version, where the folder states one; 1 otherwise.
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
}
