//! The runs of one graph one after the other, and the handle that ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::logging::LogLevel;
use ort::session::RunOptions;

use super::failure::Failure;
use super::fleet::Fleet;
use super::graph::LoadedGraph;
use super::{allocator, failed, value};
use crate::engine::allowance::Allowance;
use crate::engine::{Interrupt, LoadError, RunError, Session};
use crate::tensor::{OutputSpec, Tensor, Value};

/// A way to run a graph that others may run at the same time.
pub(super) struct OrtSession {
    fleet: Arc<Fleet>,
    graph: Arc<LoadedGraph>,
    stop: Arc<Stop>,
    outputs: Arc<[OutputSpec]>,
    max_output_elements: usize,
}

impl OrtSession {
    /// A session of the next graph in turn. `outputs` are the signature's, whose graphs these are.
    pub(super) fn new(
        fleet: Arc<Fleet>,
        outputs: Arc<[OutputSpec]>,
        max_output_elements: usize,
    ) -> Result<OrtSession, LoadError> {
        let stop = Stop::new().map_err(|error| failed(error.to_string()))?;
        let graph = fleet.next();
        Ok(OrtSession { fleet, graph, stop: Arc::new(stop), outputs, max_output_elements })
    }
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        let inputs = inputs.iter().map(value::lend).collect::<Result<Vec<_>, _>>()?;
        // What an earlier run was refused is not this one's.
        allocator::refused_bytes();
        let outputs = self.graph.run(&inputs, &self.stop.options).map_err(|error| {
            let failure = Failure {
                code: error.code(),
                message: error.message(),
                refused_bytes: allocator::refused_bytes(),
                stopped: self.stop.was_called(),
            };
            failure.classify()
        })?;
        let mut allowance = Allowance::new(self.max_output_elements);
        let declared = self.outputs.iter().map(|spec| &spec.value);
        outputs.iter().zip(declared).map(|(value, declared)| value::take(value, declared, &mut allowance)).collect()
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn another(&self) -> Result<Box<dyn Session>, LoadError> {
        let another = OrtSession::new(self.fleet.clone(), self.outputs.clone(), self.max_output_elements)?;
        Ok(Box::new(another))
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
