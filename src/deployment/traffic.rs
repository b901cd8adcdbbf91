//! Which deployment answers a request: fixed intervals of a line, and a point on it for each request.
//!
//! The line has a point for every hundredth of a percent. Deployments lie on it in the order of their names, each as long as its
//! share, so that a share which rises while no other does keeps all its users: its interval grows where others shrink. What
//! nobody claims belongs to the default deployment, in its place. A request's point is the hash of its user where users are kept
//! together, and drawn otherwise.
//!
//! Pure but for [`Dice`]; replicas agree on every user, since nothing but names and shares decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::name::Name;
use crate::registry::Share;
use crate::splitmix::{fnv1a, mix, mix_count};

/// The shares of an endpoint's deployments, by their position in the order of names. At least one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Where each interval ends, in hundredths of a percent, and whose it is; ascending, the last one ends the line.
    ends: Box<[(u16, usize)]>,
    /// Has the users of one endpoint lie elsewhere than those of another.
    salt: u64,
}

impl Traffic {
    /// Lays the line out for `ready`, the deployments that can answer, in the order of their names.
    ///
    /// What `shares` gives to those that cannot goes where all goes that is given to nobody: to `default` if it can answer, else
    /// to the one with the greatest share.
    pub fn new(endpoint: &Name, ready: &[&Name], shares: &BTreeMap<Name, Share>, default: Option<&Name>) -> Traffic {
        let share = |name: &Name| shares.get(name).map_or(0, |share| share.hundredths());
        let greatest = || ready.iter().enumerate().rev().max_by_key(|(_, name)| share(name)).map(|(index, _)| index);
        let fallback = ready.iter().position(|name| Some(*name) == default).or_else(greatest).unwrap_or(0);
        let claimed: u32 = ready.iter().map(|name| u32::from(share(name))).sum();
        let rest = u32::from(Share::WHOLE).saturating_sub(claimed);
        let mut end = 0;
        let mut ends: Vec<(u16, usize)> = Vec::with_capacity(ready.len());
        for (index, name) in ready.iter().enumerate() {
            let length = u32::from(share(name)) + if index == fallback { rest } else { 0 };
            let next = u32::from(Share::WHOLE).min(end + length);
            if next > end {
                ends.push((next as u16, index));
            }
            end = next;
        }
        Traffic { ends: ends.into(), salt: hash(endpoint.as_str().as_bytes(), 0) }
    }

    /// All of it to the first.
    pub fn alone() -> Traffic {
        Traffic { ends: Box::new([(Share::WHOLE, 0)]), salt: 0 }
    }

    /// The only deployment that any request can go to, if there is but one: then nothing has to be drawn.
    pub fn only(&self) -> Option<usize> {
        if let [(_, index)] = *self.ends { Some(index) } else { None }
    }

    /// The position of the deployment whose interval `point` falls into, a number as likely to be anywhere in its type as
    /// anywhere else.
    pub fn at(&self, point: u64) -> usize {
        // The high half of the product: in the range, each value of it as likely as the others but for one in 2^50.
        let point = ((u128::from(point) * u128::from(Share::WHOLE)) >> 64) as u16;
        let found = self.ends.iter().find(|(end, _)| point < *end).or(self.ends.last());
        found.map_or(0, |(_, index)| *index)
    }

    /// The point of a user, by whatever tells users apart. The same on every replica and after every restart.
    pub fn point_of(&self, user: &[u8]) -> u64 {
        hash(user, self.salt)
    }

    /// What share of the line each of `count` deployments has, in hundredths of a percent.
    pub fn lengths(&self, count: usize) -> Vec<u16> {
        let (mut lengths, mut begin) = (vec![0; count], 0);
        for (end, index) in &self.ends {
            lengths[*index] = end - begin;
            begin = *end;
        }
        lengths
    }
}

/// Points for requests whose users are not told apart. Wait-free.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    rolled: AtomicU64,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { seed, rolled: AtomicU64::new(0) }
    }

    pub fn roll(&self) -> u64 {
        mix_count(self.seed.wrapping_add(self.rolled.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Nobody gains by making users collide: they would only share a deployment.
fn hash(bytes: &[u8], salt: u64) -> u64 {
    mix(fnv1a(bytes, salt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn traffic(ready: &[&str], shares: &[(&str, f64)], default: &str) -> Traffic {
        let ready: Vec<_> = ready.iter().map(|text| name(text)).collect();
        let shares =
            shares.iter().map(|(text, percent)| (name(text), Share::from_percent(*percent).unwrap())).collect();
        Traffic::new(&name("e"), &ready.iter().collect::<Vec<_>>(), &shares, Some(&name(default)))
    }

    /// The middle of each hundredth of a percent.
    fn points() -> impl Iterator<Item = u64> {
        (0..u64::from(Share::WHOLE)).map(|point| (u64::MAX / u64::from(Share::WHOLE)) * point + (1 << 40))
    }

    fn users() -> impl Iterator<Item = String> {
        (0..20_000).map(|user| format!("user-{user}"))
    }

    #[test]
    fn every_point_of_the_line_is_somebodys_in_the_very_proportions_asked_for() {
        let ready = ["blue", "green", "red"];
        for (shares, lengths) in [
            (&[("blue", 90.0), ("green", 10.0)][..], [9_000, 1_000, 0]),
            (&[("green", 12.34)], [8_766, 1_234, 0]),
            (&[], [10_000, 0, 0]),
            (&[("red", 100.0)], [0, 0, 10_000]),
            (&[("blue", 0.01), ("green", 0.01), ("red", 99.98)], [1, 1, 9_998]),
            // One that is not there gives its share to the default.
            (&[("green", 10.0), ("gone", 40.0)], [9_000, 1_000, 0]),
        ] {
            let traffic = traffic(&ready, shares, "blue");
            let mut counted = [0; 3];
            points().for_each(|point| counted[traffic.at(point)] += 1);
            assert_eq!(counted, lengths, "{shares:?}");
            assert_eq!(traffic.lengths(3), lengths.map(|length: u16| length));
        }
        assert_eq!(traffic(&ready, &[("red", 100.0)], "blue").only(), Some(2));
        assert_eq!(traffic(&ready, &[("green", 10.0), ("red", 60.0)], "gone").lengths(3), [0, 1_000, 9_000]);
        assert_eq!([0, u64::MAX].map(|point| Traffic::alone().at(point)), [0, 0]);
    }

    #[test]
    fn a_share_that_rises_alone_keeps_its_users() {
        let shares = |a: f64, b: f64, c: f64| traffic(&["a", "b", "c"], &[("a", a), ("b", b), ("c", c)], "a");
        for (before, after, raised) in [
            (shares(90.0, 10.0, 0.0), shares(80.0, 20.0, 0.0), 1),
            (shares(60.0, 20.0, 20.0), shares(50.0, 20.0, 30.0), 2),
            (shares(60.0, 20.0, 20.0), shares(50.0, 35.0, 15.0), 1),
            (shares(60.0, 20.0, 20.0), shares(70.0, 20.0, 10.0), 0),
            (shares(60.0, 20.0, 20.0), shares(0.0, 100.0, 0.0), 1),
        ] {
            for user in users() {
                if before.at(before.point_of(user.as_bytes())) == raised {
                    assert_eq!(after.at(after.point_of(user.as_bytes())), raised, "{user}");
                }
            }
        }
        // Another default with the same shares moves nobody.
        let (blue, green) = (&[("blue", 50.0), ("green", 50.0)], &[("blue", 50.0), ("green", 50.0)]);
        assert_eq!(traffic(&["blue", "green"], blue, "blue"), traffic(&["blue", "green"], green, "green"));
    }

    #[test]
    fn users_spread_evenly_and_differently_for_each_endpoint() {
        let ready = [name("a"), name("b")];
        let shares = BTreeMap::from([(name("b"), Share::from_percent(50.0).unwrap())]);
        let of = |endpoint: &str| Traffic::new(&name(endpoint), &[&ready[0], &ready[1]], &shares, Some(&ready[0]));
        let (first, second) = (of("first"), of("second"));
        let side = |traffic: &Traffic, user: &str| traffic.at(traffic.point_of(user.as_bytes()));
        let count = |wanted: fn(usize, usize) -> bool| {
            users().filter(|user| wanted(side(&first, user), side(&second, user))).count()
        };
        // 20,000 draws at one half, and two of them independent of each other: within five standard deviations (71).
        assert!(count(|first, _| first == 1).abs_diff(10_000) < 355);
        assert!(count(|first, second| first == second).abs_diff(10_000) < 355);
    }

    #[test]
    fn dice_are_fair_and_never_repeat_within_reach() {
        let traffic = traffic(&["a", "b"], &[("b", 10.0)], "a");
        let dice = Dice::new(7);
        let hits = (0..20_000).filter(|_| traffic.at(dice.roll()) == 1).count();
        // Standard deviation 42.
        assert!(hits.abs_diff(2_000) < 215, "{hits}");
        let mut rolled: Vec<u64> = (0..10_000).map(|_| dice.roll()).collect();
        rolled.sort_unstable();
        rolled.dedup();
        assert_eq!(rolled.len(), 10_000);
    }
}
