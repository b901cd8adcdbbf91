//! Known answers, and simulations with fixed seeds. Larger ones: `cargo run --release --example experiments`.

use crate::name::Name;

mod evidence;
mod means;
mod quantiles;
mod rates;
mod sentences;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A stream of random numbers that is the same each time: SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, 0 excluded.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.share() <= probability
    }

    /// From the standard normal distribution (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// How often something that happens with a probability of at most `level` may be seen in `runs`, but for one time in a thousand.
fn at_most(level: f64, runs: u64) -> u64 {
    let expected = level * runs as f64;
    (expected + 3.1 * (expected * (1.0 - level)).sqrt()).ceil() as u64
}
