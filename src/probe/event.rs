//! What a probe tells while it goes on, a line of JSON each.

use serde::{Deserialize, Serialize};

use super::joining::Joining;
use super::report::{Load, Memory, Run, RunFailure};

/// A step done, or begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// What computes: version and library.
    Engine {
        version: String,
        library: Option<String>,
    },
    /// This is being done now.
    Stage(Stage),
    Loaded(Load),
    Ran(Run),
    /// The model does not run on its sample, nor on anything made up.
    NotRun(RunFailure),
    Memory(Memory),
    Joining(Joining),
    /// It ends here, for a reason that the engine gives.
    Failed {
        reason: String,
    },
    /// It ends here, with everything done.
    Done,
}

/// What a probe is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Opening the runtime.
    Start,
    /// Reading the file, ourselves.
    Read,
    /// The runtime loads it.
    Load,
    /// The first runs.
    Run,
    /// Runs of joined and of separate rows.
    Join,
}

impl Stage {
    /// As in "while …".
    pub fn in_words(self) -> &'static str {
        match self {
            Stage::Start => "starting the engine",
            Stage::Read => "reading the file",
            Stage::Load => "loading the model",
            Stage::Run => "running the model",
            Stage::Join => "running joined rows",
        }
    }
}
