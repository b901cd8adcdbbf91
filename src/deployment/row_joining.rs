//! Whether requests to a deployment share runs.

/// The decision at load, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowJoining {
    pub verdict: JoinVerdict,
    /// A clause for the operator: what proves it, or what is in the way.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinVerdict {
    /// Rows of several requests share runs, and are proven to stay apart.
    Joined,
    /// They share runs though no proof says so, because the operator allows it.
    AtRisk,
    /// They could, and do not: it is not worth it, or not wanted.
    Unused,
    /// Each request has a run of its own.
    Alone,
}

impl RowJoining {
    pub fn new(verdict: JoinVerdict, reason: impl Into<String>) -> RowJoining {
        RowJoining { verdict, reason: reason.into() }
    }

    /// Whether any setting of `max_batch` could have rows share runs.
    pub fn is_possible(&self) -> bool {
        self.verdict != JoinVerdict::Alone
    }
}
