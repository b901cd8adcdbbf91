//! Settings that may suit a model, and those next to them.

use std::fmt::Write;
use std::time::Duration;

use crate::name::Name;
use crate::schedule::{BATCH_ROWS_MAX, Execution, INLINE_RUN_MAX, Plan, Wishes};

/// One setting of each of the scheduler's knobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `None`: `auto`.
    pub execution: Option<Execution>,
    pub workers: usize,
    pub intra_op_threads: usize,
    pub max_batch: usize,
}

/// Rows that are joined where a plan joins none, to see what it would be like.
const FIRST_BATCH: usize = 8;

impl Candidate {
    /// What was chosen when the model was loaded.
    pub fn of(plan: Plan) -> Candidate {
        Candidate {
            execution: plan.is_execution_fixed.then_some(plan.execution),
            workers: plan.workers,
            intra_op_threads: plan.intra_op_threads,
            max_batch: plan.max_batch,
        }
    }

    /// As a server would be told to use it.
    pub fn wishes(&self, asked: Wishes) -> Wishes {
        Wishes {
            execution: self.execution,
            workers: self.workers,
            intra_op_threads: self.intra_op_threads,
            max_batch: self.max_batch,
            ..asked
        }
    }

    /// The candidates that differ in one knob, but for those that the operator has set; the most promising first.
    pub fn neighbours(&self, planned: Execution, cores: usize, asked: Wishes) -> Vec<Candidate> {
        let mut found = Vec::new();
        if asked.max_batch == 0 {
            let sizes = match self.max_batch {
                1 => vec![FIRST_BATCH],
                rows => vec![rows * 2, rows / 2, 1],
            };
            let sizes = sizes.into_iter().filter(|rows| (1..=BATCH_ROWS_MAX).contains(rows));
            found.extend(sizes.map(|max_batch| Candidate { max_batch, ..*self }));
        }
        // Only workers wait for a batch to be full.
        if asked.execution.is_none() && asked.max_batch_delay.is_zero() {
            let other = match planned {
                Execution::Combining => Execution::Pooled,
                Execution::Pooled => Execution::Combining,
            };
            found.push(Candidate { execution: if self.execution.is_none() { Some(other) } else { None }, ..*self });
        }
        let layouts = [(cores, 1), (cores / 2, 2), (1, cores), (1, 1)];
        let fits = |wish: usize, value: usize| wish == 0 || wish == value;
        let layouts = layouts.into_iter().filter(|(workers, threads)| {
            *workers > 0 && *threads > 0 && fits(asked.workers, *workers) && fits(asked.intra_op_threads, *threads)
        });
        found.extend(layouts.map(|(workers, intra_op_threads)| Candidate { workers, intra_op_threads, ..*self }));
        let mut distinct: Vec<Candidate> = Vec::new();
        for candidate in found {
            if candidate != *self && !distinct.contains(&candidate) {
                distinct.push(candidate);
            }
        }
        distinct
    }

    /// Why there is no use in trying this, knowing how long one run takes.
    pub fn futility(&self, run: Duration, can_join: bool) -> Option<String> {
        if self.max_batch > 1 && !can_join {
            return Some("not tried: the rows of requests to this model cannot be joined".to_owned());
        }
        if self.execution == Some(Execution::Combining) && run > INLINE_RUN_MAX {
            return Some(format!("not tried: a run of {run:.1?} would hold up the threads that serve connections"));
        }
        if self.intra_op_threads > 1 && run < INLINE_RUN_MAX / 10 {
            return Some(format!("not tried: a run of {run:.1?} is too short for threads within it"));
        }
        None
    }

    /// `auto`, or the execution that it is fixed to.
    pub fn execution_name(&self) -> &'static str {
        self.execution.map_or("auto", Execution::name)
    }

    /// Lines for the configuration file.
    pub fn toml(&self, endpoint: &Name) -> String {
        let Candidate { workers, intra_op_threads, max_batch, .. } = self;
        // A name may hold dots, which would be tables.
        let mut text = format!("[endpoints.\"{endpoint}\"]\n");
        let execution = self.execution_name();
        writeln!(
            text,
            "execution = \"{execution}\"\nworkers = {workers}\nintra_op_threads = {intra_op_threads}\nmax_batch = {max_batch}"
        )
        .expect("writing to a String cannot fail");
        text
    }
}
