//! The way of a scoring request, from its headers to its answer: the product in one function.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response};

use super::call::{Call, Timed};
use super::error::ApiError;
use super::header_text::HeaderText;
use super::percent::decoded;
use super::request_body::{self, BodyLimits, RequestBody};
use super::request_tag::RequestTag;
use super::{Body, Scoring, sticky};
use crate::auth::KeyDigest;
use crate::codec::{self, Decoded, Dialect, Encoded, Format, Policy, Receiver, Reply, Request};
use crate::deployment::{
    Completed, Deployment, Endpoint, Mirror, Permit, Priority, RoutingTable, ScheduleError, State, Unpicked,
};
use crate::error::ErrorKind;
use crate::moment::Moment;
use crate::name::Name;
use crate::telemetry::{DeploymentMetrics, Stage};
use crate::tensor::{Tensor, Value};

pub const DEPLOYMENT: HeaderName = HeaderName::from_static("azureml-model-deployment");
const RAW_SHAPE: HeaderName = HeaderName::from_static("x-scoria-shape");
const RAW_DTYPE: HeaderName = HeaderName::from_static("x-scoria-dtype");
const TIMEOUT: HeaderName = HeaderName::from_static("x-scoria-timeout-ms");
const PRIORITY: HeaderName = HeaderName::from_static("x-scoria-priority");
const RUN_MS: HeaderName = HeaderName::from_static("x-ms-run-fn-exec-ms");

/// The headers that most answers have.
const ANSWER_HEADERS: usize = 12;

/// Work on more bytes or elements than this is told to the runtime as blocking, so that other connections move on.
pub const STALL_BYTES: usize = 64 * 1024;

/// Who answers a request.
pub struct Served {
    pub endpoint: Arc<Endpoint>,
    pub deployment: Arc<Deployment>,
    /// The deployment's position among the endpoint's.
    pub index: usize,
}

impl Served {
    /// Has the request's id say who answers, so that any replica can count what becomes of the answer.
    fn tag(&self, call: &mut Call) {
        let tag = self.endpoint.revision.and_then(|revision| RequestTag::new(revision, &self.deployment.name));
        if let Some(tag) = tag {
            call.tag(tag, &self.endpoint.name);
        }
    }

    /// Counts the answer.
    pub fn answered(&self, status: u16, took: Duration) {
        self.deployment.metrics.answered(status, took);
        if let Some(recorder) = self.endpoint.recorders.get(self.index) {
            recorder.answered(status, took);
        }
    }
}

/// A request that found its endpoint and may go on.
pub struct Admitted<'a> {
    /// That of the route.
    pub dialect: Dialect,
    pub endpoint: &'a Endpoint,
    pub deployment: &'a Arc<Deployment>,
    pub at: Instant,
    pub deadline: Instant,
    pub priority: Priority,
    /// The longest wait for its run that the request itself allows.
    pub max_wait: Option<Duration>,
    pub permit: Permit,
    /// Who may run the request again, and the position of the deployment that answers it.
    mirror: Option<(&'a Arc<Mirror>, usize)>,
}

/// A request whose endpoint, key and wishes are in order.
pub struct Entered<'a> {
    endpoint: &'a Endpoint,
    deployment: &'a Arc<Deployment>,
    at: Instant,
    deadline: Instant,
    priority: Priority,
    mirror: Option<(&'a Arc<Mirror>, usize)>,
}

/// Everything that is decided before the body is looked at: endpoint, key, deployment, deadline, size, load. With a `version`, the
/// deployment is one of this model version.
///
/// Whoever is asked for is noted in `served` as soon as that is known, refused or not.
pub fn admit<'a>(
    server: &Scoring,
    (name, version): (Option<&str>, Option<u64>),
    parts: &Parts,
    call: &mut Call,
    served: &'a mut Option<Served>,
) -> Result<Admitted<'a>, ApiError> {
    let entered = enter(server, (name, version), &parts.headers, call, served)?;
    let announced = request_body::announced_bytes(&parts.headers).unwrap_or(0);
    if announced > entered.endpoint.settings.max_body_bytes {
        let sent = body_format(&parts.headers).map_or(request_body::Sent::Binary, request_body::Sent::of);
        return Err(request_body::too_large(entered.endpoint.settings.max_body_bytes, sent));
    }
    let permit = server.admission.admit(announced).ok_or_else(request_body::overloaded)?;
    entered.admit(permit)
}

/// The part of [`admit`] that depends on the request's headers alone: all but size and load.
pub fn enter<'a>(
    server: &Scoring,
    (name, version): (Option<&str>, Option<u64>),
    headers: &HeaderMap,
    call: &mut Call,
    served: &'a mut Option<Served>,
) -> Result<Entered<'a>, ApiError> {
    let table = server.routing.table();
    let endpoint = find_endpoint(&table, name)?;
    let pinned = headers.get(DEPLOYMENT).map(|name| name.to_str().unwrap_or("?"));
    let picked = match version {
        Some(version) => endpoint.find_version(version).ok_or(Unpicked::Unknown),
        None => endpoint.pick(pinned, |by| sticky::user(by, headers)),
    };
    // Whoever pins what is not there is counted with the first.
    let index = picked.unwrap_or(0);
    let Some(deployment) = endpoint.deployments.get(index) else { return Err(model_loading()) };
    let served = served.insert(Served { deployment: Arc::clone(deployment), endpoint, index });
    authenticate(&served.endpoint, headers, &table)?;
    served.tag(call);
    let at = Instant::now();
    call.note(Timed::Auth, at - call.started);
    picked.map_err(|why| match version {
        Some(version) => unknown_version(&served.endpoint, version),
        None => not_picked(why, &served.endpoint, pinned),
    })?;
    let Served { endpoint, deployment, .. } = served;
    let longest = deployment.scoring_timeout;
    let deadline = call.started + timeout(headers)?.map_or(longest, |asked| asked.min(longest));
    let mirror =
        endpoint.mirror.as_ref().filter(|_| pinned.is_none() && version.is_none()).map(|mirror| (mirror, index));
    Ok(Entered { endpoint, deployment, at, deadline, priority: priority(headers)?, mirror })
}

impl<'a> Entered<'a> {
    /// Lets the request in, if there is room for it to wait.
    pub fn admit(self, permit: Permit) -> Result<Admitted<'a>, ApiError> {
        let Entered { endpoint, deployment, at, deadline, priority, mirror } = self;
        // What would be refused by the queue is not worth being read.
        if let Err(ScheduleError::Overloaded { retry_after }) = deployment.admit(priority) {
            return Err(queue_full(retry_after));
        }
        Ok(Admitted {
            dialect: Dialect::Any,
            endpoint,
            deployment,
            at,
            deadline,
            priority,
            max_wait: None,
            permit,
            mirror,
        })
    }
}

/// Answers an admitted request, and counts it among those in progress meanwhile.
pub async fn score(
    mut admitted: Admitted<'_>,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
) -> Result<Response<Body>, ApiError> {
    let in_flight = InFlight::begin(admitted.deployment);
    let answer = answer(&mut admitted, parts, body, call).await;
    in_flight.end();
    answer
}

/// Reads, decodes, runs and encodes.
async fn answer(
    admitted: &mut Admitted<'_>,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
) -> Result<Response<Body>, ApiError> {
    let Decoded { inputs, reply } = read(admitted, parts, body, call).await?;
    let reply = accepted(&parts.headers).filter(|format| *format != reply.format()).map_or(reply, Reply::from);
    let Completed { outputs, ran, .. } = run(admitted, inputs, call).await?;
    let Admitted { endpoint, deployment, .. } = admitted;

    let encoding = Instant::now();
    let to_encode = if reply.format().is_converted_whole() { outputs.iter().map(Value::len).sum() } else { 0 };
    let policy = policy(endpoint);
    let encoded = off_the_loop(to_encode, || codec::encode(outputs, &endpoint.signature, reply, &policy))?;
    let took = encoding.elapsed();
    call.note(Timed::Encode, took);
    deployment.metrics.stage(Stage::Encode, took);
    Ok(respond(encoded, deployment, ran))
}

/// Runs the model on inputs that were checked against the endpoint's signature.
pub async fn run(admitted: &Admitted<'_>, inputs: Vec<Tensor>, call: &mut Call) -> Result<Completed, ApiError> {
    let Admitted { endpoint, deployment, deadline, priority, max_wait, mirror, .. } = admitted;
    let shape_conflict = endpoint.signature.symbol_conflict(&inputs);
    let drawn = mirror.and_then(|(mirror, answering)| Some((mirror, mirror.draw(answering, &inputs)?)));
    let completed = deployment.run_soon(inputs, *deadline, *priority, *max_wait).await;
    let completed = completed.map_err(|error| run_error(error, shape_conflict, endpoint, call))?;
    call.note(Timed::Queue, completed.queued);
    call.note(Timed::Run, completed.ran);
    deployment.metrics.stage(Stage::Queue, completed.queued);
    deployment.metrics.stage(Stage::Run, completed.ran);
    if let Some((mirror, drawn)) = drawn {
        mirror.offer(drawn, &completed.outputs, completed.ran);
    }
    Ok(completed)
}

/// The endpoint of a name, or the default one, if it is loaded.
pub fn find_endpoint(table: &RoutingTable, name: Option<&str>) -> Result<Arc<Endpoint>, ApiError> {
    let entry = match name {
        Some(name) => table.find(name).ok_or_else(|| unknown_endpoint(table, name))?,
        None => table.default_endpoint().ok_or_else(|| {
            let message = "several models are served here and none is the default: \
                           POST to /api/v1/service/<endpoint>/score";
            ApiError::new(ErrorKind::NotFound, "no_default_endpoint", message)
        })?,
    };
    match (&entry.endpoint, &entry.state) {
        (Some(endpoint), _) => Ok(Arc::clone(endpoint)),
        (None, State::Failed { .. }) => Err(unavailable("model_not_loaded", "the model could not be loaded", 60)),
        (None, _) => Err(model_loading()),
    }
}

/// Refuses a name that nothing is served by. Whoever asks by the name of a model's file or folder is told what it is called here.
pub fn unknown_endpoint(table: &RoutingTable, name: &str) -> ApiError {
    match table.called(name).or_else(|| table.called(&decoded(name))) {
        Some(known) => called_otherwise(known),
        None => ApiError::new(ErrorKind::NotFound, "unknown_endpoint", "there is no endpoint of this name"),
    }
}

pub fn called_otherwise(known: &Name) -> ApiError {
    let message = format!("there is no endpoint of this name; this server calls it '{known}'");
    ApiError::new(ErrorKind::NotFound, "unknown_endpoint", message).with_expected(known.as_str())
}

fn model_loading() -> ApiError {
    unavailable("model_loading", "the model is being loaded", 1)
}

fn unavailable(code: &'static str, message: &str, retry_after_s: u64) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, code, message).with_retry_after(retry_after_s)
}

pub fn authenticate(endpoint: &Endpoint, headers: &HeaderMap, table: &RoutingTable) -> Result<(), ApiError> {
    let Some(keys) = &endpoint.keys else { return Ok(()) };
    let digest = KeyDigest::of(bearer(headers)?);
    if keys.admit(&digest, Moment::now()).is_some() {
        Ok(())
    } else if table.knows_key(&digest) {
        Err(ApiError::new(ErrorKind::Forbidden, "wrong_endpoint", "this key is for another endpoint"))
    } else {
        Err(unknown_key())
    }
}

/// Refuses who has no key of any endpoint, where every endpoint needs one: what can be said before it is known which endpoint a
/// request is for.
pub fn check_key(table: &RoutingTable, headers: &HeaderMap) -> Result<(), ApiError> {
    if !table.needs_key() || table.knows_key(&KeyDigest::of(bearer(headers)?)) {
        return Ok(());
    }
    Err(unknown_key())
}

fn unknown_key() -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, "unknown_key", "the key is not known here")
}

/// The key of `Authorization: Bearer <key>` (RFC 6750; the scheme's letter case does not matter).
pub fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    const EXPECTED: &str = "Authorization: Bearer <key>";
    const SCHEME: &str = "bearer ";
    let refuse =
        |message: &str| ApiError::new(ErrorKind::Unauthenticated, "key_required", message).with_expected(EXPECTED);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| refuse("this endpoint needs a key"))?;
    if values.next().is_some() {
        // A proxy in front may have looked at another one than we would.
        return Err(refuse("there are several Authorization headers"));
    }
    let key = value.to_str().ok().and_then(|text| {
        let (scheme, key) = text.trim().split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then(|| key.trim())
    });
    key.ok_or_else(|| refuse("the Authorization header is not of the expected form"))
}

/// Refuses a version of a model that no deployment runs.
pub fn unknown_version(endpoint: &Endpoint, version: u64) -> ApiError {
    let served: Vec<_> = endpoint.deployments.iter().map(|deployment| deployment.model.version.to_string()).collect();
    ApiError::new(ErrorKind::NotFound, "unknown_model_version", "this version of the model is not served")
        .with_expected(served.join(", "))
        .with_got(version.to_string())
}

fn not_picked(why: Unpicked, endpoint: &Endpoint, pinned: Option<&str>) -> ApiError {
    if why == Unpicked::Absent {
        return unavailable("deployment_not_ready", "the deployment is being loaded, or could not be", 1);
    }
    let names: Vec<_> = endpoint.deployments.iter().map(|deployment| deployment.name.as_str()).collect();
    ApiError::new(ErrorKind::NotFound, "unknown_deployment", "the endpoint has no such deployment")
        .with_expected(names.join(", "))
        .with_got(pinned.unwrap_or_default())
}

/// A shorter deadline, if the client asks for one.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let digits = value.to_str().map(str::trim).unwrap_or_default();
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // What is more than can be counted is longer than the endpoint allows, like all that is too long.
    let asked = is_whole.then(|| digits.parse().unwrap_or(u64::MAX)).filter(|ms| *ms > 0);
    asked.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(|| {
        ApiError::new(ErrorKind::BadInput, "bad_timeout", "x-scoria-timeout-ms is not a whole number of milliseconds")
            .with_expected("1 or more")
            .with_got(String::from_utf8_lossy(value.as_bytes()))
    })
}

/// Who goes first when requests wait.
fn priority(headers: &HeaderMap) -> Result<Priority, ApiError> {
    let Some(value) = headers.get(PRIORITY) else { return Ok(Priority::default()) };
    let named = |priority: &Priority| value.as_bytes() == priority.name().as_bytes();
    Priority::ALL.into_iter().find(named).ok_or_else(|| {
        ApiError::new(ErrorKind::BadInput, "bad_priority", "x-scoria-priority is not one of the priorities")
            .with_expected(Priority::ALL.map(Priority::name).join(", "))
            .with_got(String::from_utf8_lossy(value.as_bytes()))
    })
}

fn queue_full(retry_after: Duration) -> ApiError {
    let message = "too many requests wait for this model; try again";
    ApiError::new(ErrorKind::Overloaded, "queue_full", message).with_retry_after(retry_after.as_secs().max(1))
}

/// The body, read and decoded; for `GET`, the query instead.
async fn read(
    admitted: &mut Admitted<'_>,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
) -> Result<Decoded, ApiError> {
    let Admitted { dialect, endpoint, deployment, at, permit, .. } = admitted;
    let helpful = |error: ApiError| explain(error, endpoint);
    let query = (parts.method == Method::GET).then(|| codec::json::from_query(parts.uri.query().unwrap_or_default()));
    let format = if query.is_some() { Format::Json } else { body_format(&parts.headers)? };
    let request = Request {
        signature: &endpoint.signature,
        policy: policy(endpoint),
        announced_bytes: request_body::announced_bytes(&parts.headers),
        max_bytes: endpoint.settings.max_body_bytes,
        // What is no text is no shape either, and is refused as such.
        raw_shape: parts.headers.get(RAW_SHAPE).map(|value| value.to_str().unwrap_or("?")),
    };
    let mut receiver = Receiver::of(*dialect, format, request).map_err(|error| helpful(error.into()))?;
    let bytes = match query {
        Some(query) => receiver.push(query.as_bytes()).map(|()| query.len()).map_err(ApiError::from),
        None => {
            let limits = BodyLimits {
                begun: *at,
                max_bytes: endpoint.settings.max_body_bytes,
                timeout: endpoint.settings.body_timeout,
                min_bytes_per_s: endpoint.settings.min_transfer_bytes_per_s,
            };
            body.receive(&mut receiver, permit, limits).await
        }
    };
    let bytes = bytes.map_err(helpful)?;
    let read = Instant::now();
    let to_decode = if format.is_converted_whole() { bytes } else { 0 };
    let decoded = off_the_loop(to_decode, || receiver.finish());
    let (reading, decoding) = (read - *at, read.elapsed());
    call.note(Timed::Read, reading);
    call.note(Timed::Decode, decoding);
    deployment.metrics.stage(Stage::Read, reading);
    deployment.metrics.stage(Stage::Decode, decoding);
    deployment.metrics.request_bytes.inc_by(bytes as u64);
    decoded.map_err(|error| helpful(in_charset(error.into(), &parts.headers)))
}

/// Adds that the Content-Type names another charset, where the body could not be read as UTF-8.
fn in_charset(mut error: ApiError, headers: &HeaderMap) -> ApiError {
    let is_about_text = error.code == "malformed_body" || error.message.contains("UTF-8");
    if let Some(charset) = foreign_charset(headers).filter(|_| is_about_text) {
        let said = codec::quoted(charset);
        error.message.push_str(&format!("; its Content-Type says charset={said}, and text is read as UTF-8 only"));
    }
    error
}

/// The charset of the Content-Type, if it is not UTF-8 or a part of it.
fn foreign_charset(headers: &HeaderMap) -> Option<&str> {
    let parameters = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').skip(1);
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, charset) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let charset = charset.trim().trim_matches('"');
    let is_utf8 = ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name));
    (!is_utf8).then_some(charset)
}

pub fn body_format(headers: &HeaderMap) -> Result<Format, ApiError> {
    // Nothing is unpacked: a kilobyte that becomes a gigabyte would be bounded by nothing that was announced.
    if let Some(coding) =
        headers.get(CONTENT_ENCODING).filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(ApiError::new(
            ErrorKind::UnsupportedMediaType,
            "unsupported_content_encoding",
            "the body is compressed",
        )
        .with_expected("no Content-Encoding")
        .with_got(String::from_utf8_lossy(coding.as_bytes())));
    }
    // A body without a type is JSON: the simplest clients send none.
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Format::Json) };
    value.to_str().ok().and_then(Format::from_media_type).ok_or_else(|| {
        ApiError::new(
            ErrorKind::UnsupportedMediaType,
            "unsupported_media_type",
            "the body's media type is not one of ours",
        )
        .with_expected(Format::ALL.map(Format::media_type).join(", "))
        .with_got(String::from_utf8_lossy(value.as_bytes()))
    })
}

/// The format that the client asks for by name; anything else (`*/*`, a type we do not write) leaves the caller's own.
pub fn accepted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    let named = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    let is_named = |range: &&str| range.starts_with("application/") || *range == Format::Csv.media_type();
    let mut formats = named.filter(is_named).filter_map(Format::from_media_type);
    formats.next()
}

/// What the endpoint allows and promises about bodies.
pub fn policy(endpoint: &Endpoint) -> Policy {
    Policy {
        null_input: endpoint.settings.null_input,
        extra_columns: endpoint.settings.extra_columns,
        non_finite_output: endpoint.settings.non_finite_output,
        max_elements: endpoint.settings.max_elements,
        max_rank: endpoint.settings.max_rank,
        max_json_depth: endpoint.settings.max_json_depth,
    }
}

/// Runs `work` here; if it is long, after telling the runtime that this thread will not come back soon.
pub fn off_the_loop<T>(size: usize, work: impl FnOnce() -> T) -> T {
    if size > STALL_BYTES { tokio::task::block_in_place(work) } else { work() }
}

/// Adds what helps to mend a request: a body that is valid for this model.
fn explain(mut error: ApiError, endpoint: &Endpoint) -> ApiError {
    if error.kind == ErrorKind::BadInput {
        error = error.with_example(endpoint.example.as_deref());
    }
    error
}

fn run_error(error: ScheduleError, shape_conflict: Option<String>, endpoint: &Endpoint, call: &Call) -> ApiError {
    let kind = error.kind();
    match (&error, shape_conflict) {
        (ScheduleError::Run(_), Some(conflict)) => {
            ApiError::new(ErrorKind::BadInput, "wrong_shape", conflict).with_example(endpoint.example.as_deref())
        }
        (ScheduleError::Run(_), None) if kind == ErrorKind::BadInput => {
            tracing::debug!(endpoint = %endpoint.name, request_id = call.id(), %error, "input rejected by the runtime");
            let message = "the model rejected the values of this request, for example an index out of range, or \
                           dimensions that do not fit together";
            ApiError::new(kind, "input_rejected", message).with_example(endpoint.example.as_deref())
        }
        (ScheduleError::Run(_), None) => {
            tracing::warn!(endpoint = %endpoint.name, request_id = call.id(), %error, "model failed");
            ApiError::new(
                kind,
                "model_failed",
                "the model failed on this request; the server's log has the reason under its id",
            )
        }
        (ScheduleError::Overloaded { retry_after }, _) => queue_full(*retry_after),
        (ScheduleError::AnswerTooLarge { max_elements }, _) => {
            let message = format!("the model makes more than {max_elements} elements of this request");
            ApiError::new(kind, "too_many_elements", message).with_example(endpoint.example.as_deref())
        }
        (ScheduleError::Expired, _) => {
            ApiError::new(kind, "deadline_exceeded", "the deadline passed before the model had answered")
        }
        (ScheduleError::Stopped, _) => unavailable("draining", "the deployment is being taken down", 1),
    }
}

fn respond(encoded: Encoded, deployment: &Deployment, ran: Duration) -> Response<Body> {
    let mut response = Response::new(Body::from_parts(encoded.parts));
    deployment.metrics.response_bytes.inc_by(response.body().len());
    let headers = response.headers_mut();
    // Room for all that will be added at once, here and further up.
    headers.reserve(ANSWER_HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoded.format.media_type()));
    let mut run_ms = HeaderText::<32>::new();
    run_ms.push_ms(ran);
    headers.insert(RUN_MS, run_ms.value());
    // A deployment's name is made of characters that a header can hold, as are dtypes and shapes.
    let mut insert = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    insert(DEPLOYMENT, deployment.name.as_str());
    if let Some(layout) = encoded.raw_layout {
        insert(RAW_DTYPE, &layout.dtypes);
        insert(RAW_SHAPE, &layout.shapes);
    }
    response
}

/// Counts a request among those in progress, for as long as it lives; one that dies before its answer was left by its client.
pub struct InFlight<'a> {
    metrics: &'a DeploymentMetrics,
    ended: bool,
}

impl<'a> InFlight<'a> {
    pub fn begin(deployment: &'a Deployment) -> Self {
        deployment.metrics.in_flight.inc();
        InFlight { metrics: &deployment.metrics, ended: false }
    }

    /// The request has its answer.
    pub fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if !self.ended {
            self.metrics.abandoned.inc();
        }
    }
}
