//! What a probe found out about a model on one engine.

use serde::{Deserialize, Serialize};

use super::event::{Event, Stage};
use super::joining::Joining;

/// One engine's account of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// `ort` or `tract`.
    pub engine: &'static str,
    /// `None` if the engine could not be started.
    pub version: Option<String>,
    #[serde(rename = "library")]
    pub loaded_from: Option<String>,
    pub loads: bool,
    pub runs: bool,
    pub failure: Option<Failure>,
    pub load: Option<Load>,
    pub run: Option<Run>,
    /// The engine is sound and the model loads, but none of the inputs that were tried suits it.
    pub not_run: Option<RunFailure>,
    pub memory: Option<Memory>,
    pub joining: Option<Joining>,
}

/// Why a probe ended early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub stage: Stage,
    pub cause: Cause,
    /// A sentence.
    pub reason: String,
    /// The end of what the child wrote on standard error, if it died.
    pub stderr: String,
}

/// What ended a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The engine said no.
    Refused,
    /// The operating system ended the child, by this signal.
    Signal(i32),
    /// The child ended itself, with this code.
    Exit(i32),
    /// It was still at work when its time was over.
    Timeout,
    /// The child could not be started.
    NotStarted,
}

/// How the model was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    pub took_us: u64,
    pub providers: Vec<String>,
    /// Those asked for that could not be had, each with its reason.
    pub missing_providers: Vec<(String, String)>,
}

/// How the model ran, on one thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub input: RunInput,
    /// The first run, which allocates and sets up.
    pub first_us: u64,
    /// The median of the runs after it.
    pub steady_us: u64,
    pub runs: usize,
    /// The shape of each output, `None` for one that is no tensor, in the signature's order.
    pub output_shapes: Vec<Option<Vec<usize>>>,
    /// The shape of each input.
    pub input_shapes: Vec<Vec<usize>>,
}

/// What the model was run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunInput {
    /// The file beside it.
    Sample,
    /// What a server warms it with when there is no sample: zeros, every dynamic dimension 1.
    Zeros,
    /// Numbers, flags and texts made up, every dynamic dimension of some size.
    MadeUp,
}

impl RunInput {
    /// As in "a run on …".
    pub fn in_words(self) -> &'static str {
        match self {
            RunInput::Sample => "its sample",
            RunInput::Zeros => "zeros",
            RunInput::MadeUp => "made-up values",
        }
    }
}

/// Why the model did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// What it was tried on first.
    pub input: RunInput,
    /// What the engine said then.
    pub reason: String,
    /// Whether the engine blames the input rather than itself.
    pub is_input: bool,
}

/// Memory as the operating system counts it (resident), in bytes over what the process had before it loaded the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// After loading and running it.
    pub held_bytes: u64,
    /// The most at any time meanwhile.
    pub peak_bytes: u64,
}

impl ProbeReport {
    pub(super) fn new(engine: &'static str) -> ProbeReport {
        ProbeReport {
            engine,
            version: None,
            loaded_from: None,
            loads: false,
            runs: false,
            failure: None,
            load: None,
            run: None,
            not_run: None,
            memory: None,
            joining: None,
        }
    }

    /// Takes in what the child told; gives the stage, if it is a new one, and whether the child has said its last word.
    pub(super) fn take(&mut self, event: Event, stage: &mut Stage) -> bool {
        match event {
            Event::Engine { version, library } => (self.version, self.loaded_from) = (Some(version), library),
            Event::Stage(begun) => *stage = begun,
            Event::Loaded(load) => (self.loads, self.load) = (true, Some(load)),
            Event::Ran(run) => (self.runs, self.run) = (true, Some(run)),
            Event::NotRun(failure) => self.not_run = Some(failure),
            Event::Memory(memory) => self.memory = Some(memory),
            Event::Joining(joining) => self.joining = Some(joining),
            Event::Failed { reason } => {
                let cause = Cause::Refused;
                self.failure = Some(Failure { stage: *stage, cause, reason, stderr: String::new() });
                return true;
            }
            Event::Done => return true,
        }
        false
    }
}
