//! The stages of a server's life. The thread that ends the process reads them when something hangs.

use std::sync::atomic::{AtomicU8, Ordering};

/// The current stage, shared by the thread that goes through it and the one that watches the clock.
#[derive(Debug, Default)]
pub struct Ending(AtomicU8);

/// The stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AtWork {
    /// Reading keys and settings, loading the engine, binding ports.
    Start,
    Serving,
    /// Answering the requests in flight.
    Requests,
    /// Writing the last report to the registry.
    LastReport,
    AdminPort,
    /// Letting go of models and threads.
    Release,
}

impl AtWork {
    const ALL: [AtWork; 6] =
        [AtWork::Start, AtWork::Serving, AtWork::Requests, AtWork::LastReport, AtWork::AdminPort, AtWork::Release];

    /// For the operator.
    pub const fn in_words(self) -> &'static str {
        match self {
            AtWork::Start => "starting",
            AtWork::Serving => "serving",
            AtWork::Requests => "answering the requests in flight",
            AtWork::LastReport => "writing the last report to the registry",
            AtWork::AdminPort => "closing the admin port",
            AtWork::Release => "letting go of models and threads",
        }
    }

    /// Whether requests may be in flight that have been neither answered nor cut off.
    pub const fn has_requests(self) -> bool {
        matches!(self, AtWork::Serving | AtWork::Requests)
    }
}

impl Ending {
    /// It begins this now.
    pub fn reach(&self, at_work: AtWork) {
        self.0.store(at_work as u8, Ordering::Release);
    }

    pub fn at_work(&self) -> AtWork {
        let reached = usize::from(self.0.load(Ordering::Acquire));
        AtWork::ALL.get(reached).copied().unwrap_or(AtWork::Release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_last_is_at_work() {
        let ending = Ending::default();
        assert_eq!(ending.at_work(), AtWork::Start);
        for at_work in AtWork::ALL {
            ending.reach(at_work);
            assert_eq!(ending.at_work(), at_work);
        }
        assert_eq!(AtWork::ALL.map(AtWork::has_requests), [false, true, true, false, false, false]);
    }
}
