//! Triton's metrics of what is served now, for `/metrics`.

use std::time::Duration;

use crate::codec::open_inference::ModelStatistics;
use crate::deployment::RoutingTable;
use crate::telemetry::{Metrics, TritonModel, render_triton};

/// The exposition of every deployment of every endpoint that is served.
pub fn render(table: &RoutingTable, metrics: &Metrics) -> prometheus::Result<Vec<u8>> {
    let endpoints: Vec<_> = table.entries().filter_map(|(_, entry)| entry.endpoint.as_ref()).collect();
    let mut models = Vec::new();
    for endpoint in endpoints {
        for deployment in &endpoint.deployments {
            let (name, version) = (endpoint.name.as_str(), deployment.model.version);
            let counted = ModelStatistics::new(name, version, &endpoint.signature, &deployment.metrics);
            let parts = counted.inference_stats;
            models.push(TritonModel {
                model: name,
                version,
                succeeded: parts.success.count,
                failures: deployment.metrics.failures(),
                inferences: counted.inference_count,
                executions: counted.execution_count,
                request: Duration::from_nanos(parts.success.ns),
                queue: Duration::from_nanos(parts.queue.ns),
                compute_input: Duration::from_nanos(parts.compute_input.ns),
                compute_infer: Duration::from_nanos(parts.compute_infer.ns),
                compute_output: Duration::from_nanos(parts.compute_output.ns),
                pending: deployment.metrics.queue_depth.get(),
                load: metrics.load_duration(name, deployment.name.as_str()),
            });
        }
    }
    render_triton(&models)
}
