//! Values that are used again and again, the most recent of them kept, within a bound on their size.

use std::collections::VecDeque;

/// What has been given back and may be taken again, by what it is good for.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    /// The longest unused first.
    kept: VecDeque<Kept<K, V>>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    key: K,
    value: V,
    bytes: usize,
}

impl<K: PartialEq, V> Recent<K, V> {
    pub(super) fn new(bytes_max: usize) -> Recent<K, V> {
        Recent { kept: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// One that is good for this, the last that was given back.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let index = self.kept.iter().rposition(|kept| kept.key == *key)?;
        let kept = self.kept.remove(index)?;
        self.bytes -= kept.bytes;
        Some(kept.value)
    }

    /// Keeps a value of so many bytes, and lets go of those that have not been used for the longest time as far as it takes their
    /// room. What is larger than all room there is is not kept.
    pub(super) fn put(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes > self.bytes_max - bytes {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
        self.bytes += bytes;
        self.kept.push_back(Kept { key, value, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_by_who_can_use_it() {
        let mut recent = Recent::new(100);
        recent.put("a", 1, 10);
        recent.put("a", 2, 10);
        recent.put("b", 3, 10);
        assert_eq!((recent.take(&"a"), recent.take(&"a"), recent.take(&"a")), (Some(2), Some(1), None));
        assert_eq!((recent.take(&"c"), recent.take(&"b"), recent.bytes), (None, Some(3), 0));
    }

    #[test]
    fn those_longest_unused_make_room() {
        let mut recent = Recent::new(100);
        recent.put("a", 1, 60);
        recent.put("b", 2, 40);
        recent.put("c", 3, 30);
        assert_eq!((recent.take(&"a"), recent.bytes), (None, 70));
        recent.put("d", 4, 101);
        assert_eq!((recent.take(&"d"), recent.take(&"b"), recent.take(&"c")), (None, Some(2), Some(3)));
        recent.put("e", 5, 100);
        assert_eq!(recent.take(&"e"), Some(5));
    }
}
