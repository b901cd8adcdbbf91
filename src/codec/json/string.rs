//! Strings: escapes resolved, UTF-8 checked.

use std::borrow::Cow;

use super::refusal::malformed;
use super::scan::Scanner;
use crate::codec::DecodeError;

/// Reads the string that starts here, at its opening quote. Borrowed unless it has escapes.
pub(in crate::codec) fn take<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, DecodeError> {
    let before = scanner.clone();
    let text = &scanner.rest()[1..];
    let (raw, escaped) = extent(text).map_err(|(at, what)| fault(&before, &text[at..], what))?;
    scanner.resume(&text[raw.len() + 1..]);
    let Ok(raw) = std::str::from_utf8(raw) else {
        return Err(malformed(&before, "a string is not valid UTF-8"));
    };
    if !escaped {
        return Ok(Cow::Borrowed(raw));
    }
    unescape(raw).map(Cow::Owned).map_err(|(at, what)| fault(&before, &text[at..], what))
}

fn fault(before: &Scanner<'_>, rest: &[u8], what: &str) -> DecodeError {
    let mut here = before.clone();
    here.resume(rest);
    malformed(&here, what)
}

/// The string's bytes up to the closing quote, and whether any is an escape.
fn extent(text: &[u8]) -> Result<(&[u8], bool), (usize, &'static str)> {
    let mut escaped = false;
    let mut at = 0;
    loop {
        at += plain_run(&text[at..]);
        match text.get(at) {
            Some(b'"') => return Ok((&text[..at], escaped)),
            Some(b'\\') => {
                escaped = true;
                // Whatever is escaped, an escaped quote does not end the string.
                at += 2;
                if at > text.len() {
                    return Err((text.len(), "it ends inside a string"));
                }
            }
            Some(_) => return Err((at, "a string has a control character in it: write it as an escape such as \\n")),
            None => return Err((text.len(), "it ends inside a string")),
        }
    }
}

/// How many bytes stand for themselves: no quote, no backslash, no control character.
fn plain_run(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // A byte is marked if it is zero after the xor, or below 0x20; borrows mark only bytes after a true one.
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let marks = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let marks = marks & HIGHS;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= 0x20).count()
}

/// Resolves escapes. The error is an offset and what is wrong there.
fn unescape(raw: &str) -> Result<String, (usize, &'static str)> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(plain) = rest.find('\\') {
        text.push_str(&rest[..plain]);
        let escape = &rest[plain..];
        let at = raw.len() - escape.len();
        let (character, length) = resolve(escape.as_bytes()).map_err(|what| (at, what))?;
        text.push(character);
        rest = &escape[length..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The character that an escape at the front stands for, and the escape's length.
fn resolve(escape: &[u8]) -> Result<(char, usize), &'static str> {
    const LONE: &str = "a string has half of a surrogate pair";
    let simple = match escape.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = code_unit(escape)?;
            if !(0xd800..0xe000).contains(&first) {
                return Ok((char::from_u32(first).ok_or(LONE)?, 6));
            }
            let second = escape.get(6..).filter(|rest| rest.starts_with(b"\\u")).ok_or(LONE).and_then(code_unit)?;
            if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                return Err(LONE);
            }
            let scalar = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok((char::from_u32(scalar).ok_or(LONE)?, 12));
        }
        _ => return Err("a string has an unknown escape: JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uHHHH"),
    };
    Ok((simple, 2))
}

/// The four hex digits of `\uHHHH`.
fn code_unit(escape: &[u8]) -> Result<u32, &'static str> {
    let digits = escape.get(2..6).ok_or("a \\u escape needs four hex digits")?;
    digits.iter().try_fold(0, |unit, &digit| {
        let value = char::from(digit).to_digit(16).ok_or("a \\u escape needs four hex digits")?;
        Ok(unit * 16 + value)
    })
}
