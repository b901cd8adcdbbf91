//! Mixing of bits, and the stream of numbers that comes of it: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
//! Number Generators", OOPSLA 2014). Small, quick, the same everywhere; nothing that has to be unpredictable is made with it.

/// What a counter is advanced by, so that few of its bits stay the same.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads each bit over all others. A bijection.
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same for numbers that differ in their lowest bits only, such as counts.
pub fn mix_count(count: u64) -> u64 {
    mix(count.wrapping_mul(STEP))
}

/// FNV-1a (Fowler, Noll and Vo) from a basis of one's own. Its high bits are poor: [`mix`] makes them good.
pub fn fnv1a(bytes: &[u8], salt: u64) -> u64 {
    let basis = 0xcbf2_9ce4_8422_2325 ^ salt;
    bytes.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next number, each as likely as any other.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Between 0 and 1, 0 excluded, so that its logarithm is finite.
    pub fn share(&mut self) -> f64 {
        ((self.draw() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        // The first outputs of the authors' splitmix64.c for the seed 1234567.
        let mut numbers = SplitMix64::new(1_234_567);
        let first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, [(); 3].map(|()| numbers.draw()));
        assert!((0..1_000).all(|_| (f64::MIN_POSITIVE..=1.0).contains(&numbers.share())));
        // The reference's test vector for "foobar".
        assert_eq!(fnv1a(b"foobar", 0), 0x8594_4171_f739_67e8);
    }
}
