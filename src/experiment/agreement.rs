//! How often a deployment's mirrored answers agree with those that were given.

use serde::Serialize;

use super::evidence::Count;
use super::interval::{Interval, Level};
use super::{Mirror, sentence};
use crate::name::Name;

/// What is known of a mirrored deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    pub deployment: Name,
    pub compared: u64,
    pub agreed: u64,
    /// Requests that this deployment alone failed to answer.
    pub failed: u64,
    /// Between what the share of answers that agree lies.
    pub share: Interval,
    /// Half of the pairs differ by at most so much; 99 of 100; all.
    pub difference_p50: Option<f64>,
    pub difference_p99: Option<f64>,
    pub difference_max: Option<f64>,
    pub confidence_percent: f64,
    /// All of it for people.
    pub sentence: String,
}

/// How far mirrored answers agree; `None` if none were compared.
pub fn agreement(deployment: &Name, mirror: &Mirror, level: Level) -> Option<Agreement> {
    let count = Count { successes: mirror.agreed, trials: mirror.compared };
    count.rate()?;
    let [lower, upper] = count.rates_within(level.limit());
    let mut agreement = Agreement {
        deployment: deployment.clone(),
        compared: mirror.compared,
        agreed: mirror.agreed,
        failed: mirror.failed,
        share: Interval { lower: Some(lower), upper: Some(upper) },
        difference_p50: mirror.difference_at(0.5),
        difference_p99: mirror.difference_at(0.99),
        difference_max: mirror.difference_at(1.0),
        confidence_percent: level.confidence_percent(),
        sentence: String::new(),
    };
    agreement.sentence = sentence::of_agreement(&agreement);
    Some(agreement)
}
