//! Which settings suit a model, found by trying them: `scoria profile`.
//!
//! [`search()`] decides what to try next and what is best, from measurements alone; it knows no thread and reads no clock. A
//! [`LiveBench`] makes the measurements: it loads the model with a [`Candidate`]'s settings and drives its deployment, the one
//! that a server would have, in an [`open_loop`] in this process. HTTP is left out, and said to be: what is compared here are
//! settings of the scheduler.

mod bench;
mod candidate;
mod cpu;
mod measurement;
mod objective;
mod open_loop;
mod render;
mod report;
mod search;

pub use bench::{LiveBench, Progress, Subject};
pub use candidate::Candidate;
pub use objective::{Objective, ObjectiveError, parse_time};
pub use render::{render, trial_line};
pub use report::{Machine, document};
pub use search::{Findings, Goal, Space, search};

#[cfg(test)]
mod tests;
