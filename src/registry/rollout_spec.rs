//! How a new version of a followed model comes into use, and how far it has come: the parts of a revision that say so.

use serde::{Deserialize, Serialize};

use super::{ModelRef, Share};
use crate::moment::Moment;
use crate::name::Name;
use crate::objective::Objective;

/// The longest search for settings.
const PROFILE_S_MAX: u64 = 600;

/// The most steps of a rollout.
const STEPS_MAX: usize = 20;

/// What a new version has to show on its way. Everything has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The candidate's shares of the traffic of the deployment that it is to replace, one after the other. The last is all.
    pub steps: Vec<Share>,
    /// How long each step takes at least.
    pub hold_s: u64,
    /// Requests that the candidate has to answer in each step. Once, before the first, so many mirrored answers have to be
    /// compared, if there is a mirror.
    pub min_requests: u64,
    /// A stage that is not decided by then fails. 0: it may take as long as it takes.
    pub step_timeout_s: u64,
    /// What the candidate's latency has to be, on its own and under traffic.
    pub objective: Objective,
    /// How long the settings with which a new version meets the objective are searched for before it begins. 0: not at all.
    pub profile_s: u64,
    /// The candidate's error rate may be so much higher than the baseline's.
    pub max_error_increase: Share,
    /// Its p99 latency may be so much longer, in percent.
    pub max_latency_increase_percent: u32,
    /// The share of the baseline's requests that the candidate answers once more, to be compared.
    pub mirror: Share,
    /// So many of the mirrored answers have to agree.
    pub min_agreement: Share,
    /// So many of the golden answers may change.
    pub max_changed: Share,
    /// Numbers of two answers are the same if they differ by no more than this, relative to the larger if that is above 1.
    pub answer_tolerance: f64,
    /// The probability that a candidate that is no worse is rolled back by mistake, over all steps and all that is watched.
    pub false_alarms: f64,
}

impl Default for Guard {
    fn default() -> Guard {
        let percent = |percent: f64| Share::from_percent(percent).expect("the defaults are shares");
        Guard {
            steps: [1.0, 5.0, 25.0, 50.0, 100.0].map(percent).to_vec(),
            hold_s: 300,
            min_requests: 100,
            step_timeout_s: 0,
            objective: Objective::default(),
            profile_s: 0,
            max_error_increase: percent(0.1),
            max_latency_increase_percent: 25,
            mirror: Share::NONE,
            min_agreement: percent(99.0),
            max_changed: Share::NONE,
            answer_tolerance: 1e-4,
            false_alarms: 0.05,
        }
    }
}

/// A rollout that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The deployment of the new version.
    pub candidate: Name,
    pub model: ModelRef,
    /// The deployment that it is to replace.
    pub baseline: Name,
    /// The revision with which it began.
    pub begun_revision: u64,
    pub stage: Stage,
    /// The revision with which the stage began, and when that was.
    pub since_revision: u64,
    pub since: Moment,
}

/// How far a rollout has come. Written `"checking"` or `{"step": 2}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The candidate is loaded and tried out; it has no traffic but what is mirrored.
    Checking,
    /// It has the share of this step, counted from 0.
    Step(usize),
}

/// A guard that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidGuard(String);

impl Guard {
    /// Checks what has to hold between the parts.
    pub fn check(&self) -> Result<(), InvalidGuard> {
        let refuse = |text: String| Err(InvalidGuard(text));
        if self.steps.is_empty() || self.steps.len() > STEPS_MAX {
            return refuse(format!("steps: expected 1 to {STEPS_MAX} shares, got {}", self.steps.len()));
        }
        let rises = self.steps.windows(2).all(|pair| pair[0] < pair[1]) && self.steps[0] > Share::NONE;
        if !rises || self.steps.last() != Some(&Share::ALL) {
            let steps: Vec<_> = self.steps.iter().map(|share| share.percent().to_string()).collect();
            return refuse(format!("steps: expected rising shares that end with 100, got {}", steps.join(", ")));
        }
        if self.profile_s > PROFILE_S_MAX {
            return refuse(format!("profile_s: expected at most {PROFILE_S_MAX}, got {}", self.profile_s));
        }
        if self.profile_s > 0 && self.objective.bounds.is_empty() {
            return refuse(
                "profile_s: there is no objective to search for; give one, as in objective=p99=50ms".to_owned(),
            );
        }
        if !(self.answer_tolerance >= 0.0 && self.answer_tolerance.is_finite()) {
            return refuse(format!("answer_tolerance: expected 0 or more, got {}", self.answer_tolerance));
        }
        if !(self.false_alarms > 0.0 && self.false_alarms <= 0.5) {
            return refuse(format!("false_alarms: expected more than 0 and at most 0.5, got {}", self.false_alarms));
        }
        Ok(())
    }
}

/// Reads a guard that keeps its rules; for `#[serde(deserialize_with)]`.
pub(super) fn checked<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Guard, D::Error> {
    let guard = Guard::deserialize(input)?;
    guard.check().map(|()| guard).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_has_defaults_and_is_checked_when_it_is_read() {
        let read =
            |text: &str| checked(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string());
        assert_eq!(read("{}").unwrap(), Guard::default());
        let guard = read(r#"{"steps": [10, 100], "objective": "p99=50ms", "hold_s": 5}"#).unwrap();
        assert_eq!((guard.steps.len(), guard.hold_s, guard.min_requests), (2, 5, 100));
        assert_eq!(read(&serde_json::to_string(&guard).unwrap()).unwrap(), guard);
        for (text, complaint) in [
            (r#"{"steps": []}"#, "expected 1 to 20 shares, got 0"),
            (r#"{"steps": [5, 1, 100]}"#, "rising shares that end with 100, got 5, 1, 100"),
            (r#"{"steps": [0, 100]}"#, "rising shares"),
            (r#"{"steps": [1, 50]}"#, "rising shares"),
            (r#"{"profile_s": 20}"#, "there is no objective to search for"),
            (r#"{"profile_s": 601, "objective": "p99=1s"}"#, "at most 600, got 601"),
            (r#"{"answer_tolerance": -1}"#, "expected 0 or more"),
            (r#"{"false_alarms": 0}"#, "more than 0"),
            (r#"{"objective": "fast"}"#, "'fast' is no objective"),
            (r#"{"hold": 1}"#, "unknown field `hold`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
