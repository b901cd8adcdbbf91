//! How much a count of successes speaks against a hypothetical rate, at whatever moment one looks.
//!
//! The evidence is Robbins' mixture martingale: the likelihood of the observations under a mixture of rates, divided by their
//! likelihood under the hypothetical one. Under the hypothesis its expectation is 1 at all times, so by Ville's inequality it
//! ever reaches 1/α with a probability of at most α: whoever looks after every observation is as safe as who looks once. Sources:
//! H. Robbins, "Statistical methods related to the law of the iterated logarithm" (1970); S. Howard, A. Ramdas, J. McAuliffe
//! and J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49 (2021),
//! proposition 7 (the beta-binomial mixture). It is exact for any count, none included: there is no normal approximation.

use statrs::function::beta::ln_beta;

/// Weights of the mixture's parts, in observations: each is a beta distribution about the hypothetical rate that is as sharp as
/// if so many had been seen. A part is at its best when there are about five to fifty times as many, so these cover from tens
/// to a hundred million of them, and cost a factor of 6 at the most against the best of them.
const WEIGHTS: [f64; 6] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e6];

/// Successes of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub successes: u64,
    pub trials: u64,
}

impl Count {
    /// The share of successes; `None` without trials.
    pub fn rate(self) -> Option<f64> {
        (self.trials > 0).then(|| self.successes as f64 / self.trials as f64)
    }

    /// The natural logarithm of the evidence against this rate.
    pub fn evidence_against(self, rate: f64) -> f64 {
        let Count { successes, trials } = self;
        let (hits, misses) = (successes as f64, trials.saturating_sub(successes) as f64);
        // At the ends there is one rate to mix: either it explains everything, or nothing.
        if rate <= 0.0 || rate >= 1.0 {
            let is_explained = if rate <= 0.0 { hits == 0.0 } else { misses == 0.0 };
            return if is_explained { 0.0 } else { f64::INFINITY };
        }
        let parts = WEIGHTS.map(|weight| {
            let (alpha, beta) = (weight * rate, weight * (1.0 - rate));
            ln_beta(alpha + hits, beta + misses) - ln_beta(alpha, beta)
        });
        let largest = parts.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = parts.iter().map(|part| (part - largest).exp()).sum();
        largest + (sum / WEIGHTS.len() as f64).ln() - hits * rate.ln() - misses * (-rate).ln_1p()
    }

    /// The rates that the evidence leaves: those against which it is below `limit`. It contains the observed rate if the limit is
    /// above 0, and everything if there are no trials.
    pub fn rates_within(self, limit: f64) -> [f64; 2] {
        let Some(observed) = self.rate() else { return [0.0, 1.0] };
        [self.edge(observed, 0.0, limit), self.edge(observed, 1.0, limit)]
    }

    /// Between a rate that is left and an end of the scale, where the evidence reaches the limit; from outside, so that an
    /// interval is never too short.
    fn edge(self, mut inside: f64, mut outside: f64, limit: f64) -> f64 {
        if self.evidence_against(outside) <= limit {
            return outside;
        }
        while (inside - outside).abs() > 1e-9 * inside.abs().max(1e-6) {
            let middle = 0.5 * (inside + outside);
            if middle == inside || middle == outside {
                break;
            }
            if self.evidence_against(middle) <= limit { inside = middle } else { outside = middle }
        }
        outside
    }
}
