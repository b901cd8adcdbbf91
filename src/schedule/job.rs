//! One request's work, as it waits for a session.

use std::time::{Duration, Instant};

use super::reply::{Outcome, Reply};
use crate::tensor::Tensor;

/// Inputs to be run, and where the outcome goes.
#[derive(Debug)]
pub struct Job {
    pub inputs: Vec<Tensor>,
    pub size: Size,
    /// How long others wait for its run, if it has more rows than are joined.
    pub run_alone: Option<Duration>,
    pub priority: Priority,
    pub place: Place,
    pub submitted: Instant,
    pub deadline: Instant,
    /// The longest wait for its run that the request itself allows.
    pub max_wait: Option<Duration>,
    pub reply: Reply,
}

/// How much work a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The first dimension, if all inputs share it and it is not 0: what can be joined with others.
    pub rows: Option<usize>,
    /// Over all inputs.
    pub elements: usize,
}

impl Size {
    pub fn of(inputs: &[Tensor]) -> Size {
        let mut rows = inputs.iter().map(|input| input.shape().first().copied());
        let first = rows.next().flatten().filter(|&rows| rows > 0);
        Size {
            rows: first.filter(|_| rows.all(|other| other == first)),
            elements: inputs.iter().map(Tensor::len).sum(),
        }
    }
}

/// Who goes first when requests wait. Within one priority, whoever came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    /// The first to the last.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// The priority of a level, as other servers count them: 1 goes first, 0 is what requests have by default.
    pub const fn of_level(level: u64) -> Priority {
        match level {
            1 => Priority::High,
            0 | 2 => Priority::Normal,
            3.. => Priority::Low,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

/// On whose thread a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One that other connections wait for.
    Inline,
    /// One that has nothing else to do.
    Worker,
}

impl Job {
    /// Until when it waits for its run, where everybody waits for `longest` at most.
    pub fn patience(&self, longest: Duration) -> Instant {
        self.submitted + self.max_wait.map_or(longest, |own| own.min(longest))
    }

    pub fn answer(self, outcome: Outcome) {
        self.reply.answer(outcome);
    }

    /// Whether one run can take both jobs' rows: all that is not the number of rows is the same.
    pub fn joins(&self, other: &Job) -> bool {
        let mut inputs = self.inputs.iter().zip(&other.inputs);
        self.size.rows.is_some()
            && other.size.rows.is_some()
            && self.inputs.len() == other.inputs.len()
            && inputs.all(|(a, b)| a.dtype() == b.dtype() && a.shape().get(1..) == b.shape().get(1..))
    }
}
