//! The scanner: a position in the body, whitespace, literals, and values that are only checked.
//!
//! It follows RFC 8259 to the letter and never allocates for what it passes over, but for the keys of objects (which must
//! differ). Tensors' numbers are not read here but in [`super::array`], straight from [`Scanner::rest`].

use super::members::{Items, Members};
use super::number::Literal;
use super::refusal::malformed;
use super::string;
use crate::codec::DecodeError;

/// A position in a body.
#[derive(Clone, Debug)]
pub(in crate::codec) struct Scanner<'a> {
    body: &'a [u8],
    /// At most `body.len()`.
    at: usize,
    depth: usize,
    max_depth: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at a body's beginning that follows arrays and objects no deeper than `max_depth`.
    pub fn new(body: &'a [u8], max_depth: usize) -> Self {
        // RFC 8259 §8.1 lets a reader ignore a byte order mark.
        let at = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Scanner { body, at, depth: 0, max_depth }
    }

    /// A scanner over a scalar of a body.
    pub fn inside(scalar: &'a [u8]) -> Self {
        Scanner { body: scalar, at: 0, depth: 0, max_depth: 0 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.body[self.at..]
    }

    /// Goes on where `rest`, an end of [`Self::rest`], begins.
    pub fn resume(&mut self, rest: &[u8]) {
        self.at = self.body.len() - rest.len();
    }

    /// All of the body, and how much of it has been read.
    pub fn position(&self) -> (&'a [u8], usize) {
        (self.body, self.at)
    }

    /// Goes on at a place of the body behind this one.
    pub fn resume_at(&mut self, at: usize) {
        self.at = at.min(self.body.len());
    }

    /// Everything from an earlier position to here.
    pub fn since(&self, start: &Scanner<'a>) -> &'a [u8] {
        &self.body[start.at..self.at]
    }

    /// The next byte that is not whitespace, which is where the scanner then stands.
    pub fn peek(&mut self) -> Option<u8> {
        let rest = skip_space(self.rest());
        self.resume(rest);
        rest.first().copied()
    }

    /// Takes the byte if it is the next one that is not whitespace.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Enters an array or object whose opening bracket is next.
    pub fn open(&mut self, bracket: u8) -> Result<(), DecodeError> {
        if !self.take(bracket) {
            return Err(self.unexpected(&format!("expected '{}'", char::from(bracket))));
        }
        if self.depth == self.max_depth {
            return Err(malformed(self, format!("it is nested more than {} levels deep", self.max_depth)));
        }
        self.depth += 1;
        Ok(())
    }

    /// Leaves an array or object, its closing bracket being next.
    pub fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// The number of `[` ahead, whitespace aside, and the byte that ends them.
    pub fn brackets_ahead(&self) -> (usize, Option<u8>) {
        let mut rest = skip_space(self.rest());
        let mut count = 0;
        while let [b'[', inner @ ..] = rest {
            count += 1;
            if count > self.max_depth {
                break;
            }
            rest = skip_space(inner);
        }
        (count, rest.first().copied())
    }

    /// Passes over one value of any kind, checking it, and returns its text.
    pub fn skip_value(&mut self) -> Result<&'a [u8], DecodeError> {
        let first = self.peek();
        let start = self.clone();
        match first {
            Some(b'{') => {
                let mut members = Members::open(self)?;
                while members.next(self)?.is_some() {
                    self.skip_value()?;
                }
            }
            Some(b'[') => {
                let mut items = Items::open(self)?;
                while items.next(self)? {
                    self.skip_value()?;
                }
            }
            Some(b'"') => {
                string::take(self)?;
            }
            Some(b'-' | b'0'..=b'9') => self.skip_number()?,
            _ => self.skip_word()?,
        }
        Ok(self.since(&start))
    }

    /// Nothing but whitespace may be left.
    pub fn end(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(malformed(self, "there is more after the end of the JSON value")),
        }
    }

    /// One based, columns in bytes.
    pub fn line_and_column(&self) -> (usize, usize) {
        let read = &self.body[..self.at];
        let line_start = read.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        (1 + memchr::memchr_iter(b'\n', read).count(), 1 + self.at - line_start)
    }

    /// An error that says what stands here instead of what was expected.
    pub fn unexpected(&mut self, expected: &str) -> DecodeError {
        match self.peek() {
            None => malformed(self, format!("it ends too early: {expected}")),
            Some(byte @ 0x21..=0x7e) => malformed(self, format!("{expected}, found '{}'", char::from(byte))),
            Some(byte) => malformed(self, format!("{expected}, found the byte 0x{byte:02x}")),
        }
    }

    fn skip_number(&mut self) -> Result<(), DecodeError> {
        let rest = self.rest();
        match Literal::scan(rest) {
            Some(literal) => {
                self.at += literal.len;
                // `01` reads as `0` and a stray digit.
                match self.rest().first() {
                    Some(b'0'..=b'9') => Err(malformed(self, "a number has a leading zero")),
                    Some(b'.' | b'+' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z') => {
                        Err(malformed(self, "a number is followed by something that is no part of it"))
                    }
                    _ => Ok(()),
                }
            }
            None if rest.starts_with(b"-Inf") || rest.starts_with(b"-inf") => Err(malformed(self, NO_NAN)),
            None => Err(malformed(self, "a number is incomplete: JSON wants digits before and after '.', 'e' and '-'")),
        }
    }

    fn skip_word(&mut self) -> Result<(), DecodeError> {
        let rest = self.rest();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        let is = |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
        Err(match rest.first() {
            _ if is("nan") || is("inf") => malformed(self, NO_NAN),
            _ if is("true") || is("false") || is("none") => {
                malformed(self, "JSON spells these words true, false and null")
            }
            Some(b'\'') => malformed(self, "strings and keys are written with double quotes"),
            Some(b'+') => malformed(self, "a number must not start with '+'"),
            Some(b'.') => malformed(self, "a number must not start with '.': write 0.5"),
            Some(b']' | b'}' | b',') => self.unexpected("expected a value (JSON has no trailing commas)"),
            Some(b'/' | b'#') => malformed(self, "JSON has no comments: expected a value"),
            _ => self.unexpected("expected a value"),
        })
    }
}

const NO_NAN: &str = "JSON has no NaN or infinity: send null where the endpoint takes it for NaN, \
                      or a binary body such as application/x-npy";

/// The text after its leading whitespace.
#[inline]
pub(in crate::codec) fn skip_space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}
