//! What a model's runs take, found out by running it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::engine::RunError;
use crate::schedule::{BATCH_TIMES_MAX, Lane, Place, Sample, Size, Timed};
use crate::tensor::{Tensor, join_rows};

/// How long measuring batches may take, but for the run that exceeds it.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Of this thread's own time.
    work: Duration,
    /// By the clock, which goes on while others have the processor.
    time: Duration,
}

impl Budget {
    pub const ON_PROCESSOR: Budget = Budget { work: Duration::from_millis(200), time: Duration::from_secs(1) };
    /// Where the first run of each size looks for the fastest of many kernels.
    pub const ON_DEVICE: Budget = Budget { work: Duration::from_secs(60), time: Duration::from_secs(60) };
}

/// Runs that take longer than this are not made longer still: starting would take too much time.
const RUN_TIME_MAX: Duration = Duration::from_millis(100);

const RUNS: usize = 4;

/// What a run may cost more for being of another size than the last, in runs that are not.
const SWITCH_TIMES_MAX: u32 = 2;

/// When a run is given up.
const DEADLINE: Duration = Duration::from_secs(10);

/// What joined rows take.
#[derive(Clone, Debug)]
pub struct Batching {
    /// In ascending order of rows; the first is of the sample by itself.
    pub runs: Vec<Sample>,
    /// The most rows that are worth joining, and may be.
    pub max_batch: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Batching { runs: Vec::new(), max_batch: 1 }
    }
}

/// The fastest of a few runs (at least one); an error only if the first fails.
pub fn fastest(lane: &Lane, inputs: &[Tensor], runs: usize, deadline: Instant) -> Result<Timed, RunError> {
    let mut fastest: Option<Timed> = None;
    for _ in 0..runs.max(1) {
        let (started, worked) = (Instant::now(), thread_time());
        if let Err(error) = lane.hold().run(inputs, started, deadline, Place::Worker) {
            return fastest.ok_or(error);
        }
        let run = Timed { took: started.elapsed(), own_work: thread_time().saturating_sub(worked) };
        let before = fastest.unwrap_or(run);
        fastest = Some(Timed { took: before.took.min(run.took), own_work: before.own_work.min(run.own_work) });
    }
    Ok(fastest.expect("one run at least"))
}

/// The processor time that this thread has taken.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Runs the sample once, twice, four times … over in one run, up to so many `rows`, while there is time.
///
/// What a model makes of joined rows is another question; here it is only what they take.
pub fn measure_batches(lane: &Lane, sample: &[Tensor], rows: usize, budget: Budget) -> Batching {
    let mut batching = Batching::default();
    let size = Size::of(sample);
    let (begun, worked) = (Instant::now(), thread_time());
    let mut copies = 1;
    while copies == 1 || copies * size.rows.unwrap_or(rows) <= rows {
        let joined = sample.iter().map(|tensor| join_rows(&vec![tensor; copies])).collect::<Option<Vec<_>>>();
        let joined = if copies == 1 { Some(sample.to_vec()) } else { joined };
        let Some(joined) = joined else { break };
        let Ok(Timed { took, .. }) = fastest(lane, &joined, RUNS, begun + budget.time + DEADLINE) else { break };
        batching.runs.push(Sample { rows: copies * size.rows.unwrap_or(1), elements: copies * size.elements, took });
        let is_long = took > batching.runs[0].took * BATCH_TIMES_MAX;
        let is_over = thread_time().saturating_sub(worked) > budget.work || begun.elapsed() > budget.time;
        if size.rows.is_none() || is_long || took > RUN_TIME_MAX || is_over {
            break;
        }
        copies *= 2;
    }
    batching
}

/// Whether a run costs far more if the last one was of another size: then the runtime finds out everything about a size at each
/// change. `runs` are what [`measure_batches`] has found.
pub fn is_switching_dear(lane: &Lane, sample: &[Tensor], runs: &[Sample]) -> bool {
    let (Some(one), Some(several)) = (runs.first(), runs.get(1)) else { return false };
    let deadline = Instant::now() + DEADLINE;
    let pair = || -> Result<Duration, RunError> {
        let started = Instant::now();
        for rows in [one.rows, several.rows] {
            warm_sizes(lane, sample, std::iter::once(rows), deadline)?;
        }
        Ok(started.elapsed())
    };
    let pairs = (0..RUNS).map(|_| pair()).collect::<Result<Vec<_>, _>>();
    let fastest = pairs.ok().and_then(|pairs| pairs.into_iter().min());
    fastest.is_some_and(|pair| pair > (one.took + several.took) * SWITCH_TIMES_MAX)
}

/// Runs the sample over and over in runs of about each of these numbers of rows, so that what a device finds out about a size is not
/// found out at a client's expense.
pub fn warm_sizes(
    lane: &Lane,
    sample: &[Tensor],
    sizes: impl Iterator<Item = usize>,
    deadline: Instant,
) -> Result<(), RunError> {
    let Some(rows) = Size::of(sample).rows else { return Ok(()) };
    for size in sizes {
        let copies = vec![sample; (size / rows).max(1)];
        lane.hold().run_joined(&copies, Instant::now(), deadline, Place::Worker)?;
    }
    Ok(())
}
