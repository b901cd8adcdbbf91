//! What is to be done, checked: the target, and the phases of a run. Made from `settings`, carried out by `load`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::schedule::{Arrivals, Stretch};
use crate::wire::Outgoing;

/// The protocol that connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http1,
    /// Without an upgrade: the client knows that the server speaks it.
    Http2,
}

/// Where requests go, and what they are.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    pub addresses: Arc<[SocketAddr]>,
    pub protocol: Protocol,
    pub connections: u32,
    /// Exchanges at a time on one connection; 1 with HTTP/1.1.
    pub streams: u32,
    /// At most as many as there are connections.
    pub threads: u32,
    /// Sent in rotation; at least one.
    pub requests: Arc<[Outgoing]>,
    pub timeout: Duration,
    /// How long an open loop's request waits for a free connection; at most the time-out.
    pub patience: Duration,
}

/// What decides when the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// The last answer.
    Closed,
    /// The clock.
    Open { rate: f64, arrivals: Arrivals },
}

/// A stretch of a run, which follows the one before it without a pause.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    pub pace: Pace,
    pub lasts: Duration,
    /// Warm-up is done and not reported.
    pub is_measured: bool,
}

/// Phases on the same connections.
#[derive(Debug, Clone)]
pub struct Run {
    pub target: Target,
    /// All closed, or all open.
    pub phases: Vec<Phase>,
    pub seed: u64,
    /// What the timeline counts by.
    pub interval: Duration,
}

impl Run {
    /// The open loop's stretches; none if the loop is closed.
    pub fn stretches(&self) -> Option<Vec<Stretch>> {
        let stretch = |phase: &Phase| match phase.pace {
            Pace::Closed => None,
            Pace::Open { rate, arrivals } => Some(Stretch { rate, arrivals, lasts: phase.lasts }),
        };
        self.phases.iter().map(stretch).collect()
    }

    /// When each measured phase ends, since the run's begin: no request that was meant for it, or for its warm-up, is sent
    /// afterwards, so that the next phase does not begin with what was left over.
    pub fn cutoffs(&self) -> Vec<Duration> {
        let phases = self.phases.iter().zip(self.ends());
        phases.filter(|(phase, _)| phase.is_measured).map(|(_, end)| end).collect()
    }

    /// When each phase ends, since the run's begin.
    pub fn ends(&self) -> Vec<Duration> {
        let add = |sum: &mut Duration, phase: &Phase| {
            *sum += phase.lasts;
            Some(*sum)
        };
        self.phases.iter().scan(Duration::ZERO, add).collect()
    }
}
