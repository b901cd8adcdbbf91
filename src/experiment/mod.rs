//! Deployments compared while they serve: what is counted, and what may be concluded from it at whatever moment one looks.
//!
//! Pure: counts come in, intervals and sentences go out. `docs/experiments.md` says what each means and where the methods are
//! from. Who reads the counts and who acts upon them is above.

mod agreement;
mod comparison;
mod evidence;
mod interval;
mod ledger;
mod means;
mod moments;
mod quantiles;
mod rates;
mod recorder;
mod sentence;
mod sketch;
mod tally;
#[cfg(test)]
mod tests;

pub use agreement::{Agreement, agreement};
pub use comparison::{Arm, Comparison, Metric, Observed, Sense, Verdict, compare, compare_all};
pub use evidence::Count;
pub use interval::{Interval, InvalidLevel, Level};
pub use ledger::{Counts, INCARNATIONS_MAX, Ledger, REVISIONS_MAX, Tallies};
pub use moments::Moments;
pub use quantiles::{compare as compare_quantiles, quantile};
pub use rates::RatePair;
pub use recorder::{Recorder, longest_told_apart};
pub use sentence::{number, percent, time};
pub use sketch::{BUCKETS, Sketch, bucket, upper_edge};
pub use tally::{Mirror, Outcome, Outcomes, Tally};
