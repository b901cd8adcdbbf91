//! Protocol Buffers' text format, as people write it in configuration files: text in, a tree of fields with their places out.
//!
//! Knows no schema: whoever reads the tree knows which fields there are and of what type each is ([`Field::text`] and its like
//! refuse another one). Follows the text format's specification (protobuf.dev, "Text Format Language Specification"), but for
//! what no configuration needs and what is refused by name: extensions and `Any` (`[package.name]`), and a file that is not
//! UTF-8 outside of its strings. Bounded: [`MAX_BYTES`] of text, [`MAX_DEPTH`] of nesting, [`MAX_FIELDS`] fields.
//! Called by `triton`, for `config.pbtxt`.

mod message;
mod parse;
mod scan;

use std::fmt;

pub use message::{Field, Message, Value};
pub use parse::parse;

/// The longest text.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How deep messages may lie in each other. The reader recurses.
pub const MAX_DEPTH: usize = 32;

/// The most fields, over all messages; each takes many times the memory of the least text that makes one.
pub const MAX_FIELDS: usize = 64 * 1024;

/// Where something stands in a text, counted from 1. A column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Fault {
    pub place: Place,
    pub message: String,
}

impl Fault {
    pub fn new(place: Place, message: impl Into<String>) -> Fault {
        Fault { place, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
