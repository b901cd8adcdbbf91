//! Tries a candidate out on this replica before it gets traffic: its golden requests, and its sample again and again.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::answers::{Divergence, diverge};
use crate::codec::{self, Format, Policy, Receiver, Request};
use crate::deployment::{Deployment, Endpoint, Priority};
use crate::experiment::Sketch;
use crate::registry::{Guard, ModelVersion, Registry, RegistryError, StoredFile};
use crate::rollout::{Golden, Trial};

/// Runs of the sample, and the time for all of them.
const RUNS: usize = 300;
const RUNS_TIME: Duration = Duration::from_secs(10);

const REQUEST: &str = ".request.json";
const RESPONSE: &str = ".response.json";

/// A deployment that is to be tried, and what with.
pub struct Subject<'a> {
    pub registry: &'a Registry,
    pub endpoint: &'a Endpoint,
    pub deployment: &'a Deployment,
    pub guard: &'a Guard,
    /// The candidate's version.
    pub version: &'a ModelVersion,
    /// The baseline's, whose golden requests are taken if the candidate has none of its own.
    pub baseline: Option<&'a ModelVersion>,
}

impl Subject<'_> {
    /// Tries everything. What the candidate does wrong is part of the result; an error is the registry's.
    pub async fn try_out(&self) -> Result<Trial, RegistryError> {
        let golden = self.replay().await?;
        let latency_ns = match &self.version.manifest.content.sample_input {
            Some(sample) => self.time(&self.registry.read_file(sample).await?).await,
            None => Sketch::default(),
        };
        Ok(Trial { golden, latency_ns })
    }

    async fn replay(&self) -> Result<Golden, RegistryError> {
        let own = &self.version.manifest.content.golden;
        let theirs = self.baseline.map(|version| &version.manifest.content.golden);
        let files = if own.is_empty() { theirs.unwrap_or(own) } else { own };
        let mut golden = Golden::default();
        for file in files {
            let Some(case) = file.path.as_str().rsplit('/').next().and_then(|name| name.strip_suffix(REQUEST)) else {
                continue;
            };
            let Some(expected) = files.iter().find(|file| is_response(file, case)) else { continue };
            let request = self.registry.read_file(file).await?;
            let expected = self.registry.read_file(expected).await?;
            let divergence = match (self.answer(&request).await, serde_json::from_slice::<Json>(&expected)) {
                (Ok(got), Ok(expected)) => diverge(&expected, &got),
                _ => Divergence::Form,
            };
            golden.replayed += 1;
            if !divergence.is_within(self.guard.answer_tolerance) {
                golden.changed += 1;
                if golden.cases.len() < Golden::CASES_MAX {
                    golden.cases.push(case.to_owned());
                }
            }
            if let Divergence::Numbers(difference) = divergence {
                golden.largest =
                    Some(golden.largest.unwrap_or_default().max(difference)).filter(|largest| *largest > 0.0);
            }
        }
        Ok(golden)
    }

    /// What the candidate answers to a JSON body.
    async fn answer(&self, body: &[u8]) -> Result<Json, String> {
        let policy = policy(self.endpoint);
        let request = Request {
            signature: &self.endpoint.signature,
            policy,
            announced_bytes: Some(body.len()),
            max_bytes: body.len(),
            raw_shape: None,
        };
        let mut receiver = Receiver::new(Format::Json, request).map_err(|error| error.to_string())?;
        receiver.push(body).map_err(|error| error.to_string())?;
        let decoded = receiver.finish().map_err(|error| error.to_string())?;
        let deadline = Instant::now() + self.deployment.scoring_timeout;
        let completed = self.deployment.run(decoded.inputs, deadline, Priority::Low).await;
        let outputs = completed.map_err(|error| error.to_string())?.outputs;
        let encoded = codec::encode(outputs, &self.endpoint.signature, decoded.reply, &policy);
        let text = encoded.map_err(|error| error.to_string())?.parts.concat();
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }

    /// How long answers to the sample take, body and all, one after the other.
    async fn time(&self, sample: &[u8]) -> Sketch {
        let mut latency_ns = Sketch::default();
        let end = Instant::now() + RUNS_TIME;
        for _ in 0..RUNS {
            let begun = Instant::now();
            if begun >= end || self.answer(sample).await.is_err() {
                break;
            }
            latency_ns.record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        latency_ns
    }
}

fn is_response(file: &StoredFile, case: &str) -> bool {
    let name = file.path.as_str().rsplit('/').next().unwrap_or_default();
    name.strip_suffix(RESPONSE) == Some(case)
}

fn policy(endpoint: &Endpoint) -> Policy {
    Policy {
        null_input: endpoint.settings.null_input,
        extra_columns: endpoint.settings.extra_columns,
        non_finite_output: endpoint.settings.non_finite_output,
        max_elements: endpoint.settings.max_elements,
        max_rank: endpoint.settings.max_rank,
        max_json_depth: endpoint.settings.max_json_depth,
    }
}
