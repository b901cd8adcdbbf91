//! The header of a `.npy` file: magic, version, and a Python literal with element type, order and shape.
//!
//! Source: `numpy.lib.format`, versions 1.0, 2.0 and 3.0. The literal is read by a strict little parser that knows these
//! three keys and nothing else of Python. Called by [`Array`](super::Array).

use super::super::refusal::{malformed, quoted};
use super::super::{DecodeError, DecodeFault};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The part before the version-dependent length: magic and version.
const VERSIONED_BYTES: usize = MAGIC.len() + 2;

/// The longest header taken. NumPy writes under 200 bytes for any array that can be an input.
const HEADER_MAX_BYTES: usize = 64 * 1024;

/// NumPy pads the header so that the data starts at a multiple of this.
const ALIGNMENT_BYTES: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Such as `<f4`.
    pub descr: String,
    pub order: Order,
    pub shape: Vec<usize>,
}

/// The order in which elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last index runs fastest.
    RowMajor,
    /// The first index runs fastest; Fortran's.
    ColumnMajor,
}

/// How many bytes a header has, as far as its first bytes tell: ask again when that many are there, until they suffice.
pub fn wanted_bytes(head: &[u8]) -> Result<usize, DecodeError> {
    let told = head.len().min(MAGIC.len());
    if head[..told] != MAGIC[..told] {
        return Err(not_npy(head));
    }
    if head.len() < VERSIONED_BYTES {
        return Ok(VERSIONED_BYTES);
    }
    let length_bytes = match (head[MAGIC.len()], head[MAGIC.len() + 1]) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        (major, minor) => {
            let message = format!("the array is in .npy format {major}.{minor}; this server reads 1.0, 2.0 and 3.0");
            return Err(malformed(message).expected("1.0, 2.0 or 3.0").got(format!("{major}.{minor}")));
        }
    };
    let start = VERSIONED_BYTES + length_bytes;
    let Some(length) = head.get(VERSIONED_BYTES..start) else { return Ok(start) };
    let length = length.iter().rev().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
    if length > HEADER_MAX_BYTES {
        let message = format!("the array's header claims {length} bytes; at most {HEADER_MAX_BYTES} are accepted");
        return Err(malformed(message)
            .expected(format!("at most {HEADER_MAX_BYTES} bytes"))
            .got(format!("{length} bytes")));
    }
    Ok(start + length)
}

/// Reads a whole header, [`wanted_bytes`] of it.
pub fn parse(head: &[u8]) -> Result<Header, DecodeError> {
    let start = VERSIONED_BYTES + if head[MAGIC.len()] == 1 { 2 } else { 4 };
    // Latin-1 in the first two versions, UTF-8 in the third; what is served is ASCII in each.
    let text = std::str::from_utf8(&head[start..]).map_err(|_| malformed("the array's header is not text"))?;
    Literal { rest: text }.header()
}

/// A header as NumPy writes it, version 1.0 wherever that can hold it.
pub fn write(descr: &str, shape: &[usize]) -> Vec<u8> {
    let mut dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    // `(3,)` needs its comma, `(2, 3)` has none at the end.
    dims.truncate(dims.len().saturating_sub(if shape.len() == 1 { 1 } else { 2 }));
    let literal = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let padded =
        |length_bytes: usize| (VERSIONED_BYTES + length_bytes + literal.len() + 1).next_multiple_of(ALIGNMENT_BYTES);
    let mut head = MAGIC.to_vec();
    let total = match u16::try_from(padded(2) - VERSIONED_BYTES - 2) {
        Ok(length) => {
            head.extend_from_slice(&[1, 0]);
            head.extend_from_slice(&length.to_le_bytes());
            padded(2)
        }
        Err(_) => {
            head.extend_from_slice(&[2, 0]);
            let length = u32::try_from(padded(4) - VERSIONED_BYTES - 4).expect("a rank of millions has no array");
            head.extend_from_slice(&length.to_le_bytes());
            padded(4)
        }
    };
    head.extend_from_slice(literal.as_bytes());
    head.resize(total - 1, b' ');
    head.push(b'\n');
    head
}

/// What is left to read of a Python literal.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, keys in any order.
    fn header(mut self) -> Result<Header, DecodeError> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.string()?;
            self.expect(':')?;
            let repeated = match key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => order.replace(self.order()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err(malformed(format!("the array's header has an unknown key '{}'", quoted(key)))),
            };
            if repeated {
                return Err(malformed(format!("the array's header has the key '{key}' twice")));
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        if !self.rest.trim_ascii().is_empty() {
            return Err(malformed("the array's header goes on after its closing brace"));
        }
        let missing = |key| malformed(format!("the array's header has no '{key}'"));
        Ok(Header {
            descr: descr.ok_or_else(|| missing("descr"))?,
            order: order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    fn descr(&mut self) -> Result<String, DecodeError> {
        self.skip_space();
        if self.rest.starts_with(['[', '(']) {
            let message = "the array has a structured element type; send one plain array for each input";
            return Err(DecodeError::new(DecodeFault::WrongType, message)
                .expected("a plain type")
                .got("a structured type"));
        }
        Ok(self.string()?.to_owned())
    }

    fn order(&mut self) -> Result<Order, DecodeError> {
        self.skip_space();
        for (word, order) in [("True", Order::ColumnMajor), ("False", Order::RowMajor)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(order);
            }
        }
        Err(malformed("the array's header needs True or False for 'fortran_order'"))
    }

    /// `()`, `(3,)`, `(2, 3)`. `(3)` is a number in Python, no tuple.
    fn shape(&mut self) -> Result<Vec<usize>, DecodeError> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.accept(')') {
            shape.push(self.size()?);
            if !self.accept(',') {
                self.expect(')')?;
                if shape.len() == 1 {
                    return Err(malformed("the array's header needs a tuple for 'shape', such as (3,)"));
                }
                break;
            }
        }
        Ok(shape)
    }

    fn size(&mut self) -> Result<usize, DecodeError> {
        self.skip_space();
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            let message = "the array's header needs whole numbers from 0 up in 'shape'";
            return Err(malformed(message).expected("a size").got(quoted(self.rest)));
        }
        self.rest = rest;
        digits.parse().map_err(|_| {
            let message = "the array's shape is beyond what memory can hold";
            DecodeError::new(DecodeFault::TooLarge, message).got(quoted(digits))
        })
    }

    /// A string in either quote. No key and no type needs an escape.
    fn string(&mut self) -> Result<&'a str, DecodeError> {
        self.skip_space();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let text = quote.and_then(|quote| self.rest[1..].split_once(quote));
        match text {
            Some((text, rest)) if !text.contains(['\\', '\n']) => {
                self.rest = rest;
                Ok(text)
            }
            _ => Err(malformed("the array's header is no dictionary of plain values")
                .expected("a quoted word")
                .got(quoted(self.rest))),
        }
    }

    fn expect(&mut self, c: char) -> Result<(), DecodeError> {
        if self.accept(c) {
            return Ok(());
        }
        let message = "the array's header is no dictionary of 'descr', 'fortran_order' and 'shape'";
        Err(malformed(message).expected(format!("'{c}'")).got(quoted(self.rest)))
    }

    fn accept(&mut self, c: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

/// Names what the body looks like instead: a wrong media type is the likely mistake.
fn not_npy(head: &[u8]) -> DecodeError {
    let (got, remedy) = match head {
        [b'P', b'K', ..] => ("a zip archive", "for an .npz file set Content-Type: application/x-npz"),
        [b'{' | b'[', ..] => ("JSON", "for JSON set Content-Type: application/json"),
        [0x80, ..] => ("a pickle", "write the array with numpy.save"),
        _ => ("other bytes", "write the array with numpy.save"),
    };
    malformed(format!("the body is no .npy file, it begins like {got}; {remedy}")).expected("an .npy file").got(got)
}
