//! Whether requests come in company.

use std::sync::atomic::{AtomicU32, Ordering};

/// A moving average of how many requests a run has found that waited for others first.
///
/// Waiting for others costs a request a turn of its thread. It is worth it where others come; and whether they do is found out
/// by having one of some requests wait, whatever the average.
#[derive(Debug)]
pub struct Company {
    /// In 256ths.
    average: AtomicU32,
    requests: AtomicU32,
}

/// The average from which all requests wait: one and a half.
const WORTH_IT: u32 = 256 * 3 / 2;

/// One of so many requests waits in any case.
const TRIAL: u32 = 32;

impl Default for Company {
    fn default() -> Self {
        Company { average: AtomicU32::new(256), requests: AtomicU32::new(0) }
    }
}

impl Company {
    /// Whether a request that has come now is to wait for others.
    pub fn is_expected(&self) -> bool {
        self.average.load(Ordering::Relaxed) >= WORTH_IT
            || self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIAL)
    }

    /// Notes how many requests a run found that had waited.
    pub fn note(&self, requests: usize) {
        let found = u32::try_from(requests).unwrap_or(u32::MAX).min(64) * 256;
        // An update lost between two threads is one sample of many.
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 8 + found / 8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_some_tries_and_all_wait_once_it_is_worth_it() {
        let company = Company::default();
        let waiting = |company: &Company| (0..320).filter(|_| company.is_expected()).count();
        assert_eq!(waiting(&company), 10);
        (0..20).for_each(|_| company.note(4));
        assert_eq!(waiting(&company), 320);
        (0..20).for_each(|_| company.note(1));
        assert_eq!(waiting(&company), 10);
    }
}
