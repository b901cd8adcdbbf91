//! What a model's runs take, found out by running it.

use std::time::{Duration, Instant};

use crate::engine::RunError;
use crate::schedule::{BATCH_TIMES_MAX, Lane, Place, Sample, Size};
use crate::tensor::{Tensor, join_rows};

/// How long measuring batches may take, but for the run that exceeds it.
const BATCHES_TIME_MAX: Duration = Duration::from_millis(200);

/// Runs that take longer than this are not made longer still: starting would take too much time.
const RUN_TIME_MAX: Duration = Duration::from_millis(100);

const RUNS: usize = 4;

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

/// The fastest of a few runs; an error only if the first fails.
pub fn fastest(lane: &Lane, inputs: &[Tensor], runs: usize, deadline: Instant) -> Result<Duration, RunError> {
    let mut fastest: Option<Duration> = None;
    for _ in 0..runs {
        let started = Instant::now();
        if let Err(error) = lane.hold().run(inputs, started, deadline, Place::Worker) {
            return fastest.ok_or(error);
        }
        let took = started.elapsed();
        fastest = fastest.min(Some(took)).or(Some(took));
    }
    Ok(fastest.unwrap_or_default())
}

/// Runs the sample once, twice, four times … over in one run, up to so many `rows`, while there is time.
///
/// What a model makes of joined rows is another question; here it is only what they take.
pub fn measure_batches(lane: &Lane, sample: &[Tensor], rows: usize) -> Batching {
    let mut batching = Batching::default();
    let size = Size::of(sample);
    let begun = Instant::now();
    let mut copies = 1;
    while copies == 1 || copies * size.rows.unwrap_or(rows) <= rows {
        let joined = sample.iter().map(|tensor| join_rows(&vec![tensor; copies])).collect::<Option<Vec<_>>>();
        let joined = if copies == 1 { Some(sample.to_vec()) } else { joined };
        let Some(joined) = joined else { break };
        let Ok(took) = fastest(lane, &joined, RUNS, begun + 2 * BATCHES_TIME_MAX) else { break };
        batching.runs.push(Sample { rows: copies * size.rows.unwrap_or(1), elements: copies * size.elements, took });
        let is_long = took > batching.runs[0].took * BATCH_TIMES_MAX;
        if size.rows.is_none() || is_long || took > RUN_TIME_MAX || begun.elapsed() > BATCHES_TIME_MAX {
            break;
        }
        copies *= 2;
    }
    batching
}
