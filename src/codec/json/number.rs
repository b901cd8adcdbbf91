//! Number text: JSON's grammar, and digits eight at a time.
//!
//! [`Short`] reads the numbers that bodies are made of in a few instructions; [`Literal`] reads every number that RFC 8259
//! allows and is exact about any of them. Which value an element type makes of one is in [`super::integer`] and
//! [`super::float`].

use std::cmp::Ordering;

/// A number without an exponent and with so few digits that they fit an integer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    pub negative: bool,
    /// The digits, without the decimal point. Below 10^19.
    pub digits: u64,
    /// How many of them stand after the point. At most 23.
    pub decimals: usize,
}

impl Short {
    /// The number at the front and what follows it. `None` where there is none, where it is no valid number, or where it
    /// needs [`Literal`]; a byte that cannot follow a number is left for the caller to find.
    ///
    /// A number of up to 15 bytes is read from one look at 16 of them, without a branch on how many digits it has: in
    /// real data that is what a processor cannot predict, and a wrong guess costs more than all the arithmetic.
    #[inline(always)]
    pub fn scan(text: &[u8]) -> Option<(Short, &[u8])> {
        let (negative, text) = match text {
            [b'-', unsigned @ ..] => (true, unsigned),
            _ => (false, text),
        };
        let window = text.first_chunk::<17>()?;
        let low = word(window[..8].first_chunk()?);
        let high = word(window[8..].first_chunk()?);
        let (low_marks, high_marks) = (no_digits(low), no_digits(high));
        let integer_bits = low_marks.trailing_zeros() & !7;
        // More than seven digits before the point, none, or a leading zero, which is no JSON.
        if low_marks == 0 || integer_bits == 0 || (low & 0xff == 0 && integer_bits > 8) {
            return None;
        }
        let (end, digits, decimals) = if (low >> integer_bits) as u8 == b'.' ^ b'0' {
            let fraction_marks = u128::from(high_marks) << 64 | u128::from(low_marks & (low_marks - 1));
            let end_bits = fraction_marks.trailing_zeros() & !7;
            let decimals = (end_bits - integer_bits) / 8 - 1;
            if decimals == 0 || end_bits == 128 {
                return None;
            }
            // The digits behind the point move up by one byte, over it; then all move to the end of the word.
            let integer = (1u64 << integer_bits) - 1;
            let (low, high) = ((low & integer) | ((low >> 8 | high << 56) & !integer), high >> 8);
            let aligned = (u128::from(high) << 64 | u128::from(low)) << (136 - end_bits);
            let digits = eight_digits(aligned as u64) * POW10[8] + eight_digits((aligned >> 64) as u64);
            (end_bits / 8, digits, decimals)
        } else {
            (integer_bits / 8, eight_digits(low << (64 - integer_bits)), 0)
        };
        let rest = &text[end as usize..];
        match rest.first() {
            Some(b'e' | b'E') => None,
            _ => Some((Short { negative, digits, decimals: decimals as usize }, rest)),
        }
    }

    /// The same for what has more digits or stands at the body's end.
    pub fn scan_long(text: &[u8]) -> Option<(Short, &[u8])> {
        let negative = text.first() == Some(&b'-');
        let text = &text[usize::from(negative)..];
        let (integer, integer_digits) = digit_run(text);
        // No digit is no number, and a leading zero is no JSON.
        if integer_digits == 0 || (integer_digits > 1 && text[0] == b'0') {
            return None;
        }
        let rest = &text[integer_digits..];
        let (short, rest) = match rest {
            [b'.', fraction @ ..] => {
                let (value, decimals) = digit_run(fraction);
                let significant = match integer {
                    // The zeros of a leading "0.000" do not count.
                    0 if decimals > 19 => {
                        decimals - fraction[..decimals].iter().take_while(|&&digit| digit == b'0').count()
                    }
                    0 => decimals,
                    _ => integer_digits + decimals,
                };
                if decimals == 0 || significant > 19 || decimals >= MOST_DIGITS {
                    return None;
                }
                let digits = if integer == 0 { value } else { integer * POW10[decimals] + value };
                (Short { negative, digits, decimals }, &fraction[decimals..])
            }
            _ if integer_digits > 19 => return None,
            _ => (Short { negative, digits: integer, decimals: 0 }, rest),
        };
        match rest.first() {
            Some(b'e' | b'E') => None,
            _ => Some((short, rest)),
        }
    }
}

/// Where [`digit_run`] stops looking.
const MOST_DIGITS: usize = 24;

/// Eight bytes, the first in the lowest; digits have become their values.
#[inline(always)]
fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes) ^ u64::from_le_bytes([b'0'; 8])
}

const POW10: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// The value and the number of the digits at the front, of which no more than 24 are looked at; the value is right if it
/// is below 10^19.
#[inline(always)]
fn digit_run(text: &[u8]) -> (u64, usize) {
    let (mut value, mut count) = (0u64, 0);
    for _ in 0..3 {
        let text = text.get(count..).unwrap_or_default();
        let word = match text.first_chunk::<8>() {
            Some(bytes) => word(bytes),
            None => word(&padded(text)),
        };
        let digits = no_digits(word).trailing_zeros() / 8;
        // Digits pushed to the end of the word, zeros before them: always eight to add up, so no branch on their number.
        let more = eight_digits(word.unbounded_shl(64 - 8 * digits));
        value = value.wrapping_mul(POW10[digits as usize]).wrapping_add(more);
        count += digits as usize;
        if digits < 8 {
            break;
        }
    }
    (value, count)
}

/// Marks, in its highest bit, the first byte that is above 9, and perhaps bytes after it.
///
/// Adding 0x76 lifts everything above 9 into the high bit. What is carried out of such a byte goes to the next ones only,
/// and nothing is carried out of ASCII, such as the point in a number.
#[inline(always)]
fn no_digits(word: u64) -> u64 {
    (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080
}

/// The value of eight digits, one a byte, the first in the lowest.
#[inline(always)]
fn eight_digits(word: u64) -> u64 {
    // Every second byte becomes a pair; what is in the others is masked away. Then one multiplication moves the first and
    // third pair, by 100 and 1,000,000, and another the second and fourth, so that both sums meet in the upper half.
    const PAIR: u64 = 0x0000_00ff_0000_00ff;
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let odd = (pairs & PAIR).wrapping_mul(100 + (1_000_000 << 32));
    let even = ((pairs >> 16) & PAIR).wrapping_mul(1 + (10_000 << 32));
    odd.wrapping_add(even) >> 32
}

/// The end of a body, in a whole word: zero bytes follow, which belong to no number.
#[cold]
fn padded(text: &[u8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text[..length]);
    bytes
}

/// The text of a number, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal<'a> {
    pub negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    /// The written exponent, held within ±10^15: far beyond what a body of any length could balance with digits.
    exponent: i64,
    /// Bytes of the text.
    pub len: usize,
}

/// A number's absolute value by its first digits: `mantissa * 10^exponent`, too small by less than one of the mantissa.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    /// The first 19 significant digits.
    pub mantissa: u64,
    pub exponent: i64,
}

impl<'a> Literal<'a> {
    /// The number at the front of the text, by RFC 8259 §6; what may follow it is the caller's to check.
    pub fn scan(text: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (integer, rest) = match unsigned {
            // A zero is followed by no other digit; `01` is a `0` and something the caller will not expect.
            [b'0', ..] => unsigned.split_at(1),
            _ => split_digits(unsigned)?,
        };
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest)?,
            _ => (&[][..], rest),
        };
        let (exponent, rest) = match rest {
            [b'e' | b'E', b'-', rest @ ..] => split_digits(rest).map(|(digits, rest)| (-saturated(digits), rest))?,
            [b'e' | b'E', b'+', rest @ ..] | [b'e' | b'E', rest @ ..] => {
                split_digits(rest).map(|(digits, rest)| (saturated(digits), rest))?
            }
            _ => (0, rest),
        };
        Some(Literal { negative, integer, fraction, exponent, len: text.len() - rest.len() })
    }

    /// The significant digits as numbers, and the power of ten of the first one's place. No digits for zero.
    fn significant(&self) -> (impl Iterator<Item = u8> + use<'a>, i64) {
        let leading = |digits: &[u8]| digits.iter().take_while(|&&digit| digit == b'0').count();
        let (integer, fraction, place) = match leading(self.integer) {
            zeros if zeros < self.integer.len() => {
                (&self.integer[zeros..], self.fraction, (self.integer.len() - zeros) as i64 - 1)
            }
            _ => {
                let zeros = leading(self.fraction);
                (&[][..], &self.fraction[zeros..], -(zeros as i64) - 1)
            }
        };
        (integer.iter().chain(fraction).map(|digit| digit - b'0'), place + self.exponent)
    }

    /// The leading digits.
    pub fn decimal(&self) -> Decimal {
        let (digits, place) = self.significant();
        let (mut mantissa, mut taken) = (0, 0);
        for digit in digits.take(19) {
            mantissa = mantissa * 10 + u64::from(digit);
            taken += 1;
        }
        Decimal { mantissa, exponent: place + 1 - taken }
    }

    /// The absolute value, if it is an integer below 10^20. The work is bounded by the text's length, whatever the exponent.
    pub fn integer(&self) -> Option<u128> {
        let (digits, place) = self.significant();
        let (mut value, mut taken) = (0u128, 0);
        for digit in digits {
            if taken <= place && taken < 20 {
                value = value * 10 + u128::from(digit);
                taken += 1;
            } else if digit != 0 {
                return None;
            }
        }
        match place + 1 - taken {
            _ if value == 0 => Some(0),
            zeros @ 0..20 if place < 20 => Some(value * 10u128.pow(zeros as u32)),
            _ => None,
        }
    }

    /// Whether the absolute value is an integer, of any size.
    pub fn is_integer(&self) -> bool {
        let (digits, place) = self.significant();
        digits.zip(0..).all(|(digit, position)| digit == 0 || position <= place)
    }

    /// How the absolute value compares with that of a float, exactly. Neither may be zero.
    ///
    /// The float must have at most 200 significant decimal digits, as every float of few bits has.
    pub fn compare(&self, float: f64) -> Ordering {
        // With a precision, `{:e}` prints the exact digits: `d.ddd…e-7`.
        let exact = format!("{:.200e}", float.abs());
        let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
        let theirs = digits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
        let (ours, place) = self.significant();
        let their_place: i64 = exponent.parse().unwrap_or(0);
        place.cmp(&their_place).then_with(|| compare_digits(ours, theirs))
    }

    /// The same number, in so few bytes that a general parser does bounded work: the digits that can matter to a double,
    /// with a 1 for all that were left out, as its value lies between two neighbouring 780-digit numbers.
    pub fn condensed(&self) -> String {
        const DIGITS: usize = 780;
        let (digits, place) = self.significant();
        let mut text = String::with_capacity(DIGITS + 32);
        if self.negative {
            text.push('-');
        }
        let mut taken = 0;
        for digit in digits {
            if taken == DIGITS && digit == 0 {
                continue;
            }
            text.push(char::from(b'0' + if taken == DIGITS { 1 } else { digit }));
            taken += 1;
            if taken > DIGITS {
                break;
            }
        }
        if taken == 0 {
            text.push('0');
            return text;
        }
        // Beyond ±100,000 everything is infinite or zero.
        let exponent = (place + 1 - taken as i64).clamp(-100_000, 100_000);
        text.push_str(&format!("e{exponent}"));
        text
    }
}

/// Compares digit strings as fractions: the shorter is followed by zeros.
fn compare_digits(mut ours: impl Iterator<Item = u8>, mut theirs: impl Iterator<Item = u8>) -> Ordering {
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (our, their) => match our.unwrap_or(0).cmp(&their.unwrap_or(0)) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

/// The digits at the front, at least one, and the rest.
fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| text.split_at(count))
}

fn saturated(digits: &[u8]) -> i64 {
    const MOST: i64 = 1_000_000_000_000_000;
    digits.iter().fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(MOST))
}
