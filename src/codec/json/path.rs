//! Where in the body an error is, as a JSON path such as `$.data[0][3]`.
//!
//! The path is not kept while reading, which would cost every number: it is put together from the inside out while an
//! error passes up through the readers, each of which knows only its own index or key.

use super::refusal::shorten;
use crate::codec::DecodeError;

/// An error, or a result with one, that learns where it happened.
pub(in crate::codec) trait Within {
    /// It happened in this item of an array.
    fn in_item(self, index: usize) -> Self;

    /// It happened in this member of an object.
    fn in_member(self, key: &str) -> Self;
}

impl Within for DecodeError {
    fn in_item(mut self, index: usize) -> Self {
        let inner = self.path.take().unwrap_or_default();
        self.path = Some(format!("[{index}]{inner}"));
        self
    }

    fn in_member(mut self, key: &str) -> Self {
        let inner = self.path.take().unwrap_or_default();
        self.path = Some(format!("{}{inner}", step(key)));
        self
    }
}

impl<T> Within for Result<T, DecodeError> {
    fn in_item(self, index: usize) -> Self {
        self.map_err(|error| error.in_item(index))
    }

    fn in_member(self, key: &str) -> Self {
        self.map_err(|error| error.in_member(key))
    }
}

/// The path is complete: it starts at the body's root.
pub(in crate::codec) fn from_root(mut error: DecodeError) -> DecodeError {
    let inner = error.path.take().unwrap_or_default();
    error.path = Some(format!("${inner}"));
    error
}

/// `.data`, or `["my input"]` where the dot form would not be read back as one name.
fn step(key: &str) -> String {
    let mut bytes = key.bytes();
    let starts_well = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    if starts_well && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && key.len() <= 100 {
        format!(".{key}")
    } else {
        format!("[{}]", serde_json::Value::from(shorten(key, 100)))
    }
}
