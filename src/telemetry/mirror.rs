//! What is counted of requests that are run again to be compared.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Registry};

use super::metrics::{counter, gauge};

/// What became of a request that was drawn to be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    Compared,
    /// The compared deployment failed on it.
    Failed,
    /// Too many waited already, or the compared deployment had too much to do.
    Dropped,
    /// Its inputs or outputs are too large to be copied.
    TooLarge,
}

impl Mirrored {
    const ALL: [Mirrored; 4] = [Mirrored::Compared, Mirrored::Failed, Mirrored::Dropped, Mirrored::TooLarge];

    const fn name(self) -> &'static str {
        match self {
            Mirrored::Compared => "compared",
            Mirrored::Failed => "failed",
            Mirrored::Dropped => "dropped",
            Mirrored::TooLarge => "too_large",
        }
    }
}

/// The metrics of all mirrors.
#[derive(Debug)]
pub(super) struct Families {
    requests: IntCounterVec,
    max_abs: GaugeVec,
    max_rel: GaugeVec,
    agreement: GaugeVec,
}

/// The handles of one deployment that is compared.
#[derive(Debug)]
pub struct MirrorMetrics {
    requests: [IntCounter; 4],
    max_abs: Gauge,
    max_rel: Gauge,
    agreement: Gauge,
}

impl Families {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Families> {
        let labels = &["endpoint", "deployment"];
        Ok(Families {
            requests: counter(
                registry,
                "scoria_mirrored_requests_total",
                "Requests drawn to be run again by a deployment that is compared, by what became of them.",
                &["endpoint", "deployment", "outcome"],
            )?,
            max_abs: gauge(
                registry,
                "scoria_mirror_max_absolute_difference",
                "The largest difference of two numbers in answers to the same requests.",
                labels,
            )?,
            max_rel: gauge(
                registry,
                "scoria_mirror_max_relative_difference",
                "The largest difference of two numbers, as a part of the larger.",
                labels,
            )?,
            agreement: gauge(
                registry,
                "scoria_mirror_label_agreement_ratio",
                "The part of labels in answers to the same requests that are equal.",
                labels,
            )?,
        })
    }

    pub(super) fn of(&self, endpoint: &str, deployment: &str) -> MirrorMetrics {
        let labels = [endpoint, deployment];
        let agreement = self.agreement.with_label_values(&labels);
        // Nothing has been compared, or nothing that has labels.
        agreement.set(f64::NAN);
        MirrorMetrics {
            requests: Mirrored::ALL
                .map(|outcome| self.requests.with_label_values(&[endpoint, deployment, outcome.name()])),
            max_abs: self.max_abs.with_label_values(&labels),
            max_rel: self.max_rel.with_label_values(&labels),
            agreement,
        }
    }
}

impl MirrorMetrics {
    pub fn count(&self, outcome: Mirrored) {
        self.requests[outcome as usize].inc();
    }

    /// How far answers have been apart so far.
    pub fn differ(&self, max_abs: f64, max_rel: f64, agreement: Option<f64>) {
        self.max_abs.set(max_abs);
        self.max_rel.set(max_rel);
        if let Some(agreement) = agreement {
            self.agreement.set(agreement);
        }
    }
}
