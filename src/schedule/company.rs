//! Whether requests come in company.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A moving average of how many requests come to a thread before it has to look for more, this one included.
///
/// A request that lets the others of its thread go first can share a run with them. Whether there are others is found out by
/// having one request of some look, and decides together with what a shared run saves.
#[derive(Debug)]
pub struct Company {
    /// In 256ths.
    average: AtomicU32,
    requests: AtomicU32,
}

/// One of so many requests looks.
const TRIAL: u32 = 32;

/// What it costs a request to wait for others of its thread, rather than to run at once: a turn of the runtime, and the way
/// through the queue. What is saved beyond a shared run makes up for the rest: each step finds its code in the cache.
const TURN: Duration = Duration::from_micros(1);

/// More company than this is not told apart.
const COMPANY_MAX: u32 = 64;

/// A request before its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is to look how many others come.
    Trial {
        count: u32,
    },
    Ordinary,
}

impl Default for Company {
    fn default() -> Self {
        Company { average: AtomicU32::new(256), requests: AtomicU32::new(0) }
    }
}

impl Company {
    /// Counts a request.
    pub fn arrive(&self) -> Arrival {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(TRIAL) { Arrival::Trial { count } } else { Arrival::Ordinary }
    }

    /// Notes that the others of a trial's thread have gone first.
    pub fn note(&self, count: u32) {
        let came = self.requests.load(Ordering::Relaxed).wrapping_sub(count).clamp(1, COMPANY_MAX);
        // An update lost between two threads is one sample of many.
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 8 + came * 256 / 8, Ordering::Relaxed);
    }

    /// How many requests are likely to share a run.
    pub fn expected(&self) -> usize {
        (self.average.load(Ordering::Relaxed) / 256) as usize
    }
}

/// Whether a run that several requests share is worth their wait, by what it takes by itself and for all.
pub fn is_worth_it(alone: Duration, together: Duration, requests: usize) -> bool {
    let each = together / u32::try_from(requests).unwrap_or(u32::MAX).max(1);
    requests > 1 && alone > each + TURN
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// A trial in which so many requests come, the trial's own included.
    fn trial(company: &Company, requests: u32) {
        let count = loop {
            if let Arrival::Trial { count } = company.arrive() {
                break count;
            }
        };
        (1..requests).for_each(|_| drop(company.arrive()));
        company.note(count);
    }

    #[test]
    fn one_of_some_looks_how_many_come() {
        let company = Company::default();
        let trials = (0..320).filter(|_| company.arrive() != Arrival::Ordinary).count();
        assert_eq!((trials, company.expected()), (10, 1));
        (0..40).for_each(|_| trial(&company, 8));
        assert_eq!(company.expected(), 7, "nearly");
        (0..40).for_each(|_| trial(&company, 1));
        assert_eq!(company.expected(), 1);
        (0..99).for_each(|_| trial(&company, 1_000));
        assert!(company.expected() <= 64);
    }

    #[test]
    fn a_wait_has_to_pay() {
        assert!(is_worth_it(12 * US, 40 * US, 8));
        assert!(!is_worth_it(US, 2 * US, 8), "there is little to save");
        assert!(!is_worth_it(500 * US, 4_000 * US, 8), "nothing is saved");
        assert!(!is_worth_it(500 * US, 500 * US, 1), "nobody else comes");
    }
}
