//! How many rows of several requests share a run of a model that is being loaded: none, unless they are known to stay apart.

use std::sync::Arc;
use std::time::Instant;

use super::loader::{DEVICE_WARM_UP_MAX, Loader, WARM_UP_MAX};
use super::measure::{Batching, Budget, measure_batches, warm_sizes};
use super::{Description, ModelSpec};
use crate::deployment::{JoinVerdict, RowJoining};
use crate::engine::{Graph, LoadOptions};
use crate::probe::joining;
use crate::schedule::{BATCH_ROWS_MAX, Lane, Place, batch_rows};
use crate::tensor::Tensor;

impl Loader {
    /// What batches cost in a lane, with so many GPUs and threads inside, and how large they may be.
    pub(super) fn batching(
        &self,
        spec: &ModelSpec,
        graph: &Graph,
        (lane, devices, intra_op_threads): (&Arc<Lane>, usize, usize),
        inputs: &[Tensor],
    ) -> (Batching, RowJoining) {
        let asked = self.settings.wishes.max_batch;
        let largest = if asked == 0 { BATCH_ROWS_MAX } else { asked };
        let budget = if devices > 0 { Budget::ON_DEVICE } else { Budget::ON_PROCESSOR };
        let obstacle = self.obstacle(graph);
        if devices > 0 && obstacle.is_none() {
            // An engine is built anew for sizes beyond those that there have been: once for the largest rather than for each. Whether
            // that runs at all is seen below.
            let outcome = warm_sizes(lane, inputs, [largest].into_iter(), Instant::now() + DEVICE_WARM_UP_MAX);
            tracing::debug!(endpoint = %spec.name, largest, ?outcome, "ran the largest batch");
        }
        // One request may bring many rows, so what these cost is of use even where nothing is joined.
        let mut batching = measure_batches(lane, inputs, largest, budget);
        let worth = match asked {
            0 => batch_rows(&batching.runs, intra_op_threads),
            asked => asked,
        };
        let row_joining = match obstacle {
            Some(reason) => RowJoining::new(JoinVerdict::Alone, reason),
            None if asked == 1 => RowJoining::new(JoinVerdict::Unused, "max_batch is 1"),
            None if worth == 1 => {
                RowJoining::new(JoinVerdict::Unused, "a run of several rows takes as long as a run for each")
            }
            None => self.tried(spec, graph, lane, devices, inputs),
        };
        let is_joined = matches!(row_joining.verdict, JoinVerdict::Joined | JoinVerdict::AtRisk);
        batching.max_batch = if is_joined { worth } else { 1 };
        (batching, row_joining)
    }

    /// What keeps rows apart before any run: the signature, or operators that may mix them and that nobody has allowed to.
    pub(super) fn obstacle(&self, graph: &Graph) -> Option<String> {
        let obstacle = joining::obstacle(&graph.signature).map(|obstacle| obstacle.to_string());
        obstacle.or_else(|| joining::doubt(&graph.row_wise).filter(|_| !self.settings.allow_rows_to_mix))
    }

    /// Whether rows that run together give what they give apart.
    fn tried(
        &self,
        spec: &ModelSpec,
        graph: &Graph,
        lane: &Arc<Lane>,
        devices: usize,
        inputs: &[Tensor],
    ) -> RowJoining {
        let on_processor = (devices > 0).then(|| self.on_processor(spec, graph)).flatten();
        let lane = on_processor.as_ref().unwrap_or(lane);
        let deadline = Instant::now() + WARM_UP_MAX;
        let mut run = |inputs: &[Tensor]| lane.hold().run(inputs, Instant::now(), deadline, Place::Worker);
        let found = joining::examine(graph, Some(inputs), self.settings.endpoint.max_elements, &mut run);
        let evidence = found.evidence.as_ref().map_or_else(String::new, ToString::to_string);
        match joining::doubt(&found.row_wise) {
            _ if !found.is_shown() => RowJoining::new(JoinVerdict::Alone, evidence),
            None => RowJoining::new(JoinVerdict::Joined, format!("{}, and {evidence}", joining::PROVEN)),
            Some(doubt) => RowJoining::new(
                JoinVerdict::AtRisk,
                format!("allow_rows_to_mix is set: {doubt}, so answers may depend on other clients' rows; {evidence}"),
            ),
        }
    }

    /// The model on the processor, if that can run it. Whether rows are independent is the model's own property, and on a GPU it is
    /// hard to see: there, kernels for other numbers of rows round otherwise, and more coarsely.
    fn on_processor(&self, spec: &ModelSpec, graph: &Graph) -> Option<Arc<Lane>> {
        let options = LoadOptions {
            intra_op_threads: self.settings.cores.total(),
            max_output_elements: self.settings.endpoint.max_elements,
            ..LoadOptions::default()
        };
        let loaded = self.load_lane(spec, graph, &options);
        loaded
            .inspect_err(|error| tracing::debug!(endpoint = %spec.name, %error, "not to be had on the processor"))
            .ok()
            .map(|model| model.1)
    }

    /// Says what became of a wish to join rows, and warns of a risk that is taken.
    pub(super) fn tell_row_joining(&self, spec: &ModelSpec, row_joining: &RowJoining) {
        let RowJoining { verdict, reason } = row_joining;
        let wishes = self.settings.wishes;
        let is_asked = wishes.max_batch > 1 || !wishes.max_batch_delay.is_zero();
        match verdict {
            JoinVerdict::AtRisk => {
                tracing::warn!(endpoint = %spec.name, reason, "rows of several requests share runs, unproven");
            }
            JoinVerdict::Alone if is_asked => {
                let by = self.batching_field(spec);
                tracing::warn!(
                    endpoint = %spec.name,
                    max_batch = wishes.max_batch,
                    max_batch_delay_us = wishes.max_batch_delay.as_micros() as u64,
                    by,
                    reason,
                    "rows of several requests were to share runs, and each request has a run of its own"
                );
            }
            JoinVerdict::Alone => {
                tracing::info!(endpoint = %spec.name, reason, "each request has a run of its own");
            }
            JoinVerdict::Joined | JoinVerdict::Unused => {
                tracing::debug!(endpoint = %spec.name, ?verdict, reason, "whether requests share runs");
            }
        }
    }

    /// Where a `config.pbtxt` asks for batches, if one does.
    fn batching_field(&self, spec: &ModelSpec) -> Option<String> {
        let Description::Config(config) = &spec.description else { return None };
        let setting = config.settings.iter().find(|setting| setting.key.starts_with("max_batch"))?;
        Some(format!("{}:{}", config.path().display(), setting.place))
    }
}
