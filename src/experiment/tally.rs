//! What is counted of one deployment: sufficient statistics for every comparison, of a fixed size, that can be added up.
//!
//! Servers of other versions may count more; what is unknown is passed over.

use serde::{Deserialize, Serialize};

use super::{Moments, Sketch};

/// Everything that was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Answers with a status below 400.
    pub succeeded: u64,
    /// Answers that put the blame on the request (4xx).
    pub refused: u64,
    /// Answers that put it on the server (5xx): the model failed, or was not in time.
    pub failed: u64,
    /// How long the answers that succeeded took, in nanoseconds.
    pub latency_ns: Sketch,
    pub mirror: Mirror,
    pub outcomes: Outcomes,
}

/// What became of requests that this deployment answered once more, beside the one whose answer was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mirror {
    /// Pairs of answers that were compared.
    pub compared: u64,
    /// Of these, within the tolerance.
    pub agreed: u64,
    /// Requests that only this deployment failed to answer. They are among `compared`.
    pub failed: u64,
    /// The largest difference of each pair's elements, in units of [`Mirror::UNIT`].
    pub difference: Sketch,
}

/// What became of the answers, as clients reported it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// Reports of `true` or `false`.
    pub trials: u64,
    /// Of these, `true`.
    pub successes: u64,
    /// Reports of a number.
    pub numbers: Moments,
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    Success(bool),
    Number(f64),
}

impl Tally {
    /// All answers.
    pub fn answered(&self) -> u64 {
        self.succeeded + self.refused + self.failed
    }

    pub fn add(&mut self, other: &Tally) {
        let Tally { succeeded, refused, failed, latency_ns, mirror, outcomes } = other;
        self.succeeded += succeeded;
        self.refused += refused;
        self.failed += failed;
        self.latency_ns.add(latency_ns);
        self.mirror.compared += mirror.compared;
        self.mirror.agreed += mirror.agreed;
        self.mirror.failed += mirror.failed;
        self.mirror.difference.add(&mirror.difference);
        self.outcomes.trials += outcomes.trials;
        self.outcomes.successes += outcomes.successes;
        self.outcomes.numbers.add(&outcomes.numbers);
    }
}

impl Mirror {
    /// The unit of differences: small enough for rounding errors, large enough for millions.
    pub const UNIT: f64 = 1e-12;

    /// Counts a pair of answers by their largest difference; `None` if this deployment gave none.
    pub fn record(&mut self, difference: Option<f64>, tolerance: f64) {
        self.compared += 1;
        let Some(difference) = difference else {
            self.failed += 1;
            return;
        };
        self.agreed += u64::from(difference <= tolerance);
        // Saturates, and makes 0 of what is no number; such a pair has not agreed.
        let units = if difference.is_nan() { u64::MAX } else { (difference / Self::UNIT) as u64 };
        self.difference.record(units);
    }

    /// A quantile of the differences.
    pub fn difference_at(&self, quantile: f64) -> Option<f64> {
        self.difference.quantile(quantile).map(|units| units as f64 * Self::UNIT)
    }
}

impl Outcomes {
    /// Counts a report; false if it is a number that cannot be added.
    pub fn record(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Success(success) => {
                self.trials += 1;
                self.successes += u64::from(success);
                true
            }
            Outcome::Number(number) => self.numbers.record(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(seed: u64) -> Tally {
        let mut tally = Tally { succeeded: 3 * seed, refused: seed, failed: 1, ..Tally::default() };
        for n in 0..10 {
            tally.latency_ns.record(seed * 1_000 + n * 100_000);
            tally.mirror.record((n > 0).then_some(n as f64 * 1e-4), 5.5e-4);
            assert!(tally.outcomes.record(Outcome::Success(n % 3 == 0)));
            assert!(tally.outcomes.record(Outcome::Number((seed * n) as f64)));
        }
        tally
    }

    #[test]
    fn tallies_add_up_in_any_order_and_come_back_from_text() {
        let (mut forth, mut back) = (tally(1), tally(3));
        forth.add(&tally(2));
        forth.add(&tally(3));
        back.add(&tally(2));
        back.add(&tally(1));
        assert_eq!(
            (forth.answered(), forth.mirror.compared, forth.mirror.agreed, forth.mirror.failed),
            (27, 30, 15, 3)
        );
        assert!((forth.outcomes.numbers.mean - back.outcomes.numbers.mean).abs() < 1e-12);
        let text = serde_json::to_string(&forth).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), forth);
        back.outcomes = forth.outcomes.clone();
        assert_eq!(forth, back);
    }

    #[test]
    fn answers_that_are_no_numbers_do_not_agree() {
        let mut mirror = Mirror::default();
        for difference in [0.0, f64::NAN, f64::INFINITY, 1e300] {
            mirror.record(Some(difference), 1e-6);
        }
        assert_eq!((mirror.compared, mirror.agreed), (4, 1));
        assert!(mirror.difference_at(0.9).unwrap() > 1e7);
    }

    #[test]
    fn an_outcome_is_yes_or_no_or_a_number() {
        let read = |text| serde_json::from_str::<Outcome>(text);
        assert_eq!(read("true").unwrap(), Outcome::Success(true));
        assert_eq!(read("12.5").unwrap(), Outcome::Number(12.5));
        assert!(read("\"yes\"").is_err());
        assert!(!Outcomes::default().record(Outcome::Number(f64::NAN)));
    }
}
