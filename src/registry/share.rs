//! A share of an endpoint's requests.

use std::fmt;

use serde::{Deserialize, Serialize};

/// From nothing to everything, in hundredths of a percent. Written as a percentage: `12.5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u16);

/// A number that is no share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no share: give a percentage from 0 to 100 with at most two decimals")]
pub struct InvalidShare(f64);

impl Share {
    pub const NONE: Share = Share(0);
    pub const ALL: Share = Share(Share::WHOLE);

    /// All, in hundredths of a percent.
    pub const WHOLE: u16 = 10_000;

    /// A share from a percentage.
    pub fn from_percent(percent: f64) -> Result<Share, InvalidShare> {
        let hundredths = percent * 100.0;
        let is_exact = (hundredths - hundredths.round()).abs() < 1e-6;
        // Not a number is in no range.
        if (0.0..=f64::from(Share::WHOLE)).contains(&hundredths.round()) && is_exact {
            Ok(Share(hundredths.round() as u16))
        } else {
            Err(InvalidShare(percent))
        }
    }

    /// In hundredths of a percent, from 0 to [`Share::WHOLE`].
    pub fn hundredths(self) -> u16 {
        self.0
    }

    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Both together, at most all.
    pub fn plus(self, other: Share) -> Share {
        Share(Share::WHOLE.min(self.0.saturating_add(other.0)))
    }

    /// What is left of the whole after shares that sum to `hundredths`.
    pub fn rest_after(hundredths: u32) -> Option<Share> {
        u32::from(Share::WHOLE).checked_sub(hundredths).map(|rest| Share(rest as u16))
    }
}

impl TryFrom<f64> for Share {
    type Error = InvalidShare;

    fn try_from(percent: f64) -> Result<Share, InvalidShare> {
        Share::from_percent(percent)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.percent()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_come_back_as_they_were_given() {
        for (percent, hundredths) in [(0.0, 0), (0.01, 1), (12.5, 1_250), (33.33, 3_333), (100.0, 10_000)] {
            let share = Share::from_percent(percent).unwrap();
            assert_eq!((share.hundredths(), share.percent()), (hundredths, percent));
        }
        for percent in [-0.01, 100.01, 0.001, f64::NAN, f64::INFINITY] {
            assert!(Share::from_percent(percent).is_err(), "{percent}");
        }
        assert_eq!(serde_json::from_str::<Share>("7").unwrap(), Share::from_percent(7.0).unwrap());
    }
}
