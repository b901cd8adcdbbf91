//! How a candidate fared by itself, before it had any traffic.

use crate::experiment::{Sketch, number};
use crate::registry::Guard;

/// What a replica has tried with a candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    pub golden: Golden,
    /// How long runs of its sample took, one after the other, in nanoseconds.
    pub latency_ns: Sketch,
}

/// The golden requests, answered once more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden {
    pub replayed: u64,
    /// Answers that differ by more than the tolerance, in shape, or that were none.
    pub changed: u64,
    /// The largest difference of two numbers, if any differ.
    pub largest: Option<f64>,
    /// Names of some cases that changed.
    pub cases: Vec<String>,
}

impl Golden {
    /// The most names that are kept.
    pub const CASES_MAX: usize = 5;

    /// Such as "3 of 200 golden answers changed".
    pub fn sentence(&self, guard: &Guard) -> String {
        let Golden { replayed, changed, .. } = self;
        if *replayed == 0 {
            return "it has no golden requests".to_owned();
        }
        let mut text = format!("{changed} of {replayed} golden answers changed");
        if *changed > 0 {
            text += &format!(" by more than {}", number(guard.answer_tolerance));
            if let Some(largest) = self.largest {
                text += &format!(", up to {}", number(largest));
            }
            text +=
                &format!(" ({}{})", self.cases.join(", "), if *changed > self.cases.len() as u64 { ", …" } else { "" });
        }
        text
    }

    /// Whether more have changed than may.
    pub fn is_broken(&self, guard: &Guard) -> bool {
        self.changed as f64 > guard.max_changed.percent() / 100.0 * self.replayed as f64
    }
}
