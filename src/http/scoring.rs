//! The scoring port's service: one call per request, whatever comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, Version};

use super::call::{Call, IdSource};
use super::cors::{Cors, is_preflight};
use super::docs::Docs;
use super::document;
use super::document_cache::DocumentCache;
use super::error::{ApiError, ErrorForm};
use super::feedback;
use super::framing;
use super::health::{self, Lifecycle, Readiness};
use super::host;
use super::mlflow::{self, Mlflow};
use super::request_body::RequestBody;
use super::router::{self, Route, route, route_outright};
use super::score::{Served, admit, find_endpoint, score};
use super::tensorflow::{self, TensorFlow};
use super::v2::{self, AdminAccess};
use super::{Body, SERVER_VERSION};
use crate::codec::Dialect;
use crate::codec::open_inference::{NoRegions, Regions};
use crate::control::Repository;
use crate::deployment::{Admission, Routing};
use crate::error::ErrorKind;
use crate::shared_memory::SharedMemory;
use crate::telemetry::{Metrics, RequestLog, Verdict};

const RUN_FAILED: HeaderName = HeaderName::from_static("x-ms-run-function-failed");
const MS_SERVER_VERSION: HeaderName = HeaderName::from_static("x-ms-server-version");

/// What serving requests needs.
#[derive(Debug)]
pub struct Scoring {
    pub routing: Arc<Routing>,
    pub admission: Arc<Admission>,
    pub lifecycle: Arc<Lifecycle>,
    pub metrics: Arc<Metrics>,
    pub settings: ScoringSettings,
    /// Who may administer by way of this port; nobody unless it is said.
    pub admin_access: AdminAccess,
    /// Where clients may have models loaded from.
    pub repository: Option<Arc<Repository>>,
    /// Where clients may register shared memory.
    pub shared_memory: Option<Arc<SharedMemory>>,
    pub(super) documents: DocumentCache,
    docs: Option<Docs>,
    cors: Cors,
    ids: IdSource,
    log: RequestLog,
    started: Instant,
}

/// A request and its answer, for metrics and the log.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    /// HTTP's, of the answer's kind, whatever the wire.
    pub status: u16,
    pub response_bytes: u64,
    pub is_probe: bool,
}

/// What the operator set about requests.
#[derive(Clone, Debug)]
pub struct ScoringSettings {
    pub cors_origins: Vec<String>,
    pub strict_readiness: bool,
    pub docs: bool,
    pub log_slow: Duration,
    pub log_sample_per_second: u64,
    /// Whether compressed request bodies are unpacked, on `/v2`.
    pub request_compression: bool,
    /// The shortest JSON answer on `/v2` that is compressed, for clients who accept that; 0 for none.
    pub response_compression_min_bytes: usize,
}

impl ScoringSettings {
    pub(super) fn readiness(&self) -> Readiness {
        if self.strict_readiness { Readiness::Strict } else { Readiness::Lenient }
    }
}

impl Scoring {
    pub fn new(
        routing: Arc<Routing>,
        admission: Arc<Admission>,
        lifecycle: Arc<Lifecycle>,
        metrics: Arc<Metrics>,
        settings: ScoringSettings,
    ) -> Result<Scoring, getrandom::Error> {
        Ok(Scoring {
            documents: DocumentCache::default(),
            docs: settings.docs.then(Docs::new),
            cors: Cors::new(&settings.cors_origins),
            log: RequestLog::new(settings.log_slow, settings.log_sample_per_second),
            routing,
            admission,
            lifecycle,
            metrics,
            settings,
            admin_access: AdminAccess::default(),
            repository: None,
            shared_memory: None,
            ids: IdSource::new()?,
            started: Instant::now(),
        })
    }

    /// Where the tensors are that requests have put into shared memory.
    pub fn regions(&self) -> &dyn Regions {
        self.shared_memory.as_deref().map_or(&NoRegions, |regions| regions)
    }

    /// Answers one request. Sets `linger` when the connection must end although its client may still be sending.
    pub async fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut body = RequestBody::new(body);
        let (mut call, ids) = Call::begin(&parts.headers, &self.ids);
        let acceptable = ids.and_then(|()| host::check_single(&parts)).and_then(|()| framing::check(&parts.headers));
        let routed = if is_preflight(&parts.headers) { route } else { route_outright };
        let route = routed(&parts.method, parts.uri.path());
        let mut served = None;
        let outcome = match acceptable {
            Ok(()) => self.dispatch(&route, &parts, &mut body, &mut call, &mut served).await,
            Err(error) => Err(error),
        };
        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => refuse(error, &route, &parts, &mut body, linger).await,
        };
        self.report(
            Reported {
                method: &parts.method,
                path: parts.uri.path(),
                status: response.status().as_u16(),
                response_bytes: response.body().len(),
                is_probe: route.is_probe(),
            },
            &call,
            served.as_ref(),
        );
        let headers = response.headers_mut();
        if route.is_for_pages() {
            self.cors.allow(&parts.headers, headers);
        }
        headers.insert(MS_SERVER_VERSION, HeaderValue::from_static(SERVER_VERSION));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        call.stamp(headers);
        response
    }

    async fn dispatch(
        &self,
        route: &Route,
        parts: &Parts,
        body: &mut RequestBody,
        call: &mut Call,
        served: &mut Option<Served>,
    ) -> Result<Response<Body>, ApiError> {
        match route {
            Route::Score { endpoint } => {
                let admitted = admit(self, (endpoint.as_deref(), None), parts, call, served)?;
                let mut response = score(admitted, parts, body, call).await?;
                mark_run(&mut response, "False");
                Ok(response)
            }
            Route::TensorFlow(asked) => self
                .tensorflow(asked, parts, body, call, served)
                .await
                .map_err(|error| error.in_form(ErrorForm::TensorFlow)),
            Route::Mlflow(asked) => {
                self.mlflow(*asked, parts, body, call, served).await.map_err(|error| error.in_form(ErrorForm::Mlflow))
            }
            Route::Options { allow } => Ok(self.options(allow, parts)),
            Route::Feedback { endpoint } => feedback::answer(self, endpoint.as_deref(), parts, body).await,
            Route::Probe(probe) => {
                Ok(health::answer(*probe, &self.routing.table(), &self.lifecycle, self.settings.readiness()))
            }
            Route::Document(document) => document::answer(self, document, parts.uri.query(), &parts.headers),
            Route::Docs(asked) => self.docs(asked, parts),
            Route::V2(route) => v2::answer(self, route, parts, body, call, served).await,
            Route::WrongMethod { allow } => Err(ApiError::wrong_method(allow)),
            Route::Unknown => Err(unknown_route()),
        }
    }

    async fn tensorflow(
        &self,
        asked: &TensorFlow,
        parts: &Parts,
        body: &mut RequestBody,
        call: &mut Call,
        served: &mut Option<Served>,
    ) -> Result<Response<Body>, ApiError> {
        match asked {
            TensorFlow::Predict { endpoint, version } => {
                let mut admitted = admit(self, (Some(endpoint), *version), parts, call, served)?;
                admitted.dialect = Dialect::TensorFlowServing;
                score(admitted, parts, body, call).await
            }
            TensorFlow::Examples { endpoint, version, verb } => {
                admit(self, (Some(endpoint), *version), parts, call, served)?;
                Err(tensorflow::no_signature(verb))
            }
            TensorFlow::Status { endpoint, version } => tensorflow::status(&self.routing.table(), endpoint, *version),
            TensorFlow::Metadata { endpoint, version } => {
                tensorflow::metadata(&self.routing.table(), endpoint, *version)
            }
            TensorFlow::List => Ok(tensorflow::list(&self.routing.table())),
        }
    }

    async fn mlflow(
        &self,
        asked: Mlflow,
        parts: &Parts,
        body: &mut RequestBody,
        call: &mut Call,
        served: &mut Option<Served>,
    ) -> Result<Response<Body>, ApiError> {
        match asked {
            Mlflow::Invocations => {
                let mut admitted = admit(self, (None, None), parts, call, served)?;
                admitted.dialect = Dialect::Mlflow;
                score(admitted, parts, body, call).await
            }
            Mlflow::Ping => Ok(mlflow::ping(&self.routing.table())),
            Mlflow::Version => Ok(mlflow::version()),
        }
    }

    fn docs(&self, asked: &router::Docs, parts: &Parts) -> Result<Response<Body>, ApiError> {
        let docs = self.docs.as_ref().ok_or_else(unknown_route)?;
        match asked {
            router::Docs::Page { endpoint: None } => Ok(docs.server_page(&parts.headers)),
            router::Docs::Page { endpoint: Some(name) } => {
                // There is no page for what has no document.
                find_endpoint(&self.routing.table(), Some(name))?;
                Ok(docs.endpoint_page(&parts.headers))
            }
            router::Docs::Asset { digest, name } => docs.asset(digest, name, &parts.headers),
        }
    }

    fn options(&self, allow: &'static str, parts: &Parts) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(allow));
        self.cors.answer_preflight(&parts.headers, headers);
        response
    }

    /// Whether what was asked for can be served, as `/readyz` says it.
    pub fn is_ready(&self) -> bool {
        health::is_ready(&self.routing.table(), &self.lifecycle, self.settings.readiness())
    }

    /// Begins a request, see [`Call::begin`].
    pub fn begin(&self, headers: &HeaderMap) -> (Call, Result<(), ApiError>) {
        Call::begin(headers, &self.ids)
    }

    /// Counts and logs a request that has been answered, or is about to be.
    pub fn report(&self, reported: Reported<'_>, call: &Call, served: Option<&Served>) {
        let Reported { method, path, status, response_bytes, is_probe } = reported;
        let now = Instant::now();
        let took = now - call.started;
        match served {
            Some(served) => served.answered(status, took),
            // Probes come by the second and say nothing of clients.
            None if is_probe => return,
            None => self.metrics.unrouted(status),
        }
        match self.log.decide(status, took, now - self.started) {
            Verdict::LeaveOut => self.metrics.log_lines_sampled_out.inc(),
            Verdict::Log { left_out } => {
                let endpoint = served.map(|served| served.endpoint.name.as_str());
                let request_id = call.id();
                let took_ms = took.as_micros() as f64 / 1_000.0;
                macro_rules! line {
                    ($level:ident) => {
                        tracing::$level!(
                            %method, path, status, took_ms, endpoint, request_id, response_bytes, left_out, "request"
                        )
                    };
                }
                // An operator who asks for warnings only still hears of what went wrong.
                if status >= 500 { line!(warn) } else { line!(info) }
            }
        }
    }
}

fn unknown_route() -> ApiError {
    let message = "there is nothing at this path; scoring is POST /score or POST /api/v1/service/<endpoint>/score";
    ApiError::new(ErrorKind::NotFound, "unknown_route", message)
}

/// Answers a failed request. What is left of a short body is read and forgotten, so that the connection can be used again;
/// for a long one the connection ends (HTTP/1 only; an HTTP/2 stream ends by itself).
async fn refuse(
    error: ApiError,
    route: &Route,
    parts: &Parts,
    body: &mut RequestBody,
    linger: &AtomicBool,
) -> Response<Body> {
    let model_failed = error.kind == ErrorKind::ModelFailed;
    let mut response = match route {
        Route::V2(_) => error.into_v2_response(),
        _ => error.into_response(),
    };
    if !body.drain(&parts.headers).await && parts.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        linger.store(true, Ordering::Relaxed);
    }
    if model_failed {
        mark_run(&mut response, "True");
    }
    response
}

/// Says whether the model ran, in Azure's words and spelling.
fn mark_run(response: &mut Response<Body>, failed: &'static str) {
    response.headers_mut().insert(RUN_FAILED, HeaderValue::from_static(failed));
}
