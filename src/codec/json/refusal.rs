//! The wording of refusals: what came, in few words, and what is wrong with it.

use super::scan::Scanner;
use crate::codec::{DecodeError, DecodeFault, encoding};

/// The most characters of a body that a message repeats.
const EXCERPT_CHARS: usize = 40;

/// The text, or its start and `…` where it is longer than `most` characters.
pub(in crate::codec) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// A key as a message repeats it.
pub(in crate::codec) fn shown(key: &str) -> String {
    format!("'{}'", shorten(key, EXCERPT_CHARS))
}

/// What a value is and how it starts: `number 0.9`, `string "7"`, `null`, `an array: [[1, 2], [3…`.
///
/// The value's text has been checked, so it is UTF-8; a cut through a character is dropped.
pub(in crate::codec) fn describe(value: &[u8]) -> String {
    let head = &value[..value.len().min(EXCERPT_CHARS * 4)];
    let text = String::from_utf8_lossy(head);
    let mut excerpt = shorten(text.trim_end_matches('\u{fffd}'), EXCERPT_CHARS);
    excerpt.retain(|character| !character.is_control());
    match value.first() {
        Some(b'[') => format!("an array: {excerpt}"),
        Some(b'{') => format!("an object: {excerpt}"),
        Some(b'"') => format!("string {excerpt}"),
        Some(b'-' | b'0'..=b'9') => format!("number {excerpt}"),
        _ => excerpt,
    }
}

/// The body is no JSON, here.
pub(in crate::codec) fn malformed(scanner: &Scanner<'_>, what: impl AsRef<str>) -> DecodeError {
    let (line, column) = scanner.line_and_column();
    let look = encoding::look(scanner.position().0).map_or_else(String::new, |look| format!("; {look}"));
    let message = format!("the body is not valid JSON at line {line}, column {column}: {}{look}", what.as_ref());
    DecodeError::new(DecodeFault::Malformed, message)
}

/// A value of the wrong JSON type.
pub(in crate::codec) fn wrong_type(expected: impl Into<String>, value: &[u8]) -> DecodeError {
    let (expected, got) = (expected.into(), describe(value));
    DecodeError::new(DecodeFault::WrongType, format!("expected {expected}, got {got}")).expected(expected).got(got)
}
