//! What becomes of a request: outputs, or the reason for none.

use std::time::Duration;

use crate::engine::RunError;
use crate::error::ErrorKind;
use crate::tensor::Value;

/// A run's outcome.
#[derive(Debug)]
pub struct Completed {
    /// In the signature's order.
    pub outputs: Vec<Value>,
    /// Time spent waiting for a session.
    pub queued: Duration,
    /// Time spent in the model, together with the requests that were run along.
    pub ran: Duration,
}

/// Why a request was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Too many wait already, or the wait would be, or has been, too long.
    #[error("the queue is full")]
    Overloaded { retry_after: Duration },
    /// The deadline passed, before the run or during it.
    #[error("the deadline passed")]
    Expired,
    /// The model made more of the inputs than may be answered.
    #[error("the answer has more than {max_elements} elements")]
    AnswerTooLarge { max_elements: usize },
    /// The deployment is being taken down.
    #[error("the deployment is stopping")]
    Stopped,
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ScheduleError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            ScheduleError::Overloaded { .. } => ErrorKind::Overloaded,
            ScheduleError::Expired => ErrorKind::DeadlineExceeded,
            ScheduleError::AnswerTooLarge { .. } => ErrorKind::BadInput,
            ScheduleError::Stopped => ErrorKind::Unavailable,
            ScheduleError::Run(error) => error.kind(),
        }
    }
}

/// What bounds the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub queue_max_length: usize,
    /// `None`: by what runs take, see [`Bounds`](super::overload::Bounds).
    pub queue_max_wait: Option<Duration>,
}
