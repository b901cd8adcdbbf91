//! The runs of one graph one after the other, and the handle that ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::logging::LogLevel;
use ort::session::RunOptions;
use ort::value::DynValue;

use super::buffers::{Buffer, Buffers, Rows};
use super::failure::Failure;
use super::fleet::{Fleet, Graphs};
use super::graph::LoadedGraph;
use super::recorder::{Recorder, Replay, do_not_record};
use super::view::Place;
use super::{failed, value};
use crate::engine::allowance::Allowance;
use crate::engine::{Buckets, Interrupt, LoadError, Lookup, RunError, Session, Staging, join};
use crate::tensor::{Signature, Tensor, Value, first_rows};

/// A way to run a graph that others may run at the same time.
pub(super) struct OrtSession {
    /// Who has recorded runs and replays them, if they are.
    recorder: Option<Recorder>,
    /// Where inputs are copied to, if they are. First, so that it is let go of before the graph that it is memory of.
    buffers: Option<Buffers>,
    fleet: Arc<Fleet>,
    graphs: Arc<Graphs>,
    stop: Arc<Stop>,
    contract: Arc<Contract>,
}

/// What all sessions of a model have in common.
pub(super) struct Contract {
    pub signature: Signature,
    pub lookups: Vec<Lookup>,
    pub max_output_elements: usize,
    pub staging: Staging,
    /// Whether runs are recorded and replayed.
    pub is_recorded: bool,
}

/// What a run reads and writes.
struct Memory {
    inputs: Vec<Buffer>,
    /// `None` for what the runtime makes itself.
    outputs: Vec<Option<Buffer>>,
}

impl OrtSession {
    /// A session on the next device in turn.
    pub(super) fn new(fleet: Arc<Fleet>, contract: Arc<Contract>) -> Result<OrtSession, LoadError> {
        let stop = Stop::new(contract.is_recorded).map_err(|error| failed(error.to_string()))?;
        let graphs = fleet.next();
        let is_staged = graphs.any.device().is_some() || contract.staging != Staging::OnDevices;
        let place = graphs.any.device().map_or(Place::Host, Place::Gpu);
        let recorder = contract.is_recorded.then(|| Recorder::start(&graphs, place)).transpose()?;
        let buffers = is_staged
            .then(|| Buffers::new(place, graphs.any.host_memory(), &contract.signature, contract.max_output_elements));
        Ok(OrtSession { recorder, buffers, fleet, graphs, stop: Arc::new(stop), contract })
    }

    /// Runs on inputs where they lie.
    fn run_in_place(&self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        let inputs = inputs.iter().map(value::lend).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<&DynValue> = inputs.iter().map(|value| &**value).collect();
        self.take(&self.execute(&self.graphs.any, &values)?, None)
    }

    /// Runs on copies of the inputs in the session's own memory, padded as far as that is allowed.
    fn run_staged(&mut self, buffers: &mut Buffers, parts: &[&[Tensor]]) -> Result<Vec<Value>, RunError> {
        parts.iter().try_for_each(|inputs| self.check_lookups(inputs))?;
        let rows = buffers.rows(parts);
        let mut memory = Memory { inputs: buffers.fill(parts, rows)?, outputs: buffers.outputs(rows)? };
        let outputs = self.compute(buffers, &mut memory, rows).and_then(|made| self.take(&made, rows));
        let Memory { inputs, outputs: given } = memory;
        inputs.into_iter().chain(given.into_iter().flatten()).for_each(|buffer| buffers.give_back(buffer));
        if let (Err(RunError::Failed(_)), Some(rows)) = (&outputs, rows)
            && rows.run > rows.asked
        {
            // Whoever shows that rows are independent sees made-up ones.
            buffers.buckets = None;
        }
        outputs
    }

    /// Refuses what a GPU would not: see [`Lookup`].
    fn check_lookups(&self, inputs: &[Tensor]) -> Result<(), RunError> {
        self.contract.lookups.iter().try_for_each(|lookup| {
            let Some(tensor) = inputs.get(lookup.input) else { return Ok(()) };
            let name = || self.contract.signature.inputs.get(lookup.input).map_or("", |input| &input.name);
            lookup.check(tensor).map_err(|reason| RunError::Rejected(format!("input '{}': {reason}", name())))
        })
    }

    /// The outputs of a run on what is in `memory`, to be dropped before that is given back.
    fn compute(
        &self,
        buffers: &mut Buffers,
        memory: &mut Memory,
        rows: Option<Rows>,
    ) -> Result<Vec<DynValue>, RunError> {
        if self.replay(memory)? {
            return memory.outputs.iter_mut().flatten().map(|buffer| buffers.host_value(buffer)).collect();
        }
        let brought = buffers.bring(&mut memory.inputs);
        let lent = if brought.is_empty() { memory.inputs.as_mut_slice() } else { &mut [] };
        let lent = lent.iter_mut().map(|buffer| buffers.host_value(buffer)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<&DynValue> = brought.iter().map(|input| &input.value).chain(&lent).collect();
        let graph = self.graphs.for_rows(rows.map(|rows| rows.run));
        let made = self.run_on(buffers, graph, &values, &mut memory.outputs);
        buffers.take_back(brought);
        made
    }

    /// Runs on inputs wherever they are, with outputs in the memory there is for them, if they fit.
    fn run_on(
        &self,
        buffers: &mut Buffers,
        graph: &LoadedGraph,
        values: &[&DynValue],
        outputs: &mut [Option<Buffer>],
    ) -> Result<Vec<DynValue>, RunError> {
        let given = outputs.iter_mut();
        let given = given.map(|buffer| buffer.as_mut().map(|buffer| buffers.host_value(buffer)).transpose());
        let given = given.collect::<Result<Vec<_>, _>>()?;
        match self.execute_into(graph, values, given) {
            // The model may only say of its outputs what it does not keep.
            Err(RunError::Failed(reason)) if outputs.iter().any(Option::is_some) => {
                let made = self.execute(graph, values);
                if made.is_ok() {
                    tracing::warn!(
                        reason,
                        "an output is of another shape than the model says; it gets its memory in each run"
                    );
                    buffers.has_outputs = false;
                }
                made
            }
            outcome => outcome,
        }
    }

    /// Whether the run was replayed, its outputs being where there is memory for them.
    fn replay(&self, memory: &mut Memory) -> Result<bool, RunError> {
        let Some(recorder) = &self.recorder else { return Ok(false) };
        let is_empty = |buffer: &Buffer| buffer.kind.bytes() == 0;
        if memory.outputs.iter().any(Option::is_none) || memory.inputs.iter().any(is_empty) {
            return Ok(false);
        }
        // Once it has begun it cannot be ended.
        if self.stop.was_called() {
            return Err(RunError::Interrupted);
        }
        let outputs = memory.outputs.drain(..).flatten().collect();
        let done = recorder.run(std::mem::take(&mut memory.inputs), outputs)?;
        memory.inputs = done.inputs;
        memory.outputs = done.outputs.into_iter().map(Some).collect();
        Ok(done.outcome? == Replay::Replayed)
    }

    /// The outputs of a run, which the runtime makes.
    fn execute(&self, graph: &LoadedGraph, values: &[&DynValue]) -> Result<Vec<DynValue>, RunError> {
        let made = Failure::of(|| graph.run(values, &[], &self.stop.options), || self.stop.was_called())?;
        Ok(made.into_iter().flatten().collect())
    }

    /// The outputs of a run: those that are given, and those that the runtime makes of the others.
    fn execute_into(
        &self,
        graph: &LoadedGraph,
        values: &[&DynValue],
        given: Vec<Option<DynValue>>,
    ) -> Result<Vec<DynValue>, RunError> {
        let lent: Vec<_> = given.iter().map(Option::as_ref).collect();
        let made = Failure::of(|| graph.run(values, &lent, &self.stop.options), || self.stop.was_called())?;
        Ok(given.into_iter().zip(made).filter_map(|(given, made)| given.or(made)).collect())
    }

    /// Copies the outputs out of the runtime's memory, but for the rows of padding.
    fn take(&self, made: &[DynValue], rows: Option<Rows>) -> Result<Vec<Value>, RunError> {
        let padding = rows.filter(|rows| rows.run > rows.asked);
        // Rows that are thrown away count for nobody.
        let max_elements = match padding {
            Some(rows) => self.contract.max_output_elements.saturating_mul(rows.run) / rows.asked.max(1),
            None => self.contract.max_output_elements,
        };
        let mut allowance = Allowance::new(max_elements);
        let declared = self.contract.signature.outputs.iter().map(|spec| &spec.value);
        let taken = made.iter().zip(declared).map(|(value, declared)| {
            let output = value::take(value, declared, &mut allowance)?;
            match (padding, output) {
                (None, output) => Ok(output),
                (Some(rows), Value::Tensor(tensor)) if tensor.shape().first() == Some(&rows.run) => {
                    let kept = first_rows(tensor, rows.asked);
                    kept.map(Value::Tensor).ok_or_else(|| RunError::Failed("an output has no rows".to_owned()))
                }
                (Some(_), _) => Err(RunError::Failed("an output has not as many rows as the inputs".to_owned())),
            }
        });
        taken.collect()
    }
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        if self.buffers.is_none() || has_text(inputs) {
            return self.run_in_place(inputs);
        }
        self.run_joined(&[inputs])
    }

    fn run_joined(&mut self, parts: &[&[Tensor]]) -> Result<Vec<Value>, RunError> {
        let is_text = parts.iter().any(|inputs| has_text(inputs));
        match self.buffers.take_if(|_| !is_text) {
            Some(mut buffers) => {
                let is_padded = buffers.rows(parts).is_some_and(|rows| rows.run > rows.asked);
                let mut outcome = self.run_staged(&mut buffers, parts);
                if is_padded && outcome.is_err() && buffers.buckets.is_none() {
                    outcome = self.run_staged(&mut buffers, parts);
                }
                self.buffers = Some(buffers);
                outcome
            }
            None => {
                let joined = join(parts).ok_or_else(|| RunError::Failed("the inputs cannot be joined".to_owned()))?;
                self.run_in_place(&joined)
            }
        }
    }

    fn allow_padding(&mut self, buckets: Buckets) {
        if let Some(buffers) = &mut self.buffers {
            buffers.buckets = Some(buckets);
        }
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn another(&self) -> Result<Box<dyn Session>, LoadError> {
        let mut another = OrtSession::new(self.fleet.clone(), self.contract.clone())?;
        if let Some(buckets) = self.buffers.as_ref().and_then(|buffers| buffers.buckets) {
            another.allow_padding(buckets);
        }
        Ok(Box::new(another))
    }
}

/// Texts are the runtime's own objects, and never copied as they are.
fn has_text(inputs: &[Tensor]) -> bool {
    inputs.iter().any(|input| matches!(input, Tensor::String(_)))
}

/// The run options of every run of one session, which carry the flag that ends it.
struct Stop {
    options: RunOptions,
    called: AtomicBool,
}

impl Stop {
    fn new(is_recorded: bool) -> ort::Result<Stop> {
        let mut options = RunOptions::new()?;
        if is_recorded {
            // Those that are have options of their own.
            do_not_record(&mut options)?;
        }
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
