//! The shortest decimal of an `f32`, for the numbers that models mostly answer: from 0.000001 to below 10^13.
//!
//! Finds the digits by Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020), whose table is short in this
//! range, and lays them out in one word without a branch on how many there are. Gives the text that `ryu` gives, which
//! writes what is outside; compared with it for every `f32` there is.

use std::hint::select_unpredictable;

/// The powers of two by which significands of 24 bits are multiplied in the range, and a little beyond it.
const LEAST_POWER: i32 = -43;
const MOST_POWER: i32 = 20;

/// 10^-[`decimal_power`] of the same, each with 63 bits and rounded up.
const LEAST_DECIMAL: i32 = decimal_power(LEAST_POWER);
static SCALES: [u64; 20] = {
    let mut scales = [0; 20];
    let mut i = 0;
    while i < 20 {
        let power = -(LEAST_DECIMAL + i as i32);
        let scale: u128 =
            if power < 0 { (1 << 120) / 10u128.pow(-power as u32) } else { 10u128.pow(power as u32) << 63 };
        let bits = 128 - scale.leading_zeros();
        scales[i] = (scale >> (bits - 63)) as u64 + 1;
        i += 1;
    }
    scales
};

/// The largest power of ten that is at most 2^`power`.
const fn decimal_power(power: i32) -> i32 {
    // log10(2) * 2^22; right for |power| <= 1500.
    (power * 1_262_611) >> 22
}

/// The largest power of two that is at most 10^`power`.
const fn binary_power(power: i32) -> i32 {
    // log2(10) * 2^19; right for |power| <= 1233.
    (power * 1_741_647) >> 19
}

/// How many numbers [`texts`] takes at a time.
pub(super) const AT_ONCE: usize = 16;

/// The text of an absolute value: its bytes from the lowest on, and how many.
pub(super) type Figures = (u128, usize);

/// The texts of the absolute values, up to the first that is neither zero nor in the range. Returns how many.
///
/// In steps, each for all of them: what one number waits for, the processor does for another meanwhile.
#[inline]
pub(super) fn texts(values: &[f32], texts: &mut [Figures; AT_ONCE]) -> usize {
    let mut decimals = [(0, 0); AT_ONCE];
    let mut found = 0;
    for (decimal, value) in decimals.iter_mut().zip(values) {
        match digits(*value) {
            Some(digits) => *decimal = digits,
            None if *value == 0.0 => *decimal = (0, ZERO_POWER),
            None => break,
        }
        found += 1;
    }
    let mut laid_out = 0;
    for (text, &(digits, power)) in texts.iter_mut().zip(&decimals[..found]) {
        match layout(digits, power) {
            Some(figures) => *text = figures,
            None => break,
        }
        laid_out += 1;
    }
    laid_out
}

/// With this power of ten, no digits are laid out as `0.0`.
const ZERO_POWER: i32 = -6;

/// The absolute value as `digits * 10^power`: of the decimals that read back as the value the shortest, and of these the
/// nearest. The digits, from 8,388,608 to below 200,000,000, may end in zeros.
#[inline(always)]
fn digits(value: f32) -> Option<(u32, i32)> {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as i32 - 150;
    if !(LEAST_POWER..=MOST_POWER).contains(&exponent) {
        return None;
    }
    let fraction = bits & 0x7f_ffff;
    let significand = u64::from(fraction | 0x80_0000);
    // Four times the value, and the middles between it and its neighbours. The lower one is half as far from a power of two.
    let is_power = fraction == 0;
    let middle = 4 * significand;
    let (lower, upper) = (middle - 2 + u64::from(is_power), middle + 2);
    // log10(3/4) * 2^22 more where the lower neighbour is nearer.
    let power = (exponent * 1_262_611 - if is_power { 524_031 } else { 0 }) >> 22;
    let scale = *SCALES.get((power - LEAST_DECIMAL) as usize)?;
    let shift = (exponent + binary_power(-power) + 33) as u32;
    // An odd significand does not own the middles: reading would round them to its neighbours.
    let odd = bits & 1;
    let (least, exact, most) =
        (scaled(scale, lower << shift) + odd, scaled(scale, middle << shift), scaled(scale, upper << shift) - odd);
    let floor = exact / 4;
    // One digit less, if there is just one such decimal.
    let short = floor / 10 * 10;
    let (below, above) = (least <= 4 * short, 4 * (short + 10) <= most);
    let short = (below != above, short + 10 * u32::from(above));
    let (below, above) = (least <= 4 * floor, 4 * (floor + 1) <= most);
    let nearer_above = exact + (floor & 1) > 4 * floor + 2;
    // Nothing of this can be predicted from the number before.
    let up = select_unpredictable(below != above, above, nearer_above);
    Some((select_unpredictable(short.0, short.1, floor + u32::from(up)), power))
}

/// `value * scale / 2^95`, rounded to odd: the lowest bit says that there is more.
#[inline(always)]
fn scaled(scale: u64, value: u64) -> u32 {
    let product = ((u128::from(scale) * u128::from(value)) >> 64) as u64;
    (product >> 31) as u32 | u32::from(product & 0x7fff_ffff != 0)
}

/// The digits with a point among them, or zeros and a point before them, or zeros behind; at least one on each side.
#[inline(always)]
fn layout(digits: u32, power: i32) -> Option<(u128, usize)> {
    // Nine digits.
    let missing = u32::from(digits < 10_000_000) + u32::from(digits < 100_000_000);
    let (digits, power) = (digits * [1, 10, 100][missing as usize], power - missing as i32);
    let before_point = power + 9;
    if !(-5..=13).contains(&before_point) {
        return None;
    }
    let others = eight_digits(digits % 100_000_000);
    let significant = 9 - others.leading_zeros() as usize / 8;
    let zeros = (1 - before_point).max(0) as usize;
    let point = before_point.max(1) as usize;
    let figures = (u128::from(digits / 100_000_000) | u128::from(others) << 8) << (8 * zeros);
    let figures = figures | u128::from_le_bytes([b'0'; 16]);
    let integer = (1 << (8 * point)) - 1;
    let text = (figures & integer) | u128::from(b'.') << (8 * point) | (figures & !integer) << 8;
    Some((text, (significant + zeros).max(point + 1) + 1))
}

/// The digits of a number below 10^8, one a byte, the first in the lowest.
#[inline(always)]
fn eight_digits(number: u32) -> u64 {
    // Halves, then pairs, then digits: each time all are divided at once, by multiplication with a rounded inverse.
    let halves = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}
