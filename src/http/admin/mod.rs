//! The admin port's service: probes, metrics, what is being served by what, and operations on endpoints and models.

mod endpoints;
mod models;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde::Serialize;

use self::endpoints::Asked;
use super::Body;
use super::error::ApiError;
use super::framing;
use super::health::{self, Lifecycle, Readiness};
use super::host::{self, AllowedHosts};
use super::router::{AdminRoute, admin_route};
use super::score::{bearer, unknown_endpoint};
use super::service_status::{ServiceList, ServiceStatus};
use super::triton_metrics;
use crate::auth::{KeyDigest, KeyRing};
use crate::control::operations::Desk;
use crate::deployment::Routing;
use crate::error::ErrorKind;
use crate::telemetry::{Gpu, GpuNames, Gpus, Metrics, render_gpus};

/// What answers operators.
#[derive(Debug)]
pub struct Admin {
    pub routing: Arc<Routing>,
    pub lifecycle: Arc<Lifecycle>,
    pub metrics: Arc<Metrics>,
    /// `None` when the server runs without keys.
    pub keys: Option<KeyRing>,
    pub strict_readiness: bool,
    /// Whether `/metrics` has Triton's names too.
    pub triton_metrics: bool,
    /// Those of this machine, read whenever somebody asks for metrics.
    pub gpus: Gpus,
    pub hosts: AllowedHosts,
    /// Operations on the registry that is served; `None` where it is files.
    pub desk: Option<Desk>,
}

impl Admin {
    /// Answers one request. Only operations on endpoints read its body, and wait for the registry.
    pub async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut response = self.answer(&parts, body).await.unwrap_or_else(ApiError::into_response);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn answer(&self, request: &Parts, body: Incoming) -> Result<Response<Body>, ApiError> {
        host::check_single(request)?;
        framing::check(&request.headers)?;
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
                let text = self.render_metrics(&self.gpus.read().await).map_err(|error| {
                    tracing::error!(%error, "metrics could not be written");
                    ApiError::internal("metrics could not be written")
                })?;
                Ok(health::text(text, Metrics::MEDIA_TYPE))
            }
            AdminRoute::Endpoints(route) => {
                let by = self.authenticate(request)?;
                self.operate(Asked { route: &route, parts: request, body, by }).await
            }
            AdminRoute::Models(route) => {
                let by = self.authenticate(request)?;
                self.models(&route, request, body, by).await
            }
            AdminRoute::Services => {
                self.authenticate(request)?;
                Ok(json(&ServiceList::of(&self.routing.table())))
            }
            AdminRoute::Service { endpoint } => {
                self.authenticate(request)?;
                let table = self.routing.table();
                let (name, entry) = table.find_named(&endpoint).ok_or_else(|| unknown_endpoint(&table, &endpoint))?;
                Ok(json(&ServiceStatus::of(name, entry)))
            }
            AdminRoute::WrongMethod { allow } => Err(ApiError::wrong_method(allow)),
            AdminRoute::Unknown => Err(ApiError::new(
                ErrorKind::NotFound,
                "unknown_route",
                "the admin port serves /metrics, /livez, /readyz, /healthz, /api/v1/service, /api/v1/endpoints and /api/v1/models",
            )),
        }
    }

    fn render_metrics(&self, gpus: &[Gpu]) -> prometheus::Result<Vec<u8>> {
        let mut text = self.metrics.render()?;
        text.extend(render_gpus(gpus, GpuNames::Own)?);
        if self.triton_metrics {
            text.extend(triton_metrics::render(&self.routing.table(), &self.metrics)?);
            text.extend(render_gpus(gpus, GpuNames::Triton)?);
        }
        Ok(text)
    }

    /// Where operations on the registry are carried out, if one is served.
    fn desk(&self) -> Result<&Desk, ApiError> {
        self.desk.as_ref().ok_or_else(|| {
            let message = "this server serves files, and no registry; `scoria serve --registry URL` serves one";
            ApiError::new(ErrorKind::NotFound, "no_registry", message)
        })
    }

    /// Who asks, if they may.
    fn authenticate(&self, request: &Parts) -> Result<String, ApiError> {
        let Some(keys) = &self.keys else { return Ok("admin API".to_owned()) };
        let digest = KeyDigest::of(bearer(&request.headers)?);
        if keys.find(&digest).is_some() {
            Ok(format!("admin key {}", digest.id()))
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

fn json(answer: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(answer).expect("texts and numbers always serialize");
    health::text(body, "application/json")
}
