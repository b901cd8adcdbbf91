//! NumPy's strings of fixed width: `<U5` (UTF-32, padded with NULs) and `|S5` (bytes).
//!
//! NumPy cannot tell padding from a NUL at a string's end; reading drops them as NumPy does, writing refuses such a string.

use bytes::Bytes;
use ndarray::ArrayD;

use super::super::fill::{self, Allowance};
use super::super::{DecodeError, DecodeFault, EncodeError, refusal};
use super::Endian;
use crate::tensor::{Shape, Tensor, TensorSpec};

/// Strings of no width take no bytes in the body, so no length bounds their number: this does.
const EMPTY_STRINGS_MAX: usize = 64 * 1024;

/// The largest output to write with every string padded to the longest one's width.
const PADDED_MAX_BYTES: usize = 256 * 1024 * 1024;

const CHAR_BYTES: usize = size_of::<char>();

/// How one string is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Chars(usize, Endian),
    Bytes(usize),
}

impl Width {
    /// What each element takes; `None` beyond memory.
    fn bytes(self) -> Option<usize> {
        match self {
            Width::Chars(chars, _) => chars.checked_mul(CHAR_BYTES),
            Width::Bytes(bytes) => Some(bytes),
        }
    }
}

/// A string input on its way in.
#[derive(Debug)]
pub struct TextFill<'a> {
    spec: &'a TensorSpec,
    shape: Vec<usize>,
    width: Width,
    width_bytes: usize,
    count: usize,
    /// Grows with the bytes that come, like the strings of a raw body.
    done: Vec<String>,
    /// Gathered bytes of an element that several chunks share.
    partial: Vec<u8>,
}

impl<'a> TextFill<'a> {
    /// Checks the shape and the width.
    pub fn new(
        spec: &'a TensorSpec,
        shape: &[usize],
        width: Width,
        allowance: &mut Allowance,
    ) -> Result<Self, DecodeError> {
        let too_large = |message: String| DecodeError::new(DecodeFault::TooLarge, message).at(&spec.name);
        let width_bytes =
            width.bytes().ok_or_else(|| too_large(format!("the strings of '{}' are wider than memory", spec.name)))?;
        let count = allowance.take(spec, shape, width_bytes)?;
        if width_bytes == 0 && count > EMPTY_STRINGS_MAX {
            let message = format!(
                "input '{}' of shape {} is too large: at most {EMPTY_STRINGS_MAX} strings of no width are accepted",
                spec.name,
                Shape(shape),
            );
            return Err(too_large(message)
                .expected(format!("at most {EMPTY_STRINGS_MAX} elements"))
                .got(Shape(shape).to_string()));
        }
        let done = if width_bytes == 0 { vec![String::new(); count] } else { Vec::new() };
        Ok(TextFill { spec, shape: shape.to_vec(), width, width_bytes, count, done, partial: Vec::new() })
    }

    /// Takes what is still needed from the front of `chunk`.
    pub fn push(&mut self, chunk: &mut &[u8]) -> Result<(), DecodeError> {
        while self.done.len() < self.count {
            let text = if self.partial.is_empty() && chunk.len() >= self.width_bytes {
                let (element, rest) = chunk.split_at(self.width_bytes);
                *chunk = rest;
                self.text(element)?
            } else {
                fill::take_until(&mut self.partial, self.width_bytes, chunk);
                if self.partial.len() < self.width_bytes {
                    return Ok(());
                }
                let text = self.text(&self.partial)?;
                self.partial.clear();
                text
            };
            self.done.push(text);
        }
        Ok(())
    }

    /// The tensor, if it is full.
    pub fn finish(self) -> Result<Tensor, DecodeError> {
        if self.done.len() == self.count {
            return fill::strings_tensor(self.spec, &self.shape, self.done);
        }
        let needed = self.count * self.width_bytes;
        let got = self.done.len() * self.width_bytes + self.partial.len();
        let message = format!("the body ends after {got} of the {needed} bytes of '{}'", self.spec.name);
        Err(refusal::wrong_length(message, needed, got).at(&self.spec.name))
    }

    fn text(&self, element: &[u8]) -> Result<String, DecodeError> {
        let index = self.done.len();
        match self.width {
            Width::Chars(_, endian) => {
                let (chars, _) = element.as_chunks::<CHAR_BYTES>();
                let end = chars.iter().rposition(|&bytes| bytes != [0; CHAR_BYTES]).map_or(0, |last| last + 1);
                let decode = |&bytes: &[u8; CHAR_BYTES]| char::from_u32(endian.read_u32(bytes));
                chars[..end].iter().map(decode).collect::<Option<String>>().ok_or_else(|| {
                    let message =
                        format!("element {index} of '{}' holds a number that is no character", self.spec.name);
                    DecodeError::new(DecodeFault::Malformed, message).at(&self.spec.name).expected("UTF-32 text")
                })
            }
            Width::Bytes(_) => {
                let end = element.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                String::from_utf8(element[..end].to_vec()).map_err(|_| fill::not_utf8(self.spec, index))
            }
        }
    }
}

/// The strings as `<U{width}` elements, and that width in characters.
pub fn encode(strings: &ArrayD<String>, output: &str) -> Result<(usize, Bytes), EncodeError> {
    // NumPy has no strings of no width: it makes `<U0` into `<U1` itself.
    let width = strings.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let refuse = |why: String| {
        Err(EncodeError::NotRepresentable(format!(
            "output '{output}' has {why}; ask for application/json or application/octet-stream"
        )))
    };
    let bytes = width.checked_mul(CHAR_BYTES).and_then(|bytes| bytes.checked_mul(strings.len()));
    let Some(bytes) = bytes.filter(|&bytes| bytes <= PADDED_MAX_BYTES) else {
        let count = strings.len();
        return refuse(format!(
            "{count} strings, the longest of {width} characters, and numpy's fixed width would pad each to that, beyond \
             {PADDED_MAX_BYTES} bytes"
        ));
    };
    if strings.iter().any(|text| text.ends_with('\0')) {
        return refuse("a string that ends in NUL, which numpy would drop".to_owned());
    }
    let mut buffer = Vec::with_capacity(bytes);
    for (i, text) in strings.iter().enumerate() {
        buffer.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
        buffer.resize((i + 1) * width * CHAR_BYTES, 0);
    }
    Ok((width, buffer.into()))
}
