//! The admin port's service: probes, metrics, and what is being served by what.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde_json::{Value as Json, json};

use super::Body;
use super::error::ApiError;
use super::health::{self, Lifecycle, Readiness};
use super::host::{self, AllowedHosts};
use super::router::{AdminRoute, admin_route};
use super::score::bearer;
use crate::auth::{KeyDigest, KeyRing};
use crate::deployment::{Deployment, Entry, Execution, Routing, State};
use crate::error::ErrorKind;
use crate::name::Name;
use crate::telemetry::Metrics;

/// What answers operators.
#[derive(Debug)]
pub struct Admin {
    pub routing: Arc<Routing>,
    pub lifecycle: Arc<Lifecycle>,
    pub metrics: Arc<Metrics>,
    /// `None` when the server runs without keys.
    pub keys: Option<KeyRing>,
    pub strict_readiness: bool,
    pub hosts: AllowedHosts,
}

impl Admin {
    /// Answers one request. Nothing here waits: request bodies are not read.
    pub async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let mut response = self.answer(&parts).unwrap_or_else(ApiError::into_response);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn answer(&self, request: &Parts) -> Result<Response<Body>, ApiError> {
        host::check_single(request)?;
        let route = admin_route(&request.method, request.uri.path());
        // Probes tell nobody anything, and come under whatever name a balancer has for us.
        if !matches!(route, AdminRoute::Probe(_)) {
            self.hosts.check(request)?;
        }
        match route {
            AdminRoute::Probe(probe) => {
                let readiness = if self.strict_readiness { Readiness::Strict } else { Readiness::Lenient };
                Ok(health::answer(probe, &self.routing.table(), &self.lifecycle, readiness))
            }
            AdminRoute::Metrics => {
                let text = self.metrics.render().map_err(|error| {
                    tracing::error!(%error, "metrics could not be written");
                    ApiError::internal("metrics could not be written")
                })?;
                Ok(health::text(text, Metrics::MEDIA_TYPE))
            }
            AdminRoute::Services => {
                self.authenticate(request)?;
                let table = self.routing.table();
                let services: Vec<_> = table.entries().map(|(name, entry)| describe(name, entry)).collect();
                Ok(health::text(json!({ "services": services }).to_string(), "application/json"))
            }
            AdminRoute::Service { endpoint } => {
                self.authenticate(request)?;
                let table = self.routing.table();
                let (name, entry) = table.entries().find(|(name, _)| name.as_str() == endpoint).ok_or_else(|| {
                    ApiError::new(ErrorKind::NotFound, "unknown_endpoint", "there is no endpoint of this name")
                })?;
                Ok(health::text(describe(name, entry).to_string(), "application/json"))
            }
            AdminRoute::WrongMethod { allow } => Err(ApiError::wrong_method(allow)),
            AdminRoute::Unknown => Err(ApiError::new(
                ErrorKind::NotFound,
                "unknown_route",
                "the admin port serves /metrics, /livez, /readyz, /healthz and /api/v1/service",
            )),
        }
    }

    fn authenticate(&self, request: &Parts) -> Result<(), ApiError> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let digest = KeyDigest::of(bearer(&request.headers)?);
        if keys.find(&digest).is_some() {
            Ok(())
        } else if self.routing.table().knows_key(&digest) {
            Err(ApiError::new(
                ErrorKind::Forbidden,
                "admin_key_required",
                "this key is for scoring, not for administration",
            ))
        } else {
            Err(ApiError::new(ErrorKind::Unauthenticated, "unknown_key", "the key is not known here"))
        }
    }
}

fn describe(name: &Name, entry: &Entry) -> Json {
    let mut service = json!({ "name": name.as_str(), "state": entry.state.name() });
    if let State::Failed { reason } = &entry.state {
        service["reason"] = json!(reason);
    }
    if let Some(endpoint) = &entry.endpoint {
        let inputs =
            endpoint.signature.inputs.iter().map(|input| json!({ "name": input.name, "type": input.to_string() }));
        let outputs = endpoint
            .signature
            .outputs
            .iter()
            .map(|output| json!({ "name": output.name, "type": output.value.to_string() }));
        service["scoring_path"] = json!(format!("/api/v1/service/{name}/score"));
        service["inputs"] = inputs.collect();
        service["outputs"] = outputs.collect();
        service["deployments"] =
            endpoint.deployments.iter().map(|deployment| describe_deployment(deployment)).collect();
    }
    service
}

fn describe_deployment(deployment: &Deployment) -> Json {
    let model = &deployment.model;
    let missing: serde_json::Map<_, _> =
        model.providers_missing.iter().map(|(provider, reason)| (provider.clone(), json!(reason))).collect();
    let opsets: serde_json::Map<_, _> =
        model.opsets.iter().map(|(domain, version)| (domain.clone(), json!(version))).collect();
    json!({
        "name": deployment.name.as_str(),
        "model": {
            "path": model.path, "version": model.version, "sha256": model.digest, "producer": model.producer, "opsets": opsets,
        },
        "engine": {
            "name": deployment.engine.name, "version": deployment.engine.version, "library": deployment.engine.library_path,
        },
        "providers": { "asked": model.providers_asked, "got": model.providers_got, "missing": missing },
        "workers": deployment.plan.workers,
        "intra_op_threads": deployment.plan.intra_op_threads,
        "execution": match deployment.plan.execution {
            Execution::Inline { .. } => "inline",
            Execution::Pooled => "pooled",
        },
    })
}
