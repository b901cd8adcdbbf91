//! What the server tells its operator: every metric, named once, and the log.

mod durations;
mod exposition;
mod gpu;
mod line_queue;
mod logging;
mod metrics;
mod mirror;
mod nvml;
mod outlets;
mod request_log;
mod runs;
mod tls;
mod triton;
mod webhooks;

pub use gpu::{Gpu, GpuNames, Gpus, render_gpus};
pub use logging::{LevelFilter, LogSettings, LogStyle, log_level, set_log_level, start_logging, start_queued_logging};
pub use metrics::{Closed, ConnectionMetrics, DeploymentMetrics, Metrics, ModelLabels, Stage, Total};
pub use mirror::{MirrorMetrics, Mirrored};
pub use outlets::{LOG_QUEUE_BYTES_MAX, flush_outlets, write_err, write_out};
pub use request_log::{RequestLog, Verdict};
pub use runs::{Runs, RunsOfSize};
pub use tls::{HandshakeFailure, TlsMetrics};
pub use triton::{Failures, TritonModel, render_triton};
pub use webhooks::WebhookMetrics;
