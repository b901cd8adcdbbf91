//! What is counted of events that others are told of, by the event's name.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::metrics::{counter, int_gauge};

/// The metrics of all events.
#[derive(Debug)]
pub(super) struct Families {
    messages: IntCounterVec,
    refused: IntCounterVec,
    waiting: IntGaugeVec,
}

/// One event's handles. A message is an event to one receiver.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    /// Taken by the receiver.
    pub sent: IntCounter,
    /// Given up: too old, or the receiver wants no more.
    pub failed: IntCounter,
    /// Lost before anybody was told: too many waited, or the disk did not take it.
    pub dropped: IntCounter,
    /// Tries that were not taken, and come again.
    pub refused: IntCounter,
    pub waiting: IntGauge,
}

impl WebhookMetrics {
    /// A message that waited is lost.
    pub fn lose(&self) {
        self.dropped.inc();
        self.waiting.dec();
    }
}

impl Families {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Families> {
        Ok(Families {
            messages: counter(
                registry,
                "scoria_webhook_messages_total",
                "Messages to receivers of events that are done with, by what became of them.",
                &["event", "outcome"],
            )?,
            refused: counter(
                registry,
                "scoria_webhook_refused_tries_total",
                "Tries to send a message that were not taken, and come again.",
                &["event"],
            )?,
            waiting: int_gauge(
                registry,
                "scoria_webhook_messages_waiting",
                "Messages that their receivers have not taken yet.",
                &["event"],
            )?,
        })
    }

    pub(super) fn of(&self, event: &str) -> WebhookMetrics {
        let outcome = |outcome: &str| self.messages.with_label_values(&[event, outcome]);
        WebhookMetrics {
            sent: outcome("sent"),
            failed: outcome("failed"),
            dropped: outcome("dropped"),
            refused: self.refused.with_label_values(&[event]),
            waiting: self.waiting.with_label_values(&[event]),
        }
    }
}
