//! What is known of a number, and how surely.

use serde::{Deserialize, Serialize};

/// The probability that an interval is ever wrong, over all times at which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

/// A probability that is none, or too near to its ends for anything to be concluded.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no level: give the probability of a false alarm, above 0 and at most 0.5, as in 0.05")]
pub struct InvalidLevel(f64);

impl Level {
    /// 95 %.
    pub const USUAL: Level = Level(0.05);

    pub fn new(false_alarms: f64) -> Result<Level, InvalidLevel> {
        let is_level = (1e-12..=0.5).contains(&false_alarms);
        is_level.then_some(Level(false_alarms)).ok_or(InvalidLevel(false_alarms))
    }

    /// From a percentage such as `95`: how sure an interval is to hold.
    pub fn from_confidence(percent: &str) -> Option<Level> {
        let percent = percent.parse::<f64>().ok()?;
        Level::new(1.0 - percent / 100.0).ok()
    }

    /// The level of each of so many tests that together have this one (Bonferroni).
    pub fn shared_by(self, tests: usize) -> Level {
        Level((self.0 / tests.max(1) as f64).max(1e-12))
    }

    /// The probability that the interval is ever wrong: 0.05.
    pub fn false_alarms(self) -> f64 {
        self.0
    }

    /// In percent, the probability that it is never wrong: 95.
    pub fn confidence_percent(self) -> f64 {
        // 0.05 has no binary form, and 95.00000000000001 helps nobody.
        ((1.0 - self.0) * 1e6).round() / 1e4
    }

    /// The evidence, as a natural logarithm, that excludes a value.
    pub fn limit(self) -> f64 {
        -self.0.ln()
    }
}

impl TryFrom<f64> for Level {
    type Error = InvalidLevel;

    fn try_from(false_alarms: f64) -> Result<Level, InvalidLevel> {
        Level::new(false_alarms)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> f64 {
        level.0
    }
}

/// Between what a number lies. An end that is `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

impl Interval {
    /// The number is above this one.
    pub fn is_above(&self, value: f64) -> bool {
        self.lower.is_some_and(|lower| lower > value)
    }

    /// The number is below this one.
    pub fn is_below(&self, value: f64) -> bool {
        self.upper.is_some_and(|upper| upper < value)
    }

    pub fn contains(&self, value: f64) -> bool {
        !self.is_above(value) && !self.is_below(value)
    }
}
