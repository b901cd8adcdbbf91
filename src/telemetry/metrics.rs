//! Every metric of the server, named once. `docs/metrics.md` describes them; a test compares the two.
//!
//! Labels come from our own names only (endpoints, deployments, stages, status codes), never from a request. Handles with
//! their labels filled in are made when a deployment is built, so that a request touches atomics and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::durations::{Durations, DurationsVec};
use super::mirror::{Families as MirrorFamilies, MirrorMetrics};
use super::outlets::dropped_log_lines;
use super::runs::Runs;
use super::tls::{Families as TlsFamilies, TlsMetrics};
use super::webhooks::{Families as WebhookFamilies, WebhookMetrics};

/// A part of a request's way through the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Read,
    Decode,
    Queue,
    Run,
    Encode,
}

impl Stage {
    const ALL: [Stage; 5] = [Stage::Read, Stage::Decode, Stage::Queue, Stage::Run, Stage::Encode];

    const fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decode => "decode",
            Stage::Queue => "queue",
            Stage::Run => "run",
            Stage::Encode => "encode",
        }
    }
}

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client did not send a request's headers in time.
    HeaderTimeout,
    /// The client did not send another request in time.
    Idle,
    /// The client did not take its answer in time.
    SlowClient,
    /// All places were taken, and this connection was not using its own.
    MadeRoom,
}

impl Closed {
    const ALL: [Closed; 4] = [Closed::HeaderTimeout, Closed::Idle, Closed::SlowClient, Closed::MadeRoom];

    const fn name(self) -> &'static str {
        match self {
            Closed::HeaderTimeout => "header_timeout",
            Closed::Idle => "idle",
            Closed::SlowClient => "slow_client",
            Closed::MadeRoom => "made_room",
        }
    }
}

/// One port's handles.
#[derive(Debug)]
pub struct ConnectionMetrics {
    open: IntGauge,
    closed: [IntCounter; 4],
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl ConnectionMetrics {
    /// A connection was opened.
    pub fn open(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// The server closed a connection.
    pub fn closed(&self, reason: Closed) {
        self.closed[reason as usize].inc();
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The server's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: DurationsVec,
    stage_duration: DurationsVec,
    in_flight: IntGaugeVec,
    queue_depth: IntGaugeVec,
    abandoned: IntCounterVec,
    batch_size: HistogramVec,
    request_bytes: IntCounterVec,
    response_bytes: IntCounterVec,
    unrouted: IntCounterVec,
    model_info: GaugeVec,
    deployment_ready: IntGaugeVec,
    load_duration: GaugeVec,
    pub scoring_connections: Arc<ConnectionMetrics>,
    pub admin_connections: Arc<ConnectionMetrics>,
    tls: TlsFamilies,
    mirror: MirrorFamilies,
    webhooks: WebhookFamilies,
    /// Requests whose log line was left out by sampling.
    pub log_lines_sampled_out: IntCounter,
    log_lines_unread: IntCounter,
    /// How many of them have been counted.
    unread_counted: AtomicU64,
}

/// One deployment's handles.
#[derive(Debug)]
pub struct DeploymentMetrics {
    pub(super) requests: IntCounterVec,
    succeeded: IntCounter,
    pub(super) labels: [String; 2],
    duration: [Arc<Durations>; 3],
    stages: [Arc<Durations>; 5],
    pub in_flight: IntGauge,
    /// Requests whose client left before the answer.
    pub abandoned: IntCounter,
    pub queue_depth: IntGauge,
    pub batch_size: Histogram,
    /// Successful runs, for clients' statistics.
    pub runs: Runs,
    pub request_bytes: IntCounter,
    pub response_bytes: IntCounter,
}

impl Metrics {
    /// Registers every metric. `version` is the server's own.
    pub fn new(version: &str) -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let r = &registry;
        let deployment = &["endpoint", "deployment"];
        let build_info = gauge(r, "scoria_build_info", "Always 1; the labels say what is running.", &["version"])?;
        build_info.with_label_values(&[version]).set(1.0);
        let open = int_gauge(r, "scoria_connections", "Connections open.", &["port"])?;
        let closed = counter(
            r,
            "scoria_connections_closed_total",
            "Connections that the server closed because a limit was reached.",
            &["port", "reason"],
        )?;
        let connections = |port| {
            let closed = Closed::ALL.map(|reason| closed.with_label_values(&[port, reason.name()]));
            Arc::new(ConnectionMetrics { open: open.with_label_values(&[port]), closed })
        };
        let log_lines = counter(
            r,
            "scoria_log_lines_dropped_total",
            "Log lines that were not written: left out by sampling, or not taken by their reader in time.",
            &["reason"],
        )?;
        Ok(Metrics {
            requests: counter(
                r,
                "scoria_requests_total",
                "Requests that reached an endpoint, by status code.",
                &["endpoint", "deployment", "code"],
            )?,
            request_duration: durations(
                r,
                "scoria_request_duration_seconds",
                "Time from the end of the request's headers to the answer's hand-over, by status class.",
                &["endpoint", "deployment", "code_class"],
            )?,
            stage_duration: durations(
                r,
                "scoria_stage_duration_seconds",
                "Time spent in each stage of a request.",
                &["endpoint", "deployment", "stage"],
            )?,
            in_flight: int_gauge(r, "scoria_requests_in_flight", "Requests in progress.", deployment)?,
            queue_depth: int_gauge(r, "scoria_queue_depth", "Requests waiting for a worker.", deployment)?,
            abandoned: counter(
                r,
                "scoria_requests_abandoned_total",
                "Requests whose client left before the answer; they are not among scoria_requests_total.",
                deployment,
            )?,
            batch_size: histogram(
                r,
                "scoria_batch_size",
                "Requests answered by one run of the model.",
                deployment,
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0],
            )?,
            request_bytes: counter(r, "scoria_request_bytes_total", "Bytes of request bodies read.", deployment)?,
            response_bytes: counter(r, "scoria_response_bytes_total", "Bytes of answers' bodies.", deployment)?,
            unrouted: counter(
                r,
                "scoria_unrouted_requests_total",
                "Requests that reached no endpoint, by status code.",
                &["code"],
            )?,
            model_info: gauge(
                r,
                "scoria_model_info",
                "Always 1; the labels say what a deployment runs and by what.",
                &["endpoint", "deployment", "model_version", "engine", "engine_version", "provider", "digest"],
            )?,
            deployment_ready: int_gauge(
                r,
                "scoria_deployment_ready",
                "1 when the deployment can answer, 0 when it is loading or has failed.",
                deployment,
            )?,
            load_duration: gauge(
                r,
                "scoria_deployment_load_seconds",
                "Time from reading the model's file to its first answer.",
                deployment,
            )?,
            scoring_connections: connections("scoring"),
            admin_connections: connections("admin"),
            tls: TlsFamilies::register(r)?,
            mirror: MirrorFamilies::register(r)?,
            webhooks: WebhookFamilies::register(r)?,
            log_lines_sampled_out: log_lines.with_label_values(&["sampling"]),
            log_lines_unread: log_lines.with_label_values(&["queue_full"]),
            unread_counted: AtomicU64::new(0),
            registry,
        })
    }

    /// The handles of a deployment that is about to serve.
    pub fn deployment(&self, endpoint: &str, deployment: &str) -> DeploymentMetrics {
        let labels = [endpoint, deployment];
        DeploymentMetrics {
            requests: self.requests.clone(),
            succeeded: self.requests.with_label_values(&[endpoint, deployment, "200"]),
            labels: labels.map(str::to_owned),
            duration: ["2xx", "4xx", "5xx"]
                .map(|class| self.request_duration.with_label_values(&[endpoint, deployment, class])),
            stages: Stage::ALL
                .map(|stage| self.stage_duration.with_label_values(&[endpoint, deployment, stage.name()])),
            in_flight: self.in_flight.with_label_values(&labels),
            abandoned: self.abandoned.with_label_values(&labels),
            queue_depth: self.queue_depth.with_label_values(&labels),
            batch_size: self.batch_size.with_label_values(&labels),
            runs: Runs::default(),
            request_bytes: self.request_bytes.with_label_values(&labels),
            response_bytes: self.response_bytes.with_label_values(&labels),
        }
    }

    /// The handles of a port that speaks TLS, by the port's name.
    pub fn tls(&self, port: &str) -> TlsMetrics {
        self.tls.port(port)
    }

    /// The handles of an event that others are told of, by its name.
    pub fn webhook(&self, event: &str) -> WebhookMetrics {
        self.webhooks.of(event)
    }

    /// The handles of a deployment that runs requests again.
    pub fn mirror(&self, endpoint: &str, deployment: &str) -> MirrorMetrics {
        self.mirror.of(endpoint, deployment)
    }

    /// What a deployment that can answer now runs.
    pub fn model_ready(&self, labels: ModelLabels<'_>, load_took: Duration) {
        let deployment = [labels.endpoint, labels.deployment];
        self.model_info.with_label_values(&labels.values(&labels.model_version.to_string())).set(1.0);
        self.load_duration.with_label_values(&deployment).set(load_took.as_secs_f64());
        self.deployment_ready.with_label_values(&deployment).set(1);
    }

    /// A deployment no longer runs this.
    pub fn model_gone(&self, labels: ModelLabels<'_>) {
        // It is not there if the same model had been loaded again; then it has gone before.
        drop(self.model_info.remove_label_values(&labels.values(&labels.model_version.to_string())));
    }

    /// An endpoint has no such deployment any more. What it has counted stays.
    pub fn deployment_gone(&self, endpoint: &str, deployment: &str) {
        drop(self.deployment_ready.remove_label_values(&[endpoint, deployment]));
        drop(self.load_duration.remove_label_values(&[endpoint, deployment]));
    }

    /// How long a deployment took to load.
    pub fn load_duration(&self, endpoint: &str, deployment: &str) -> Duration {
        let seconds = self.load_duration.with_label_values(&[endpoint, deployment]).get();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// A deployment is being loaded, or could not be.
    pub fn not_ready(&self, endpoint: &str, deployment: &str) {
        self.deployment_ready.with_label_values(&[endpoint, deployment]).set(0);
    }

    /// A request that reached no endpoint was answered. `status` is one of our own codes, so the series are few.
    pub fn unrouted(&self, status: u16) {
        self.unrouted.with_label_values(&[status_text(status).as_str()]).inc();
    }

    /// The exposition, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let unread = dropped_log_lines();
        // Two may be asked at the same time; each adds what the other has not.
        let counted = self.unread_counted.fetch_max(unread, Ordering::Relaxed);
        self.log_lines_unread.inc_by(unread.saturating_sub(counted));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The media type of [`Metrics::render`].
    pub const MEDIA_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

/// What [`Metrics::model_ready`] publishes.
#[derive(Clone, Copy, Debug)]
pub struct ModelLabels<'a> {
    pub endpoint: &'a str,
    pub deployment: &'a str,
    pub model_version: u64,
    pub engine: &'a str,
    pub engine_version: &'a str,
    pub provider: &'a str,
    pub digest: &'a str,
}

/// How often something happened, and how long it took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub count: u64,
    pub took: Duration,
}

impl<'a> ModelLabels<'a> {
    /// In the order of the metric's labels.
    fn values(self, model_version: &'a str) -> [&'a str; 7] {
        let ModelLabels { endpoint, deployment, engine, engine_version, provider, digest, .. } = self;
        [endpoint, deployment, model_version, engine, engine_version, provider, digest]
    }
}

impl DeploymentMetrics {
    /// What a stage has taken so far.
    pub fn stage_total(&self, stage: Stage) -> Total {
        let (count, took) = self.stages[stage as usize].count_and_sum();
        Total { count, took }
    }

    /// The requests that were answered with a success.
    pub fn succeeded_total(&self) -> Total {
        let (count, took) = self.duration[0].count_and_sum();
        Total { count, took }
    }

    /// The requests that were answered with a failure, the client's or ours.
    pub fn failed_total(&self) -> Total {
        let totals = self.duration[1..].iter().map(|durations| durations.count_and_sum());
        totals.fold(Total::default(), |total, (count, took)| Total {
            count: total.count + count,
            took: total.took + took,
        })
    }

    /// A stage took this long.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took);
    }

    /// A request was answered with this status code.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = match status {
            200..=299 => 0,
            500..=599 => 2,
            _ => 1,
        };
        self.duration[class].observe(took);
        if status == 200 {
            self.succeeded.inc();
        } else {
            let [endpoint, deployment] = &self.labels;
            self.requests.with_label_values(&[endpoint, deployment, &status_text(status)]).inc();
        }
    }
}

fn status_text(status: u16) -> String {
    status.to_string()
}

fn register<T: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: T) -> prometheus::Result<T> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
    register(registry, GaugeVec::new(Opts::new(name, help), labels)?)
}

pub(super) fn int_gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn durations(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<DurationsVec> {
    register(registry, DurationsVec::new(name, help, labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> prometheus::Result<HistogramVec> {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
}
