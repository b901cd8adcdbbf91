//! Floats: the value of the target type that is nearest to the decimal as written, ties to even, never rounded twice.

use std::cmp::Ordering;

use half::{bf16, f16};

use super::number::{Literal, Short};

/// Powers of ten as the nearest double; exact up to 10^22.
const POW10: [f64; 61] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39,
    1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58,
    1e59, 1e60,
];

/// The first of them: no [`Short`] has more than 31 decimals.
pub(super) const SHORT_POW10: [f64; 32] = {
    let mut powers = [0.0; 32];
    let mut i = 0;
    while i < 32 {
        powers[i] = POW10[i];
        i += 1;
    }
    powers
};

/// Their inverses as the nearest double, up to 10^-22; beyond, off by as much as the power is.
pub(super) const SHORT_TENTHS: [f64; 32] = {
    let mut tenths = [0.0; 32];
    let mut i = 0;
    while i < 32 {
        tenths[i] = 1.0 / POW10[i];
        i += 1;
    }
    tenths
};

/// The float at the front and what follows; `None` for what is no number, or too large.
#[inline(always)]
pub(super) fn parse_f32(text: &[u8]) -> Option<(f32, &[u8])> {
    // Of 15 digits at most: as a signed integer it converts in one instruction.
    if let Some((short, rest)) = Short::scan(text)
        && let Some(value) = short_f32(short)
    {
        return Some((value, rest));
    }
    parse_f32_exact(text)
}

/// Of digits below 2^63.
#[inline(always)]
fn short_f32(short: Short) -> Option<f32> {
    // A signed integer converts in one instruction.
    near_f32(short, short.digits as i64 as f64)
}

#[inline(always)]
fn near_f32(short: Short, digits: f64) -> Option<f32> {
    let near = digits / POW10[short.decimals];
    // Zero, or between 10^-23 and 10^19: never subnormal, never too large.
    (!near_f32_midpoint(near)).then_some(f32::from_bits((near as f32).to_bits() | u32::from(short.negative) << 31))
}

/// How many units in the last place of a double are too close to a middle, see [`near_f32_midpoint`].
pub(super) const F32_WINDOW: u64 = 16;

/// Whether a double lies so close to the middle between two `f32` that its error could put it on the wrong side.
///
/// Why a cast is right for all others: `near` is the true value with at most four roundings (of the digits, of the power of
/// ten, of its inverse where that is used, of the quotient or product), each by at most 2^-53 of the value, and the digits
/// left out beyond the 19th, below 2^-59 of it. So it is off by less than 2^-50 of the value, which is at most 8 units in its
/// last place, or 16 if the error crosses a power of two. The middles between normal `f32` are the doubles whose low 29 bits
/// are 2^28 exactly. If no middle is within 16 units, true value and `near` lie on the same side of every middle, and so round
/// to the same `f32`.
#[inline(always)]
fn near_f32_midpoint(near: f64) -> bool {
    let low = near.to_bits() & 0x1fff_ffff;
    low.wrapping_sub(0x1000_0000 - F32_WINDOW) <= 2 * F32_WINDOW
}

#[inline(never)]
fn parse_f32_exact(text: &[u8]) -> Option<(f32, &[u8])> {
    if let Some((short, rest)) = Short::scan_long(text)
        && let Some(value) = near_f32(short, short.digits as f64)
    {
        return Some((value, rest));
    }
    let literal = Literal::scan(text)?;
    let (token, rest) = text.split_at(literal.len);
    let decimal = literal.decimal();
    if let Some(power) = POW10.get(decimal.exponent.unsigned_abs() as usize) {
        let digits = decimal.mantissa as f64;
        let near = if decimal.exponent < 0 { digits / power } else { digits * power };
        // Well inside the normal range, so that the argument above holds.
        if (1.2e-38..3.4e38).contains(&near) && !near_f32_midpoint(near) {
            return Some((if literal.negative { -near as f32 } else { near as f32 }, rest));
        }
    }
    let value: f32 = if token.len() <= PLAIN_BYTES {
        fast_float2::parse(token).ok()?
    } else {
        fast_float2::parse(literal.condensed()).ok()?
    };
    value.is_finite().then_some((value, rest))
}

/// Up to this length a number's own text is given to the general parser; longer text could have more digits than its
/// handling of exponents reckons with.
const PLAIN_BYTES: usize = 64;

/// See [`parse_f32`].
#[inline(always)]
pub(super) fn parse_f64(text: &[u8]) -> Option<(f64, &[u8])> {
    if let Some((short, rest)) = Short::scan(text)
        && let Some(value) = short_f64(short)
    {
        return Some((value, rest));
    }
    parse_f64_exact(text)
}

#[inline(always)]
fn short_f64(short: Short) -> Option<f64> {
    // Both are exact doubles, so their quotient is rounded once (Clinger 1990).
    let value = short.digits as i64 as f64 / POW10[short.decimals];
    (short.digits < 1 << 53 && short.decimals <= 22).then_some(if short.negative { -value } else { value })
}

#[inline(never)]
fn parse_f64_exact(text: &[u8]) -> Option<(f64, &[u8])> {
    if let Some((short, rest)) = Short::scan_long(text) {
        return match short_f64(short) {
            Some(value) => Some((value, rest)),
            None => Some((fast_float2::parse(&text[..text.len() - rest.len()]).ok()?, rest)),
        };
    }
    let literal = Literal::scan(text)?;
    let (token, rest) = text.split_at(literal.len);
    let value: f64 = if token.len() <= PLAIN_BYTES {
        fast_float2::parse(token).ok()?
    } else {
        fast_float2::parse(literal.condensed()).ok()?
    };
    value.is_finite().then_some((value, rest))
}

/// A binary float narrower than `f32`, by what rounding to it needs.
pub(super) trait Narrow: Sized {
    /// Bits of the significand, the hidden one included.
    const PRECISION: i32;
    /// The exponent of the smallest subnormal number.
    const LEAST_EXPONENT: i32;
    const MAX: f64;

    /// The value, which the type holds exactly.
    fn from_exact(value: f64) -> Self;
}

impl Narrow for f16 {
    const PRECISION: i32 = 11;
    const LEAST_EXPONENT: i32 = -24;
    const MAX: f64 = 65504.0;

    fn from_exact(value: f64) -> Self {
        f16::from_f64(value)
    }
}

impl Narrow for bf16 {
    const PRECISION: i32 = 8;
    const LEAST_EXPONENT: i32 = -133;
    const MAX: f64 = 3.3895313892515355e38;

    fn from_exact(value: f64) -> Self {
        bf16::from_f64(value)
    }
}

/// See [`parse_f32`].
///
/// The nearest double is on the same side of every middle between two narrow floats as the decimal itself, as the middles
/// are doubles; unless it *is* such a middle, which the decimal may have missed by less than a double shows. Then the
/// digits decide.
#[inline(always)]
pub(super) fn parse_narrow<T: Narrow>(text: &[u8]) -> Option<(T, &[u8])> {
    let (wide, rest) = parse_f64(text)?;
    let magnitude = wide.abs();
    // The place of the last bit that the narrow type keeps of this value.
    let exponent = (magnitude.to_bits() >> 52) as i32 - 1023;
    let last = (exponent - (T::PRECISION - 1)).max(T::LEAST_EXPONENT);
    // Scaling by a power of two is exact: neither end of the doubles' range is near.
    let scaled = magnitude * power_of_two(-last);
    let floor = scaled.floor();
    let whole = match (scaled - floor).partial_cmp(&0.5)? {
        Ordering::Less => floor,
        Ordering::Greater => floor + 1.0,
        Ordering::Equal => break_tie(text, magnitude, floor)?,
    };
    let value = whole * power_of_two(last);
    (value <= T::MAX).then(|| (T::from_exact(value.copysign(wide)), rest))
}

/// The value as a double is exactly between `floor` and `floor + 1`: where is it as written?
#[cold]
fn break_tie(text: &[u8], middle: f64, floor: f64) -> Option<f64> {
    Some(match Literal::scan(text)?.compare(middle) {
        Ordering::Less => floor,
        Ordering::Greater => floor + 1.0,
        Ordering::Equal if floor % 2.0 == 0.0 => floor,
        Ordering::Equal => floor + 1.0,
    })
}

/// 2^exponent, for the exponents of normal doubles.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}
