//! The keys of what is served, and when each was last used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{KeyDigest, KeyRing, Slot};
use crate::moment::Moment;

/// How exactly it is known when a key was used, in seconds. A write for each request would have the threads that serve wait for
/// each other's caches.
const GRAIN_S: u64 = 60;

/// Two keys' digests, with when each was last used.
#[derive(Clone, Debug)]
pub struct WatchedRing {
    ring: KeyRing,
    /// Seconds since 1970; 0: never. Shared by what is published one after the other, for as long as a key stays.
    primary_used: Arc<AtomicU64>,
    secondary_used: Arc<AtomicU64>,
}

impl WatchedRing {
    /// Watches a ring. What is known of keys that were in `before` goes on being known.
    pub fn new(ring: KeyRing, before: Option<&WatchedRing>) -> WatchedRing {
        let used = |slot: Slot| {
            let before = before.filter(|before| before.ring.digest(slot).matches(ring.digest(slot)));
            before.map(|before| Arc::clone(before.used_s(slot))).unwrap_or_default()
        };
        WatchedRing { ring, primary_used: used(Slot::Primary), secondary_used: used(Slot::Secondary) }
    }

    /// Which of the ring's keys was presented, if one was. It is noted as used.
    pub fn admit(&self, presented: &KeyDigest, now: Moment) -> Option<Slot> {
        let slot = self.ring.find(presented)?;
        let (used_s, now_s) = (self.used_s(slot), now.seconds() / GRAIN_S * GRAIN_S);
        if used_s.load(Ordering::Relaxed) != now_s {
            used_s.store(now_s, Ordering::Relaxed);
        }
        Some(slot)
    }

    /// Whether one of the ring's keys was presented, which is not noted.
    pub fn knows(&self, presented: &KeyDigest) -> bool {
        self.ring.find(presented).is_some()
    }

    /// Each key's public name, and when it was last used, to the minute; `None` if it was not.
    pub fn uses(&self) -> impl Iterator<Item = (String, Option<Moment>)> {
        Slot::ALL.into_iter().map(|slot| {
            let used_s = self.used_s(slot).load(Ordering::Relaxed);
            (self.ring.digest(slot).id(), (used_s > 0).then(|| Moment::from_seconds(used_s)))
        })
    }

    fn used_s(&self, slot: Slot) -> &Arc<AtomicU64> {
        match slot {
            Slot::Primary => &self.primary_used,
            Slot::Secondary => &self.secondary_used,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_of_a_key_is_known_to_the_minute_for_as_long_as_the_key_stays() {
        let [first, second, third] = ["first", "second", "third"].map(KeyDigest::of);
        let at = Moment::from_seconds;
        let uses = |ring: &WatchedRing| ring.uses().map(|(_, at)| at.map(Moment::seconds)).collect::<Vec<_>>();
        let ring = WatchedRing::new(KeyRing { primary: first, secondary: second }, None);
        assert_eq!(ring.admit(&third, at(600)), None);
        assert_eq!(uses(&ring), [None, None]);
        assert_eq!(ring.admit(&second, at(659)), Some(Slot::Secondary));
        assert!(ring.knows(&first));
        assert_eq!(uses(&ring), [None, Some(600)]);

        let rotated = WatchedRing::new(KeyRing { primary: third, secondary: second }, Some(&ring));
        // A request that began before.
        assert_eq!(ring.admit(&second, at(720)), Some(Slot::Secondary));
        assert_eq!(ring.admit(&first, at(720)), Some(Slot::Primary));
        assert_eq!(uses(&rotated), [None, Some(720)]);
        assert_eq!(rotated.uses().next().unwrap().0, third.id());
    }
}
