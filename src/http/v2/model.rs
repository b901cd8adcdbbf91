//! What can be read of a model: its metadata, configuration, statistics, and whether it is ready.

use std::sync::Arc;

use hyper::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::caller::Caller;
use super::route::{About, Model};
use super::server::ready_status;
use super::{json, unknown_model};
use crate::codec::open_inference::{ModelConfig, ModelFacts, ModelMetadata, ModelStatistics, StatisticsReply};
use crate::deployment::{Deployment, Endpoint};
use crate::error::ErrorKind;
use crate::http::error::ApiError;
use crate::http::score::find_endpoint;
use crate::http::{Body, Scoring};

impl Model {
    /// Words a request that found no model, or not this version of it, as clients expect it.
    pub fn not_admitted(&self, error: ApiError) -> ApiError {
        match self.version {
            Some(version) if error.code == "unknown_model_version" => self.no_version(version),
            _ => unknown_model(error, &self.name),
        }
    }

    /// The deployment of the version that the path asks for, or the newest.
    fn deployment<'e>(&self, endpoint: &'e Endpoint) -> Result<&'e Arc<Deployment>, ApiError> {
        let of_version =
            |deployment: &&Arc<Deployment>| self.version.is_none_or(|version| version == deployment.model.version);
        let newest = endpoint.deployments.iter().filter(of_version).max_by_key(|deployment| deployment.model.version);
        newest.ok_or_else(|| self.unknown_version(endpoint))
    }

    fn unknown_version(&self, endpoint: &Endpoint) -> ApiError {
        let served: Vec<_> = versions(endpoint).map(|version| version.to_string()).collect();
        self.no_version(self.version.unwrap_or(0)).with_expected(served.join(", "))
    }

    fn no_version(&self, version: u64) -> ApiError {
        let message = format!("Request for unknown model: '{}' has no version {version} here", self.name);
        ApiError::new(ErrorKind::NotFound, "unknown_model_version", message)
    }
}

fn versions(endpoint: &Endpoint) -> impl Iterator<Item = u64> {
    endpoint.deployments.iter().map(|deployment| deployment.model.version)
}

/// What is told of a model.
#[derive(Debug)]
pub enum Told {
    Ready(bool),
    Metadata(ModelMetadata),
    Config(ModelConfig),
    Statistics(StatisticsReply),
}

/// Answers all about a model but inference.
pub fn read(server: &Scoring, model: &Model, about: About, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    Ok(match tell(server, model, about, headers)? {
        Told::Ready(is_ready) => json(ready_status(is_ready), &json!({ "name": model.name, "ready": is_ready })),
        Told::Metadata(metadata) => json(StatusCode::OK, &metadata),
        Told::Config(config) => json(StatusCode::OK, &config),
        Told::Statistics(statistics) => json(StatusCode::OK, &statistics),
    })
}

/// All about a model but inference, for one who may see it.
pub fn tell(server: &Scoring, model: &Model, about: About, headers: &HeaderMap) -> Result<Told, ApiError> {
    let table = server.routing.table();
    let endpoint = match (find_endpoint(&table, Some(&model.name)), about) {
        (Ok(endpoint), _) => endpoint,
        (Err(error), About::Ready) if error.kind == ErrorKind::Unavailable => return Ok(Told::Ready(false)),
        (Err(error), _) => return Err(unknown_model(error, &model.name)),
    };
    // Which models there are and whether they are ready is told to everybody, as by `/readyz`.
    if about != About::Ready {
        Caller::of(headers, &server.admin_access)?.check_sees(&endpoint, &table)?;
    }
    let deployment = model.deployment(&endpoint)?;
    Ok(match about {
        About::Ready => Told::Ready(!server.lifecycle.is_draining()),
        About::Metadata => {
            let versions = model.version.map_or_else(|| versions(&endpoint).collect(), |version| vec![version]);
            let engine = deployment.engine.name;
            Told::Metadata(ModelMetadata::new(&model.name, versions, engine, &endpoint.signature))
        }
        About::Config => Told::Config(config(&model.name, &endpoint, deployment)),
        About::Statistics => {
            let asked = model.version;
            let wanted =
                endpoint.deployments.iter().filter(|deployment| asked.is_none_or(|v| v == deployment.model.version));
            let model_stats = wanted.map(|deployment| statistics(&model.name, &endpoint, deployment)).collect();
            Told::Statistics(StatisticsReply { model_stats })
        }
        About::Infer => return Err(ApiError::internal("inference is not read")),
    })
}

fn config(name: &str, endpoint: &Endpoint, deployment: &Deployment) -> ModelConfig {
    let file_name = deployment.model.path.file_name().unwrap_or_default().to_string_lossy();
    ModelConfig::new(&ModelFacts {
        name,
        version: deployment.model.version,
        signature: &endpoint.signature,
        engine: deployment.engine.name,
        provider: deployment.model.providers_got.first().map_or("cpu", String::as_str),
        file_name: &file_name,
        workers: deployment.plan.workers,
        max_batch: deployment.plan.max_batch,
        max_batch_delay_us: u64::try_from(deployment.plan.max_batch_delay.as_micros()).unwrap_or(u64::MAX),
        max_elements: endpoint.settings.max_elements,
    })
}

fn statistics(name: &str, endpoint: &Endpoint, deployment: &Deployment) -> ModelStatistics {
    ModelStatistics::new(name, deployment.model.version, &endpoint.signature, &deployment.metrics)
}

/// The statistics of all models that the caller may see.
pub fn all_statistics(server: &Scoring, headers: &HeaderMap) -> Result<StatisticsReply, ApiError> {
    let caller = Caller::of(headers, &server.admin_access)?;
    let table = server.routing.table();
    let endpoints = table.entries().filter_map(|(_, entry)| entry.endpoint.as_deref());
    let seen = endpoints.filter(|endpoint| caller.may_see(endpoint));
    let model_stats = seen.flat_map(|endpoint| {
        let name = endpoint.name.as_str();
        endpoint.deployments.iter().map(move |deployment| statistics(name, endpoint, deployment))
    });
    Ok(StatisticsReply { model_stats: model_stats.collect() })
}
