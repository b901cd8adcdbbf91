//! A model's counters, as clients of the statistics extension read them.
//!
//! Source: Triton's `extension_statistics.md`. There is no cache, so its counters stay 0.

use serde::Serialize;

use super::config::is_batched;
use crate::telemetry::{DeploymentMetrics, RunsOfSize, Stage, Total};
use crate::tensor::Signature;

/// The answer about one or several models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StatisticsReply {
    pub model_stats: Vec<ModelStatistics>,
}

/// One version of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelStatistics {
    pub name: String,
    pub version: String,
    /// Milliseconds since 1970; 0 if there has been none.
    pub last_inference: u64,
    /// Rows of successful runs.
    pub inference_count: u64,
    /// Successful runs of the model.
    pub execution_count: u64,
    pub inference_stats: InferStatistics,
    /// For models that answer one request several times, which there are none of.
    pub response_stats: Empty,
    pub batch_stats: Vec<BatchStatistics>,
    pub memory_usage: [(); 0],
}

/// `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

/// The way of requests, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InferStatistics {
    pub success: Counted,
    pub fail: Counted,
    pub queue: Counted,
    pub compute_input: Counted,
    pub compute_infer: Counted,
    pub compute_output: Counted,
    pub cache_hit: Counted,
    pub cache_miss: Counted,
}

/// Runs of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchStatistics {
    /// Rows.
    pub batch_size: u64,
    /// Inputs are decoded and outputs encoded request by request, before and after a batch: these two are 0.
    pub compute_input: Counted,
    pub compute_infer: Counted,
    pub compute_output: Counted,
}

/// How often, and how long together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub count: u64,
    pub ns: u64,
}

impl ModelStatistics {
    /// The counters of a deployment. Requests are counted whatever protocol they came by.
    pub fn new(name: &str, version: u64, signature: &Signature, metrics: &DeploymentMetrics) -> Self {
        let stage = |stage| Counted::from(metrics.stage_total(stage));
        let runs = metrics.runs.runs();
        // Requests are on their way, and some fail on it: those that came to its end are counted in each part, as by Triton, which
        // counts a request once it is answered. perf_analyzer gives up when the three differ.
        let ended = stage(Stage::Encode);
        let part = |part| Counted { count: ended.count, ..stage(part) };
        let compute_infer = part(Stage::Run);
        // What cannot be joined is one element, whatever its first dimension.
        let (inference_count, batch_stats) = if is_batched(signature) {
            (metrics.runs.rows(), metrics.runs.by_rows().into_iter().map(BatchStatistics::from).collect())
        } else {
            let compute_infer = Counted { count: runs, ..compute_infer };
            let single = BatchStatistics { batch_size: 1, compute_infer, ..BatchStatistics::default() };
            (runs, if runs > 0 { vec![single] } else { Vec::new() })
        };
        ModelStatistics {
            name: name.to_owned(),
            version: version.to_string(),
            last_inference: metrics.runs.last_ms(),
            inference_count,
            execution_count: runs,
            inference_stats: InferStatistics {
                success: metrics.succeeded_total().into(),
                fail: metrics.failed_total().into(),
                queue: part(Stage::Queue),
                compute_input: part(Stage::Decode),
                compute_infer,
                compute_output: ended,
                cache_hit: Counted::default(),
                cache_miss: Counted::default(),
            },
            response_stats: Empty {},
            batch_stats,
            memory_usage: [],
        }
    }
}

impl From<Total> for Counted {
    fn from(total: Total) -> Counted {
        Counted { count: total.count, ns: u64::try_from(total.took.as_nanos()).unwrap_or(u64::MAX) }
    }
}

impl From<RunsOfSize> for BatchStatistics {
    fn from(runs: RunsOfSize) -> BatchStatistics {
        let compute_infer = Total { count: runs.runs, took: runs.took }.into();
        BatchStatistics { batch_size: runs.rows, compute_infer, ..BatchStatistics::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn each_part_counts_the_requests_that_came_to_the_end() {
        let metrics = Metrics::new("0").unwrap().deployment("m", "default");
        for stage in [Stage::Decode, Stage::Decode, Stage::Queue, Stage::Run, Stage::Encode] {
            metrics.stage(stage, Duration::from_micros(3));
        }
        let parts = ModelStatistics::new("m", 1, &Signature::default(), &metrics).inference_stats;
        let compute = [parts.queue, parts.compute_input, parts.compute_infer, parts.compute_output];
        assert_eq!(compute.map(|part| part.count), [1; 4], "the second request is not done");
        assert_eq!((parts.compute_input.ns, parts.compute_infer.ns), (6_000, 3_000));
    }
}
