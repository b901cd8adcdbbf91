//! Which texts have been seen lately, by their hashes.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

/// The newest `N` texts. Two that have one hash pass for the same, which at 64 bits nobody will see.
#[derive(Debug, Default)]
pub struct Recent<const N: usize> {
    order: VecDeque<u64>,
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl<const N: usize> Recent<N> {
    pub fn contains(&self, text: &str) -> bool {
        self.seen.contains(&self.hasher.hash_one(text))
    }

    pub fn insert(&mut self, text: &str) {
        let hash = self.hasher.hash_one(text);
        if !self.seen.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > N
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut recent = Recent::<3>::default();
        ["a", "b", "b", "c", "d"].iter().for_each(|text| recent.insert(text));
        assert_eq!(["a", "b", "c", "d"].map(|text| recent.contains(text)), [false, true, true, true]);
        assert_eq!(recent.order.len(), 3);
    }
}
