//! Triton's own metrics, by its names, for dashboards that know no others.
//!
//! Nothing is counted for them: they are put together from what is counted already, when they are asked for. `docs/triton.md`
//! lists them; a test compares the two. Source: Triton's `docs/user_guide/metrics.md`.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::DeploymentMetrics;
use super::exposition::{counter, family, gauge, pair, text};

/// One version of a model.
#[derive(Clone, Copy, Debug)]
pub struct TritonModel<'a> {
    pub model: &'a str,
    pub version: u64,
    pub succeeded: u64,
    pub failures: Failures,
    /// Rows that successful runs have had.
    pub inferences: u64,
    /// Successful runs.
    pub executions: u64,
    /// Over all successful requests, from their headers to their answers, and in each part of their way.
    pub request: Duration,
    pub queue: Duration,
    pub compute_input: Duration,
    pub compute_infer: Duration,
    pub compute_output: Duration,
    /// Requests that wait for a run.
    pub pending: i64,
    pub load: Duration,
}

/// Requests without an answer from the model, by Triton's reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Too many waited, or too long.
    pub rejected: u64,
    /// The client left.
    pub canceled: u64,
    /// The model failed.
    pub backend: u64,
    pub other: u64,
}

impl DeploymentMetrics {
    /// The requests that were not answered by the model.
    pub fn failures(&self) -> Failures {
        let mut failures = Failures { canceled: self.abandoned.get(), ..Failures::default() };
        let own = |metric: &&Metric| {
            let has = |name: &str, value: &str| {
                metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
            };
            has("endpoint", &self.labels[0]) && has("deployment", &self.labels[1])
        };
        for family in self.requests.collect() {
            for metric in family.get_metric().iter().filter(own) {
                let code = metric.get_label().iter().find(|label| label.name() == "code").map_or("", LabelPair::value);
                let reason = match code {
                    code if code.starts_with('2') => continue,
                    "429" | "503" | "504" => &mut failures.rejected,
                    code if code.starts_with('5') => &mut failures.backend,
                    _ => &mut failures.other,
                };
                *reason += metric.get_counter().get_value() as u64;
            }
        }
        failures
    }
}

/// The exposition, in Prometheus' text format.
pub fn render_triton(models: &[TritonModel<'_>]) -> prometheus::Result<Vec<u8>> {
    let us = |took: Duration| took.as_micros() as f64;
    let families = [
        counters(
            "nv_inference_request_success",
            "Number of successful inference requests, all batch sizes",
            models,
            |model| model.succeeded as f64,
        ),
        failures(models),
        counters(
            "nv_inference_count",
            "Number of inferences performed (does not include cached requests)",
            models,
            |model| model.inferences as f64,
        ),
        counters(
            "nv_inference_exec_count",
            "Number of model executions performed (does not include cached requests)",
            models,
            |model| model.executions as f64,
        ),
        counters(
            "nv_inference_request_duration_us",
            "Cumulative inference request duration in microseconds (includes cached requests)",
            models,
            |model| us(model.request),
        ),
        counters(
            "nv_inference_queue_duration_us",
            "Cumulative inference queuing duration in microseconds (includes cached requests)",
            models,
            |model| us(model.queue),
        ),
        counters(
            "nv_inference_compute_input_duration_us",
            "Cumulative compute input duration in microseconds (does not include cached requests)",
            models,
            |model| us(model.compute_input),
        ),
        counters(
            "nv_inference_compute_infer_duration_us",
            "Cumulative compute inference duration in microseconds (does not include cached requests)",
            models,
            |model| us(model.compute_infer),
        ),
        counters(
            "nv_inference_compute_output_duration_us",
            "Cumulative inference compute output duration in microseconds (does not include cached requests)",
            models,
            |model| us(model.compute_output),
        ),
        gauges(
            "nv_inference_pending_request_count",
            "Instantaneous number of pending requests awaiting execution per-model.",
            models,
            |model| model.pending as f64,
        ),
        gauges("nv_model_load_duration_secs", "Model load time in seconds", models, |model| model.load.as_secs_f64()),
    ];
    text(&families)
}

fn counters(
    name: &str,
    help: &str,
    models: &[TritonModel<'_>],
    value: impl Fn(&TritonModel<'_>) -> f64,
) -> MetricFamily {
    let metrics = models.iter().map(|model| counter(labels(model), value(model)));
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn failures(models: &[TritonModel<'_>]) -> MetricFamily {
    let mut metrics = Vec::new();
    for model in models {
        let Failures { rejected, canceled, backend, other } = model.failures;
        for (reason, count) in [("REJECTED", rejected), ("CANCELED", canceled), ("BACKEND", backend), ("OTHER", other)]
        {
            let [name, version] = labels(model);
            // Labels are in alphabetical order.
            metrics.push(counter([name, pair("reason", reason), version], count as f64));
        }
    }
    let help = "Number of failed inference requests, all batch sizes";
    family("nv_inference_request_failure", help, MetricType::COUNTER, metrics)
}

fn gauges(name: &str, help: &str, models: &[TritonModel<'_>], value: impl Fn(&TritonModel<'_>) -> f64) -> MetricFamily {
    let metrics = models.iter().map(|model| gauge(labels(model), value(model)));
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn labels(model: &TritonModel<'_>) -> [LabelPair; 2] {
    [pair("model", model.model), pair("version", &model.version.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn failures_are_told_by_their_codes() {
        let metrics = Metrics::new("0").unwrap();
        let (own, other) = (metrics.deployment("a", "default"), metrics.deployment("b", "default"));
        for code in [200, 200, 429, 503, 504, 500, 400, 401, 406] {
            own.answered(code, Duration::from_millis(1));
        }
        other.answered(500, Duration::from_millis(1));
        own.abandoned.inc();
        assert_eq!(own.failures(), Failures { rejected: 3, canceled: 1, backend: 1, other: 3 });
    }

    #[test]
    fn the_text_is_an_exposition() {
        assert_eq!(render_triton(&[]).unwrap(), b"");
        let model = TritonModel {
            model: "m",
            version: 3,
            succeeded: 7,
            failures: Failures { rejected: 1, ..Failures::default() },
            inferences: 9,
            executions: 5,
            request: Duration::from_micros(1_234),
            queue: Duration::ZERO,
            compute_input: Duration::ZERO,
            compute_infer: Duration::from_nanos(999_999),
            compute_output: Duration::ZERO,
            pending: 2,
            load: Duration::from_millis(1_500),
        };
        let text = String::from_utf8(render_triton(&[model]).unwrap()).unwrap();
        for line in [
            "# HELP nv_inference_request_success Number of successful inference requests, all batch sizes",
            "# TYPE nv_inference_request_success counter",
            "nv_inference_request_success{model=\"m\",version=\"3\"} 7",
            "nv_inference_request_failure{model=\"m\",reason=\"REJECTED\",version=\"3\"} 1",
            "nv_inference_request_failure{model=\"m\",reason=\"OTHER\",version=\"3\"} 0",
            "nv_inference_count{model=\"m\",version=\"3\"} 9",
            "nv_inference_request_duration_us{model=\"m\",version=\"3\"} 1234",
            "nv_inference_compute_infer_duration_us{model=\"m\",version=\"3\"} 999",
            "# TYPE nv_inference_pending_request_count gauge",
            "nv_model_load_duration_secs{model=\"m\",version=\"3\"} 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
