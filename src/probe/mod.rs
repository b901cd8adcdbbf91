//! Trying a model out in a process of its own, so that a file which kills the runtime kills the probe and nothing else.
//!
//! [`run`] starts the program's hidden command `scoria probe`, whose inside is [`examine`]: it loads the model, runs it, sees
//! whether its rows can be joined ([`joining`]), and tells each step as a line of JSON ([`Event`]). The parent adds the lines
//! up to a [`ProbeReport`]; when they stop, it knows at which step and by what. Refuses to trust the child: its lines, its
//! time and its memory are bounded.

mod child;
mod event;
mod examine;
mod hostile;
pub mod joining;
mod limits;
mod made_up;
mod report;
mod rounding;
mod sample;
mod trial;

pub use child::{Probe, run};
pub use event::{Event, Stage};
pub use examine::{Subject, examine};
pub use limits::{Limits, confine};
pub use made_up::typical_inputs;
pub use report::{Cause, Failure, Load, Memory, ProbeReport, Run, RunFailure, RunInput};
pub use sample::decode_sample;
