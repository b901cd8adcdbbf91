//! One request's work, as it waits for a worker.

use std::time::Instant;

use tokio::sync::oneshot;

use super::scheduler::{Completed, ScheduleError};
use crate::tensor::Tensor;

/// Inputs to be run, and where the outcome goes.
#[derive(Debug)]
pub struct Job {
    pub inputs: Vec<Tensor>,
    pub submitted: Instant,
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<Completed, ScheduleError>>,
}

impl Job {
    /// Whether somebody still waits for the outcome. A client that went away has dropped its end.
    pub fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Answers the job. If the client has gone meanwhile, nobody misses the answer.
    pub fn answer(self, outcome: Result<Completed, ScheduleError>) {
        drop(self.reply.send(outcome));
    }
}
