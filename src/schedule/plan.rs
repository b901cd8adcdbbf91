//! How a model is to be run, decided from measurements. Pure: measurements and wishes in, plan out.

use std::time::Duration;

use super::cost::Sample;
use crate::engine::Buckets;

/// What the operator asked for; 0 leaves the choice to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub execution: Option<Execution>,
    pub workers: usize,
    pub intra_op_threads: usize,
    pub max_batch: usize,
    pub max_batch_delay: Duration,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sessions: so many runs at the same time.
    pub workers: usize,
    /// Threads that a run may use inside an operator.
    pub intra_op_threads: usize,
    /// How a request of the size of the sample is run.
    pub execution: Execution,
    /// Whether that holds for all requests, whatever their runs have cost lately.
    pub is_execution_fixed: bool,
    /// The most rows of one run; 1 if requests are never joined.
    pub max_batch: usize,
    /// The numbers of rows that runs are padded to, if they are.
    pub sizes: Option<Buckets>,
    /// How long a worker waits for a batch to be full.
    pub max_batch_delay: Duration,
}

/// On which threads a request is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// Those that serve connections, each for all that wait (leader and followers).
    Combining,
    /// Workers.
    Pooled,
}

impl Execution {
    pub const fn name(self) -> &'static str {
        match self {
            Execution::Combining => "combining",
            Execution::Pooled => "pooled",
        }
    }
}

/// The longest run that may hold up a thread which other connections wait for. A hand-over to a worker costs 20 to 50 µs
/// and delays nobody else; at a millisecond it is 5 % and the choice is clear.
pub const INLINE_RUN_MAX: Duration = Duration::from_millis(1);

/// What threads inside an operator have to make of a run for them to be worth having: sessions that run beside each other on a
/// core each are sure to use all cores.
const PARALLEL_GAIN_MIN: f64 = 1.2;

/// The same where narrow lanes use all cores as soon as two requests come, so that the threads only have to answer one sooner.
const LONE_GAIN_MIN: f64 = 1.1;

/// The most rows that are joined without being asked for.
pub const BATCH_ROWS_MAX: usize = 64;

/// What a batch has to save of each row's time to be worth its wait.
const BATCH_GAIN_MIN: f64 = 1.15;

/// So many rows are joined in runs with threads inside even if that saves nothing by itself: it does in company, presumably because
/// those threads wait for each other at each node, and fewer runs have fewer (measured: `docs/performance.md`).
const SHARED_BATCH_ROWS: usize = 4;

/// What a row may cost in such a batch, in rows by themselves: what two measurements of the same differ by.
const SHARED_BATCH_COST_MAX: f64 = 1.05;

/// The longest run of a batch, in runs of one row.
pub const BATCH_TIMES_MAX: u32 = 8;

/// One row's run, as it was measured: the fastest of a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// By the clock.
    pub took: Duration,
    /// What the calling thread did of it by itself. Unlike the clock, this does not count what other programs do meanwhile.
    pub own_work: Duration,
}

/// Whether threads inside an operator are to be tried: `None`, or their number.
///
/// Short runs gain nothing from them: waking them costs more than they save.
pub fn threads_to_try(single: Option<Timed>, wishes: Wishes, cores: usize) -> Option<usize> {
    let is_long = single.is_none_or(|run| run.took > INLINE_RUN_MAX);
    let is_open = wishes.intra_op_threads == 0 && wishes.workers < cores && cores > 1;
    (is_long && is_open).then_some(cores)
}

/// Sessions and threads, from a run with one thread, and one with all of them where they were tried. `may_be_narrow` is whether narrow
/// lanes would stand beside one with all.
pub fn layout(
    single: Option<Timed>,
    parallel: Option<Timed>,
    wishes: Wishes,
    cores: usize,
    may_be_narrow: bool,
) -> (usize, usize) {
    let gain_min = if may_be_narrow { LONE_GAIN_MIN } else { PARALLEL_GAIN_MIN };
    let intra_op_threads = match (wishes.intra_op_threads, single, parallel) {
        (0, Some(single), Some(parallel)) if relief(single, parallel) >= gain_min => cores,
        // What could not be measured is taken to be long.
        (0, None, _) if wishes.workers < cores => cores,
        (0, ..) => 1,
        (threads, ..) => threads,
    };
    let workers = match wishes.workers {
        0 => (cores / intra_op_threads).max(1),
        workers => workers,
    };
    (workers, intra_op_threads)
}

/// How many rows to join at most, from runs of several sizes in ascending order, each with so many threads inside; 1 if joining
/// saves too little.
///
/// The smallest batch that is nearly as good as the best: a larger one only makes its first row wait longer.
pub fn batch_rows(runs: &[Sample], intra_op_threads: usize) -> usize {
    let per_row = |run: &Sample| run.took.as_secs_f64() / run.rows.max(1) as f64;
    let Some((single, unjoined)) = runs.first().map(|run| (run.took, per_row(run))) else { return 1 };
    let short = || runs.iter().filter(|run| run.took <= single * BATCH_TIMES_MAX && run.rows <= BATCH_ROWS_MAX);
    let best = short().map(per_row).fold(f64::INFINITY, f64::min);
    let chosen = short().find(|run| per_row(run) <= 1.05 * best);
    let saving = chosen.filter(|_| unjoined >= BATCH_GAIN_MIN * best);
    let mut joined = runs.iter().skip(1).take_while(|run| run.rows <= SHARED_BATCH_ROWS).peekable();
    let is_free = joined.peek().is_some() && joined.all(|run| per_row(run) <= SHARED_BATCH_COST_MAX * unjoined);
    let shared = if is_free && intra_op_threads > 1 { SHARED_BATCH_ROWS } else { 1 };
    saving.map_or(1, |run| run.rows).max(shared)
}

/// Puts a plan together. `max_batch` is what [`batch_rows`] found, or what was asked for where rows may be joined.
pub fn plan(
    single: Option<Timed>,
    (workers, intra_op_threads): (usize, usize),
    max_batch: usize,
    wishes: Wishes,
) -> Plan {
    let is_short = single.is_some_and(|run| run.took <= INLINE_RUN_MAX);
    // Only a worker can wait for a batch to be full: others wait for the threads that serve connections.
    let asked = wishes.execution.or((!wishes.max_batch_delay.is_zero()).then_some(Execution::Pooled));
    let measured = if is_short { Execution::Combining } else { Execution::Pooled };
    Plan {
        workers,
        intra_op_threads,
        execution: asked.unwrap_or(measured),
        is_execution_fixed: asked.is_some(),
        max_batch,
        sizes: None,
        max_batch_delay: wishes.max_batch_delay,
    }
}

/// How many times as fast threads make a run, if they were tried.
pub fn gain(single: Option<Timed>, parallel: Option<Timed>) -> Option<f64> {
    single.zip(parallel).map(|(single, parallel)| relief(single, parallel))
}

/// By how much threads inside an operator relieve the calling one.
fn relief(single: Timed, parallel: Timed) -> f64 {
    single.own_work.as_secs_f64() / parallel.own_work.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn took(us: u32) -> Option<Timed> {
        Some(Timed { took: us * US, own_work: us * US })
    }

    fn runs(times_us: &[(usize, u32)]) -> Vec<Sample> {
        times_us.iter().map(|&(rows, us)| Sample { rows, elements: 10 * rows, took: us * US }).collect()
    }

    #[test]
    fn short_runs_get_a_session_per_core_and_no_threads_inside() {
        let wishes = Wishes::default();
        assert_eq!(threads_to_try(took(20), wishes, 8), None);
        assert_eq!(layout(took(20), None, wishes, 8, false), (8, 1));
        assert_eq!(plan(took(20), (8, 1), 32, wishes).execution, Execution::Combining);
    }

    #[test]
    fn long_runs_use_all_cores_if_that_makes_them_faster() {
        let wishes = Wishes::default();
        let single = took(40_000);
        assert_eq!(threads_to_try(single, wishes, 8), Some(8));
        assert_eq!(layout(single, took(6_000), wishes, 8, false), (1, 8));
        assert_eq!(layout(single, took(39_000), wishes, 8, false), (8, 1));
        assert_eq!(plan(single, (1, 8), 1, wishes).execution, Execution::Pooled);
    }

    #[test]
    fn a_model_that_could_not_be_measured_is_taken_to_be_long() {
        assert_eq!(layout(None, None, Wishes::default(), 8, false), (1, 8));
        assert_eq!(plan(None, (1, 8), 1, Wishes::default()).execution, Execution::Pooled);
    }

    #[test]
    fn wishes_are_kept() {
        let wishes = Wishes { workers: 3, intra_op_threads: 2, ..Wishes::default() };
        for us in [2, 40_000] {
            assert_eq!(threads_to_try(took(us), wishes, 8), None);
            assert_eq!(layout(took(us), None, wishes, 8, false), (3, 2));
        }
        let wishes = Wishes { workers: 8, ..Wishes::default() };
        assert_eq!(threads_to_try(took(40_000), wishes, 8), None, "each has a core already");
        let wishes = Wishes { intra_op_threads: 2, ..Wishes::default() };
        assert_eq!(layout(took(2), None, wishes, 8, false), (4, 2));
        let wishes = Wishes { execution: Some(Execution::Pooled), ..Wishes::default() };
        let kept = plan(took(2), (1, 1), 1, wishes);
        assert_eq!((kept.execution, kept.is_execution_fixed), (Execution::Pooled, true));
    }

    #[test]
    fn a_batch_is_as_large_as_it_pays_and_no_larger() {
        // Figures of a small network, a deep one and a wide one.
        assert_eq!(batch_rows(&runs(&[(1, 20), (2, 30), (4, 54), (8, 99), (16, 195)]), 1), 8);
        assert_eq!(batch_rows(&runs(&[(1, 36_000), (2, 71_500), (4, 142_000)]), 1), 1);
        let wide = runs(&[(1, 83), (2, 90), (4, 110), (8, 161), (16, 290), (32, 522), (64, 1_000)]);
        assert_eq!(batch_rows(&wide, 1), 32);
        assert_eq!(batch_rows(&wide, 8), 32);
        assert_eq!(batch_rows(&[], 1), 1);
    }

    #[test]
    fn threads_that_wait_for_each_other_are_given_a_few_rows_at_a_time_unless_that_costs() {
        let deep = [(1, 18_220), (2, 35_630), (4, 69_450), (8, 139_620)];
        assert_eq!(batch_rows(&runs(&deep), 2), 4);
        assert_eq!(batch_rows(&runs(&[(1, 1_000), (2, 2_400), (4, 4_900)]), 2), 1);
        assert_eq!(batch_rows(&runs(&deep[..2]), 2), 4, "a long run's batches are not measured to the end");
        assert_eq!(batch_rows(&runs(&deep[..1]), 2), 1);
    }

    #[test]
    fn whoever_waits_for_full_batches_has_workers_wait() {
        let wishes = Wishes { max_batch_delay: 100 * US, ..Wishes::default() };
        assert_eq!(plan(took(2), (1, 1), 8, wishes).execution, Execution::Pooled);
    }

    #[test]
    fn threads_that_gain_little_are_for_a_lone_request() {
        let (single, wishes) = (took(40_000), Wishes::default());
        let (none, some) = (took(38_000), took(35_000));
        assert_eq!(layout(single, none, wishes, 2, true), (2, 1));
        assert_eq!(layout(single, some, wishes, 2, true), (1, 2));
        assert_eq!(layout(single, some, wishes, 2, false), (2, 1), "two requests would be one after the other");
    }
}
