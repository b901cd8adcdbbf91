//! Integers: any number whose value is an integer in range, told from its digits and never by way of a float.

use super::number::{Literal, Short};

/// The integer at the front and what follows; `None` for anything that is not exactly one.
#[inline(always)]
pub(in crate::codec) fn parse<T: TryFrom<i64> + TryFrom<i128>>(text: &[u8]) -> Option<(T, &[u8])> {
    match Short::scan(text) {
        Some((short, rest)) if short.decimals == 0 => from_short(short).map(|value| (value, rest)),
        _ => parse_exact(text),
    }
}

/// The integer, if it is one of the type written without decimals. Its digits must be below 2^63.
#[inline(always)]
pub(super) fn from_short<T: TryFrom<i64>>(short: Short) -> Option<T> {
    let value = short.digits as i64;
    T::try_from(if short.negative { -value } else { value }).ok().filter(|_| short.decimals == 0)
}

/// `3.0`, `3e2`, `30e-1`, and what is longer than a [`Short`] can be.
#[inline(never)]
fn parse_exact<T: TryFrom<i128>>(text: &[u8]) -> Option<(T, &[u8])> {
    if let Some((Short { negative, digits, decimals: 0 }, rest)) = Short::scan_long(text) {
        let value = i128::from(digits);
        return T::try_from(if negative { -value } else { value }).ok().map(|value| (value, rest));
    }
    let literal = Literal::scan(text)?;
    let value = literal.integer()? as i128;
    let value = T::try_from(if literal.negative { -value } else { value }).ok()?;
    Some((value, &text[literal.len..]))
}
