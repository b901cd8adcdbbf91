//! What is counted of TLS, by port.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::metrics::{counter, int_gauge};

/// Why a connection to a TLS port came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// No version, cipher or protocol in common, a client certificate that is missing or not trusted, or no TLS at all.
    Refused,
    /// The client did not finish in time.
    Timeout,
    /// The client speaks HTTP without TLS.
    PlainHttp,
}

impl HandshakeFailure {
    const ALL: [HandshakeFailure; 3] =
        [HandshakeFailure::Refused, HandshakeFailure::Timeout, HandshakeFailure::PlainHttp];

    const fn name(self) -> &'static str {
        match self {
            HandshakeFailure::Refused => "refused",
            HandshakeFailure::Timeout => "timeout",
            HandshakeFailure::PlainHttp => "plain_http",
        }
    }
}

/// The metrics of all ports.
#[derive(Debug)]
pub(super) struct Families {
    expiry: IntGaugeVec,
    reloads: IntCounterVec,
    failures: IntCounterVec,
}

/// One port's handles.
#[derive(Debug)]
pub struct TlsMetrics {
    /// When the certificate in use ends, in seconds since 1970.
    pub expiry: IntGauge,
    pub reloaded: IntCounter,
    /// Reloads that failed, so that what was loaded before stays in use.
    pub kept: IntCounter,
    failures: [IntCounter; 3],
}

impl Families {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Families> {
        Ok(Families {
            expiry: int_gauge(
                registry,
                "scoria_tls_certificate_expiry_timestamp_seconds",
                "When the certificate in use ends, in seconds since 1970.",
                &["port"],
            )?,
            reloads: counter(
                registry,
                "scoria_tls_reloads_total",
                "Reloads of a port's certificate files; after one that failed, what was loaded before stays in use.",
                &["port", "outcome"],
            )?,
            failures: counter(
                registry,
                "scoria_tls_handshake_failures_total",
                "Connections to a TLS port that came to nothing.",
                &["port", "reason"],
            )?,
        })
    }

    pub(super) fn port(&self, port: &str) -> TlsMetrics {
        TlsMetrics {
            expiry: self.expiry.with_label_values(&[port]),
            reloaded: self.reloads.with_label_values(&[port, "loaded"]),
            kept: self.reloads.with_label_values(&[port, "failed"]),
            failures: HandshakeFailure::ALL.map(|reason| self.failures.with_label_values(&[port, reason.name()])),
        }
    }
}

impl TlsMetrics {
    /// A connection came to nothing.
    pub fn failed(&self, reason: HandshakeFailure) {
        self.failures[reason as usize].inc();
    }
}
