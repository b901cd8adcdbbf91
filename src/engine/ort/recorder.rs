//! Runs that are recorded once and replayed: CUDA graphs.
//!
//! A recorded run is one step for the processor instead of one for each operator, which small runs often take most of their time
//! for. It works on the very memory that it was recorded on, so inputs are copied to where the first ones were, and outputs from
//! where those came to be. The runtime keeps a recording for the thread that made it
//! (`CUDAExecutionProvider::PerThreadContext`), hence one thread for each session; and all runs of a graph have one stream, so
//! that several sessions take turns (`graph`) while they copy at the same time.
//!
//! What is recorded: runs whose outputs' shapes are known before, for the first [`RECORDINGS_MAX`] combinations of shapes. Memory of
//! recordings is not from the runtime's arena. There, what a run has given back may be part of another recording.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ort::memory::Allocator;
use ort::session::RunOptions;

use super::buffers::Buffer;
use super::device::{self, Device, Direction, Placed};
use super::failed;
use super::failure::Failure;
use super::fleet::Graphs;
use super::view::{Kind, Place};
use crate::engine::{LoadError, RunError};

/// Each holds memory for its inputs and outputs, and a list of the GPU's work.
const RECORDINGS_MAX: usize = 32;

/// The run option by which a recording is told from others; the value below has a run neither recorded nor replayed
/// (`onnxruntime_run_options_config_keys.h`).
const RECORDING: &str = "gpu_graph_id";
const NO_RECORDING: &str = "-1";

/// A session's thread, with its recordings.
pub(super) struct Recorder {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

struct Job {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

/// A job with what came of it.
pub(super) struct Done {
    pub inputs: Vec<Buffer>,
    /// Written to if the run was replayed.
    pub outputs: Vec<Buffer>,
    pub outcome: Result<Replay, RunError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    Replayed,
    /// There are recordings enough, or none can be made of this.
    NotRecorded,
}

/// Says of all runs with these options that they are not to be recorded.
pub(super) fn do_not_record(options: &mut RunOptions) -> ort::Result<()> {
    options.set(RECORDING, NO_RECORDING)
}

impl Recorder {
    /// Starts the thread. `place` is where the graph computes; on the host there is nothing to be recorded, and all the rest is as on
    /// a GPU.
    pub(super) fn start(graphs: &Arc<Graphs>, place: Place) -> Result<Recorder, LoadError> {
        let (jobs, to_do) = channel();
        let (finished, done) = channel();
        let (ready, began) = channel();
        let graphs = Arc::clone(graphs);
        let work = move || record(graphs, place, &ready, (&to_do, &finished));
        let thread = thread::Builder::new().name("scoria-recorder".to_owned());
        thread.spawn(work).map_err(|error| failed(error.to_string()))?;
        match began.recv() {
            Ok(Ok(())) => Ok(Recorder { jobs, done }),
            Ok(Err(reason)) => Err(failed(format!("runs cannot be recorded: {reason}"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Replays a run, after it has been recorded if it is the first of its kind.
    pub(super) fn run(&self, inputs: Vec<Buffer>, outputs: Vec<Buffer>) -> Result<Done, RunError> {
        let ended = || RunError::Failed("the thread that replays runs has ended".to_owned());
        self.jobs.send(Job { inputs, outputs }).map_err(|_| ended())?;
        self.done.recv().map_err(|_| ended())
    }
}

/// The thread's life.
fn record(
    graphs: Arc<Graphs>,
    place: Place,
    ready: &Sender<Result<(), String>>,
    (jobs, finished): (&Receiver<Job>, &Sender<Done>),
) {
    let device = match device::open(place) {
        Ok(device) => device,
        // Who started the thread is waiting for this.
        Err(reason) => return drop(ready.send(Err(reason))),
    };
    drop(ready.send(Ok(())));
    let allocator = graphs.any.host_memory();
    let mut tape = Tape { recordings: Vec::new(), device, place, allocator, graphs };
    for Job { mut inputs, mut outputs } in jobs {
        let outcome = tape.run(&mut inputs, &mut outputs);
        if finished.send(Done { inputs, outputs, outcome }).is_err() {
            return;
        }
    }
}

/// What the thread works on.
struct Tape {
    /// First, so that their values go before the graphs they were made for, and their memory before the device.
    recordings: Vec<Recording>,
    device: Box<dyn Device>,
    place: Place,
    allocator: Allocator,
    graphs: Arc<Graphs>,
}

/// Runs of these inputs, in this memory.
struct Recording {
    kinds: Vec<Kind>,
    /// `None` if it could not be made.
    made: Option<Made>,
}

struct Made {
    inputs: Vec<Placed>,
    outputs: Vec<Placed>,
    options: RunOptions,
}

impl Tape {
    fn run(&mut self, inputs: &mut [Buffer], outputs: &mut [Buffer]) -> Result<Replay, RunError> {
        let is_same = |recording: &Recording| {
            recording.kinds.len() == inputs.len()
                && recording.kinds.iter().zip(&*inputs).all(|(kind, input)| *kind == input.kind)
        };
        let known = self.recordings.iter().position(is_same);
        let is_first = known.is_none();
        let index = match known {
            Some(index) => index,
            None if self.recordings.len() == RECORDINGS_MAX => return Ok(Replay::NotRecorded),
            None => {
                let made = self.prepare(inputs, outputs)?;
                let kinds = inputs.iter().map(|input| input.kind.clone()).collect();
                self.recordings.push(Recording { kinds, made: Some(made) });
                self.recordings.len() - 1
            }
        };
        let recording = &mut self.recordings[index].made;
        // It comes back if all goes well: after a failed run nobody knows what its memory is used for.
        let Some(made) = recording.take() else { return Ok(Replay::NotRecorded) };
        match made.replay(&*self.device, &self.graphs, inputs, outputs) {
            Ok(()) => {
                *recording = Some(made);
                Ok(Replay::Replayed)
            }
            Err(RunError::Failed(reason)) if is_first => {
                // Where a recording was broken off, the runtime ends the process if it is to let go of the session (1.31.1).
                std::mem::forget(Arc::clone(&self.graphs));
                std::mem::forget(made);
                Err(RunError::Unsupported(format!("a run cannot be recorded on the GPU: {reason}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Memory for a recording.
    fn prepare(&self, inputs: &[Buffer], outputs: &[Buffer]) -> Result<Made, RunError> {
        let placed = |buffers: &[Buffer]| {
            let place = |buffer: &Buffer| Placed::new(&*self.device, self.place, &buffer.kind, &self.allocator);
            buffers.iter().map(place).collect::<Result<Vec<_>, _>>()
        };
        let options = self.options().map_err(|error| RunError::Failed(error.to_string()))?;
        Ok(Made { inputs: placed(inputs)?, outputs: placed(outputs)?, options })
    }

    fn options(&self) -> ort::Result<RunOptions> {
        let mut options = RunOptions::new()?;
        options.set_log_level(ort::logging::LogLevel::Fatal)?;
        options.set(RECORDING, self.recordings.len().to_string())?;
        Ok(options)
    }
}

impl Made {
    fn replay(
        &self,
        device: &dyn Device,
        graphs: &Graphs,
        inputs: &mut [Buffer],
        outputs: &mut [Buffer],
    ) -> Result<(), RunError> {
        device::copy(device, &self.inputs, inputs, Direction::To)?;
        let values: Vec<_> = self.inputs.iter().map(|input| &input.value).collect();
        let given: Vec<_> = self.outputs.iter().map(|output| Some(&output.value)).collect();
        Failure::of(|| graphs.any.run(&values, &given, &self.options), || false)?;
        device::copy(device, &self.outputs, outputs, Direction::From)
    }
}
