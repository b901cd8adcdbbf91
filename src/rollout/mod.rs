//! How a new version of a followed model comes into use by itself, guarded.
//!
//! Pure: [`next()`] says what is to be done now, from a revision, what was counted, and the time. It changes nothing; whoever
//! creates the next revision with the specification that it gives has taken the step, so any replica can go on where another
//! was ended. `docs/continuous-deployment.md` describes it for operators.

mod guardrails;
mod policy;
mod stages;
#[cfg(test)]
mod tests;
mod trial;

pub use policy::{Action, Condition, Situation, Step, next};
pub use stages::{abort, baseline, common_share, promote, refused, without_rollout};
pub use trial::{Golden, Trial};
