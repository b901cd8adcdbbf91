//! One loaded graph of ONNX Runtime, and the handle that ends its runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::logging::LogLevel;
use ort::session::{RunOptions, Session as Graph};

use super::{failed, failure, value};
use crate::engine::allowance::Allowance;
use crate::engine::{Interrupt, LoadError, RunError, Session};
use crate::tensor::{OutputSpec, Signature, Tensor, Value};

/// A session and what maps it to the signature.
pub(super) struct OrtSession {
    graph: Graph,
    stop: Arc<Stop>,
    /// For each input of the runtime, in its order, the position in the signature.
    inputs: Vec<usize>,
    /// The signature's outputs, each with its position among the runtime's.
    outputs: Vec<(OutputSpec, usize)>,
    max_output_elements: usize,
}

impl OrtSession {
    pub(super) fn new(
        graph: Graph,
        signature: &Signature,
        max_output_elements: usize,
    ) -> Result<OrtSession, LoadError> {
        // By name, because the runtime decides by itself which inputs are defaults to be left out.
        let inputs = (graph.inputs().iter())
            .map(|input| {
                let missing = || failed(format!("it asks for input '{}', which the graph does not list", input.name()));
                signature.input_index(input.name()).ok_or_else(missing)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if inputs.len() != signature.inputs.len() {
            let unknown = signature.inputs.iter().enumerate().find(|(index, _)| !inputs.contains(index));
            let name = unknown.map_or("", |(_, input)| &input.name);
            return Err(failed(format!("it does not take input '{name}', or takes one twice")));
        }
        let outputs = (signature.outputs.iter())
            .map(|spec| {
                let position = graph.outputs().iter().position(|output| output.name() == spec.name);
                let missing = || failed(format!("it does not give output '{}'", spec.name));
                Ok((spec.clone(), position.ok_or_else(missing)?))
            })
            .collect::<Result<_, LoadError>>()?;
        let stop = Stop::new().map_err(|error| failed(error.to_string()))?;
        Ok(OrtSession { graph, stop: Arc::new(stop), inputs, outputs, max_output_elements })
    }
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        let inputs = self.inputs.iter().map(|&index| value::lend(&inputs[index])).collect::<Result<Vec<_>, _>>()?;
        let stopped = |error: ort::Error| failure::classify(error.code(), error.message(), self.stop.was_called());
        let outputs = self.graph.run_with_options(inputs.as_slice(), &self.stop.options).map_err(stopped)?;
        let mut allowance = Allowance::new(self.max_output_elements);
        let take = |(spec, index): &(OutputSpec, usize)| value::take(&outputs[*index], &spec.value, &mut allowance);
        self.outputs.iter().map(take).collect()
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }
}

/// The run options of every run of one session, which carry the flag that ends it.
struct Stop {
    options: RunOptions,
    called: AtomicBool,
}

impl Stop {
    fn new() -> ort::Result<Stop> {
        let mut options = RunOptions::new()?;
        // A failed run is reported by who asked for it; the runtime's own line would let any client fill the log.
        options.set_log_level(LogLevel::Fatal)?;
        Ok(Stop { options, called: AtomicBool::new(false) })
    }

    fn was_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }
}

impl Interrupt for Stop {
    fn reset(&self) {
        self.called.store(false, Ordering::Release);
        if let Err(error) = self.options.unterminate() {
            tracing::warn!(%error, "the runtime kept its stop flag");
        }
    }

    fn stop(&self) {
        self.called.store(true, Ordering::Release);
        if let Err(error) = self.options.terminate() {
            tracing::warn!(%error, "the runtime did not take the stop flag");
        }
    }
}
