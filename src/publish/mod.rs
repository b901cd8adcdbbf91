//! From a file or folder to a version that can be published: which files belong to it, what they take and give, and whether they
//! run.
//!
//! The model is read by us first, then tried out in a process of its own, so that one which kills the runtime is refused with
//! the reason and kills nobody. Nothing is written to the registry here; [`Models::publish`](crate::registry::Models::publish)
//! does that with the [`Draft`](crate::registry::Draft) that comes out. To be called by the command line and the admin API.

mod error;
mod golden;
mod package;
mod submission;
mod trial;

pub use error::PublishError;
pub use submission::{Practice, Step, Submission, prepare};
pub use trial::EngineTrial;

#[cfg(test)]
mod tests;
