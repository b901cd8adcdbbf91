//! The two keys of an endpoint, or of the admin API.

use super::KeyDigest;

/// Which of the two keys. There are two so that one can be replaced while clients use the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Primary,
    Secondary,
}

impl Slot {
    pub const ALL: [Slot; 2] = [Slot::Primary, Slot::Secondary];

    pub const fn name(self) -> &'static str {
        match self {
            Slot::Primary => "primary",
            Slot::Secondary => "secondary",
        }
    }
}

/// Two keys' digests.
#[derive(Clone, Copy, Debug)]
pub struct KeyRing {
    pub primary: KeyDigest,
    pub secondary: KeyDigest,
}

impl KeyRing {
    /// Keys that nobody has.
    pub fn of_nobody() -> KeyRing {
        KeyRing { primary: KeyDigest::of_nobody(), secondary: KeyDigest::of_nobody() }
    }

    pub fn digest(&self, slot: Slot) -> &KeyDigest {
        match slot {
            Slot::Primary => &self.primary,
            Slot::Secondary => &self.secondary,
        }
    }

    /// Which of the ring's keys was presented, if one was. Both are compared, whatever the first comparison says.
    pub fn find(&self, presented: &KeyDigest) -> Option<Slot> {
        let primary = self.primary.matches(presented);
        let secondary = self.secondary.matches(presented);
        match (primary, secondary) {
            (true, _) => Some(Slot::Primary),
            (false, true) => Some(Slot::Secondary),
            (false, false) => None,
        }
    }
}
