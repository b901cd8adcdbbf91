//! What is asked of a model's latency: `p99=5ms`, or several of these.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many requests have to be expected beyond a percentile before it is believed: with five, a p99 needs 500 requests.
const SAMPLES_BEYOND: f64 = 5.0;

/// The fewest requests that anything is concluded from.
const SAMPLES_MIN: usize = 50;

/// Bounds on percentiles of the latency. Without any, a model has to keep up and no more.
/// Written as it is given: `p50=1ms,p99=5ms`; nothing is no bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Objective {
    pub bounds: Vec<Bound>,
}

/// So many per cent of the requests are to be answered within `limit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    pub percentile: f64,
    pub limit: Duration,
}

/// A text that is no objective, or no time. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    #[error("'{0}' is no objective: expected a percentile and a time, as in p99=5ms or p50=1ms,p99=5ms")]
    Form(String),
    #[error("'{0}' is no percentile: expected p and a number between 0 and 100, as in p99 or p99.9")]
    Percentile(String),
    #[error("p{0} is bounded twice; give each percentile once, as in p50=1ms,p99=5ms")]
    Twice(String),
    #[error("'{0}' is no time: expected a number above 0 with us, ms or s, as in 500us, 5ms or 1.5s")]
    Time(String),
}

impl Objective {
    /// How many requests a trial needs before this can be said to be met.
    pub fn samples_needed(&self) -> usize {
        let needed = |bound: &Bound| (SAMPLES_BEYOND / (1.0 - bound.percentile / 100.0)).round() as usize;
        self.bounds.iter().map(needed).fold(SAMPLES_MIN, usize::max)
    }

    /// The bound that a request by itself has to keep, too: the tightest of those that most requests are held to.
    pub fn tightest(&self) -> Option<Duration> {
        self.bounds.iter().filter(|bound| bound.percentile >= 50.0).map(|bound| bound.limit).min()
    }

    pub fn longest(&self) -> Option<Duration> {
        self.bounds.iter().map(|bound| bound.limit).max()
    }
}

impl Bound {
    /// Of `samples` requests, how many may take longer than the limit.
    pub fn may_exceed(&self, samples: usize) -> usize {
        samples - rank(self.percentile, samples)
    }
}

/// Which of so many samples, from the fastest, a percentile is: the nearest rank.
pub fn rank(percentile: f64, samples: usize) -> usize {
    // A percentile such as 99.9 has no exact binary form; what is a hair above a whole number is meant to be it.
    ((percentile / 100.0 * samples as f64 - 1e-9).ceil() as usize).min(samples)
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Objective, ObjectiveError> {
        let mut bounds: Vec<Bound> = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (percentile, limit) = item.split_once('=').ok_or_else(|| ObjectiveError::Form(item.to_owned()))?;
            let bound = Bound { percentile: parse_percentile(percentile.trim())?, limit: parse_time(limit.trim())? };
            if bounds.iter().any(|other| other.percentile == bound.percentile) {
                return Err(ObjectiveError::Twice(bound.percentile.to_string()));
            }
            bounds.push(bound);
        }
        Ok(Objective { bounds })
    }
}

impl TryFrom<String> for Objective {
    type Error = ObjectiveError;

    fn try_from(text: String) -> Result<Objective, ObjectiveError> {
        if text.is_empty() { Ok(Objective::default()) } else { text.parse() }
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> String {
        objective.to_string()
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bound) in self.bounds.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}p{}={:?}", bound.percentile, bound.limit)?;
        }
        Ok(())
    }
}

fn parse_percentile(text: &str) -> Result<f64, ObjectiveError> {
    let number = text.strip_prefix(['p', 'P']).and_then(|number| number.parse::<f64>().ok());
    number.filter(|number| *number > 0.0 && *number < 100.0).ok_or_else(|| ObjectiveError::Percentile(text.to_owned()))
}

/// A time such as `500us`, `5ms` or `1.5s`, of at most a day.
pub fn parse_time(text: &str) -> Result<Duration, ObjectiveError> {
    let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let seconds = units.iter().find_map(|(unit, scale)| {
        let number = text.strip_suffix(unit)?.trim_end().parse::<f64>().ok()?;
        Some(number * scale)
    });
    let seconds = seconds.filter(|seconds| *seconds >= 1e-9 && *seconds <= 86_400.0);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| ObjectiveError::Time(text.to_owned()))
}
