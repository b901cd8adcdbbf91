//! What a server would make of a model's file, before it is one: `scoria doctor`.
//!
//! [`diagnose`] reads the file, has each engine try it in a process of its own ([`crate::probe`]), and puts everything
//! into one [`Report`]: facts, and [`Problem`]s with remedies. [`render`] writes it for people. Nothing of the model reaches a
//! runtime before the files that it names have been found sound here.

mod batching;
mod diagnosis;
mod findings;
mod problem;
mod render;
mod report;
mod trial;

pub use diagnosis::{EngineTrial, Practice, diagnose};
pub use problem::{Code, Problem, Severity};
pub use render::render;
pub use report::Report;
