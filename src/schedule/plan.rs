//! How a model is to be run, decided from a measurement. Pure: measurement and wishes in, plan out.

use std::time::Duration;

/// What was measured when the model was loaded: one session, one thread, the smallest useful request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The fastest of a few warm runs; `None` when the model could not be run on a made-up input.
    pub run: Option<Duration>,
    /// Elements over all inputs of that run.
    pub elements: usize,
    /// The size of the model's file, as a measure of what a further session costs in memory.
    pub model_bytes: u64,
}

/// What the operator asked for; 0 leaves the choice to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub workers: usize,
    pub intra_op_threads: usize,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sessions, each with a worker thread.
    pub workers: usize,
    /// Threads that a run may use inside an operator.
    pub intra_op_threads: usize,
    pub execution: Execution,
}

/// On which thread a request is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// On the thread that decoded it, if its inputs have at most so many elements and a session is free.
    Inline { max_elements: usize },
    /// By a worker thread.
    Pooled,
}

/// The longest run that may hold up a thread which other connections wait for. A hand-over to a worker costs 20 to 50 µs
/// and delays nobody else; at a millisecond it is 5 % and the choice is clear.
pub const INLINE_RUN_MAX: Duration = Duration::from_millis(1);

/// A further session holds its weights once more, so only models up to this size get one per core by themselves.
const EXTRA_SESSION_MODEL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Chooses a plan for a machine with so many `cores`.
///
/// Short runs gain nothing from threads inside an operator (waking them costs more than they save), so they get one session
/// per core. Long ones get one session that uses all cores: a lone request is then as fast as the machine allows.
pub fn plan(measurement: Measurement, wishes: Wishes, cores: usize) -> Plan {
    let short = measurement.run.is_some_and(|run| run <= INLINE_RUN_MAX);
    let intra_op_threads = match wishes.intra_op_threads {
        0 if short || wishes.workers >= cores => 1,
        0 => cores,
        threads => threads,
    };
    let workers = match wishes.workers {
        0 if short && intra_op_threads == 1 && measurement.model_bytes <= EXTRA_SESSION_MODEL_BYTES_MAX => cores,
        0 => 1,
        workers => workers,
    };
    let execution = match measurement.run {
        Some(run) if short => Execution::Inline { max_elements: elements_within(run, measurement.elements) },
        _ => Execution::Pooled,
    };
    Plan { workers, intra_op_threads, execution }
}

/// How many elements a request may have to stay within [`INLINE_RUN_MAX`], if cost grows with elements.
fn elements_within(run: Duration, elements: usize) -> usize {
    let times = INLINE_RUN_MAX.as_nanos() / run.as_nanos().max(1);
    elements.max(1).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(run_us: u64, model_bytes: u64) -> Measurement {
        Measurement { run: Some(Duration::from_micros(run_us)), elements: 10, model_bytes }
    }

    #[test]
    fn a_short_model_runs_inline_with_a_session_per_core() {
        let plan = plan(measured(2, 1_000), Wishes::default(), 8);
        assert_eq!((plan.workers, plan.intra_op_threads), (8, 1));
        assert_eq!(plan.execution, Execution::Inline { max_elements: 5_000 });
    }

    #[test]
    fn a_short_model_with_heavy_weights_keeps_one_session() {
        assert_eq!(plan(measured(500, 100 << 20), Wishes::default(), 8).workers, 1);
    }

    #[test]
    fn a_long_model_is_pooled_and_uses_all_cores_in_one_run() {
        let plan = plan(measured(40_000, 100 << 20), Wishes::default(), 8);
        assert_eq!(plan, Plan { workers: 1, intra_op_threads: 8, execution: Execution::Pooled });
    }

    #[test]
    fn a_model_that_could_not_be_measured_is_pooled() {
        let unknown = Measurement { run: None, elements: 0, model_bytes: 1 };
        assert_eq!(plan(unknown, Wishes::default(), 2).execution, Execution::Pooled);
    }

    #[test]
    fn wishes_are_kept() {
        let wishes = Wishes { workers: 3, intra_op_threads: 2 };
        for run_us in [2, 40_000] {
            let plan = plan(measured(run_us, 1), wishes, 8);
            assert_eq!((plan.workers, plan.intra_op_threads), (3, 2));
        }
        assert_eq!(plan(measured(40_000, 1), Wishes { workers: 8, intra_op_threads: 0 }, 8).intra_op_threads, 1);
    }
}
