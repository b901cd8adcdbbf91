//! Random numbers, the same in each run: xorshift64 (Marsaglia 2003).

#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.bits() >> 32) as usize) % end
    }

    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Decimal digits, the first not zero.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|i| char::from(b'0' + (if i == 0 { 1 + self.below(9) } else { self.below(10) }) as u8)).collect()
    }

    /// A number by JSON's grammar, of the kinds that trip parsers: few and many digits, small and huge exponents.
    pub fn decimal(&mut self) -> String {
        let mut text = String::new();
        if self.chance(30) {
            text.push('-');
        }
        let long = [1, 2, 3, 7, 8, 9, 16, 17, 18, 19, 20, 25, 40];
        let count = long[self.below(long.len())];
        text.push_str(&if self.chance(30) { "0".to_owned() } else { self.digits(count) });
        if self.chance(70) {
            text.push('.');
            text.push_str(&"0".repeat(if self.chance(20) { self.below(12) } else { 0 }));
            let count = long[self.below(long.len())];
            text.push_str(&self.digits(count));
        }
        if self.chance(40) {
            text.push_str(self.pick(&["e", "E", "e-", "e+", "E-"]));
            let most = *self.pick::<usize>(&[&5, &20, &50, &340]);
            text.push_str(&self.below(most).to_string());
        }
        text
    }
}
