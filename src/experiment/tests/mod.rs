//! Known answers, and simulations with fixed seeds. Larger ones: `cargo run --release --example experiments`.

use crate::name::Name;
use crate::splitmix::SplitMix64;

mod evidence;
mod means;
mod quantiles;
mod rates;
mod sentences;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Random numbers that are the same each time.
struct Random(SplitMix64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(SplitMix64::new(seed))
    }

    fn next(&mut self) -> u64 {
        self.0.draw()
    }

    fn share(&mut self) -> f64 {
        self.0.share()
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
