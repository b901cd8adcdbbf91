//! The tensor that a body's bytes flow into: one copy, from the socket's frame to the tensor's own memory.
//!
//! Owns the check that comes before any memory is taken ([`Allowance`]) and the filling itself ([`Fill`]). Knows no file
//! format: the dialects say which input comes next and with what shape, and push little-endian elements.

use super::gather::{Gather, NotABool, gather};
use super::{DecodeError, DecodeFault, Request, elements, refusal};
use crate::tensor::{DType, Element, Shape, Tensor, TensorSpec, element_count, extent};

/// The most that the dimensions other than 0 of an array without elements can make when multiplied.
const EMPTY_EXTENT_MAX: usize = 64 * 1024;

/// Bytes of the length before each string of the raw form.
const STRING_LENGTH_BYTES: usize = size_of::<u32>();

/// What the inputs of one request may still take, together.
#[derive(Clone, Debug)]
pub struct Allowance {
    max_rank: usize,
    max_elements: usize,
    elements_left: usize,
    max_bytes: usize,
    bytes_left: usize,
    /// What is left of the length that the body has announced, where elements are sent as they are.
    announced_left: Option<usize>,
}

/// One input on its way in.
#[derive(Debug)]
pub struct Fill<'a> {
    spec: &'a TensorSpec,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Fixed { elements: Box<dyn Gather>, shape: Vec<usize>, filled_bytes: usize, needed_bytes: usize },
    Strings(Strings),
}

/// Strings in raw form: each a `u32` little-endian length, then UTF-8; the Open Inference Protocol's BYTES.
#[derive(Debug)]
struct Strings {
    shape: Vec<usize>,
    count: usize,
    /// Grows with the bytes that come, so that a mere promise of many strings costs nothing.
    done: Vec<String>,
    /// Gathered bytes of the current string's length.
    length: Vec<u8>,
    /// Gathered bytes of the current string.
    text: Vec<u8>,
    /// What the rest of the body can hold at most: no string is longer.
    bytes_left: usize,
}

impl Allowance {
    /// For a body that carries its elements as they are, so that its announced length bounds them too.
    pub fn plain(request: &Request<'_>) -> Self {
        Allowance { announced_left: request.announced_bytes, ..Allowance::compressed(request) }
    }

    /// For a body that may unfold into more bytes than it has.
    pub fn compressed(request: &Request<'_>) -> Self {
        Allowance {
            max_rank: request.policy.max_rank,
            max_elements: request.policy.max_elements,
            elements_left: request.policy.max_elements,
            max_bytes: request.max_bytes,
            bytes_left: request.max_bytes,
            announced_left: None,
        }
    }

    /// Takes a header's bytes off.
    pub fn spend_header(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.announced_left = self.announced_left.map(|left| left.saturating_sub(bytes));
    }

    /// Takes an input's elements off and gives their number, or refuses a shape that is wrong or too large.
    ///
    /// `element_bytes` is what one element takes in the body, at least.
    pub fn take(&mut self, spec: &TensorSpec, shape: &[usize], element_bytes: usize) -> Result<usize, DecodeError> {
        refusal::check_rank(spec, shape.len(), self.max_rank)?;
        spec.check_shape(shape).map_err(|mismatch| refusal::wrong_shape(spec, shape, mismatch))?;
        let count = self.take_elements(spec, shape)?;
        self.take_bytes(spec, shape, count.checked_mul(element_bytes))?;
        Ok(count)
    }

    /// Takes the elements off of an input whose shape has been checked and whose bytes are not the body's.
    pub fn take_elements(&mut self, spec: &TensorSpec, shape: &[usize]) -> Result<usize, DecodeError> {
        let left = self.elements_left;
        let count = element_count(shape);
        if count == Some(0) {
            return check_empty(spec, shape, left);
        }
        match count.filter(|&count| count <= left) {
            Some(count) => {
                self.elements_left -= count;
                Ok(count)
            }
            None => {
                let limit = self.max_elements;
                let message = format!(
                    "input '{}' of shape {} is too large: the inputs of one request can have {limit} elements together",
                    spec.name,
                    Shape(shape),
                );
                Err(DecodeError::new(DecodeFault::TooLarge, message)
                    .at(&spec.name)
                    .expected(format!("at most {limit} elements"))
                    .got(Shape(shape).to_string()))
            }
        }
    }

    fn take_bytes(&mut self, spec: &TensorSpec, shape: &[usize], needed: Option<usize>) -> Result<(), DecodeError> {
        let left = self.bytes_left;
        let Some(needed) = needed.filter(|&needed| needed <= left) else {
            let message = format!(
                "input '{}' of shape {} is too large: the inputs of one request can have {} bytes together",
                spec.name,
                Shape(shape),
                self.max_bytes,
            );
            return Err(DecodeError::new(DecodeFault::TooLarge, message)
                .at(&spec.name)
                .expected(format!("at most {} bytes", self.max_bytes))
                .got(Shape(shape).to_string()));
        };
        if let Some(announced) = self.announced_left {
            let Some(rest) = announced.checked_sub(needed) else {
                let message = format!(
                    "input '{}' of shape {} takes {needed} bytes, but only {announced} of the body are left for it",
                    spec.name,
                    Shape(shape),
                );
                return Err(refusal::wrong_length(message, needed, announced).at(&spec.name));
            };
            self.announced_left = Some(rest);
        }
        self.bytes_left -= needed;
        Ok(())
    }

    /// The most bytes that are still to come.
    fn bytes_to_come(&self) -> usize {
        self.bytes_left.min(self.announced_left.unwrap_or(usize::MAX))
    }
}

/// An array without elements takes no memory, and its dimensions still cost: `[1000000000, 0]` is a thousand million empty
/// lists in a JSON answer. Those other than 0 are bounded as elements would be, and more tightly, as no body pays for them.
fn check_empty(spec: &TensorSpec, shape: &[usize], elements_left: usize) -> Result<usize, DecodeError> {
    let limit = elements_left.min(EMPTY_EXTENT_MAX);
    if extent(shape).is_some_and(|extent| extent <= limit) {
        return Ok(0);
    }
    let message = format!(
        "input '{}' of shape {} has no elements, but its other dimensions are too large: multiplied they can be {limit}",
        spec.name,
        Shape(shape),
    );
    Err(DecodeError::new(DecodeFault::TooLarge, message)
        .at(&spec.name)
        .expected(format!("dimensions that make at most {limit}"))
        .got(Shape(shape).to_string()))
}

impl<'a> Fill<'a> {
    /// Checks the shape, then takes the memory.
    pub fn new(spec: &'a TensorSpec, shape: &[usize], allowance: &mut Allowance) -> Result<Self, DecodeError> {
        let Some(size) = spec.dtype.size() else {
            let count = allowance.take(spec, shape, STRING_LENGTH_BYTES)?;
            return Ok(Fill { spec, data: Data::Strings(Strings::new(shape, count, allowance.bytes_to_come())) });
        };
        let count = allowance.take(spec, shape, size)?;
        let elements = gather(spec.dtype, count).ok_or_else(|| too_large(spec, shape))?;
        let data = Data::Fixed { elements, shape: shape.to_vec(), filled_bytes: 0, needed_bytes: count * size };
        Ok(Fill { spec, data })
    }

    /// The same for elements that do not come in the body, whose length says nothing of them.
    pub fn apart(spec: &'a TensorSpec, shape: &[usize], allowance: &mut Allowance) -> Result<Self, DecodeError> {
        let announced = allowance.announced_left.take();
        let fill = Fill::new(spec, shape, allowance);
        allowance.announced_left = announced;
        fill
    }

    /// Whether every element is there.
    pub fn is_full(&self) -> bool {
        match &self.data {
            Data::Fixed { filled_bytes, needed_bytes, .. } => filled_bytes == needed_bytes,
            Data::Strings(strings) => strings.done.len() == strings.count,
        }
    }

    /// Takes what is still needed from the front of `chunk` and leaves the rest in it.
    pub fn push(&mut self, chunk: &mut &[u8]) -> Result<(), DecodeError> {
        match &mut self.data {
            Data::Fixed { elements, filled_bytes, needed_bytes, .. } => {
                let (now, rest) = chunk.split_at(chunk.len().min(*needed_bytes - *filled_bytes));
                elements.push(now).map_err(|not| not_a_bool(self.spec, not))?;
                *filled_bytes += now.len();
                *chunk = rest;
                Ok(())
            }
            Data::Strings(strings) => strings.push(self.spec, chunk),
        }
    }

    /// The tensor, if it is full.
    pub fn finish(self) -> Result<Tensor, DecodeError> {
        let full = self.is_full();
        match self.data {
            Data::Fixed { elements, shape, .. } if full => {
                let mut tensor = elements.finish(&shape).ok_or_else(|| too_large(self.spec, &shape))?;
                if cfg!(target_endian = "big") {
                    elements::swap_bytes(&mut tensor);
                }
                Ok(tensor)
            }
            Data::Fixed { filled_bytes, needed_bytes, .. } => {
                let message =
                    format!("the body ends after {filled_bytes} of the {needed_bytes} bytes of '{}'", self.spec.name);
                Err(refusal::wrong_length(message, needed_bytes, filled_bytes).at(&self.spec.name))
            }
            Data::Strings(strings) if full => strings_tensor(self.spec, &strings.shape, strings.done),
            Data::Strings(Strings { count, done, .. }) => {
                let message =
                    format!("the body ends after {} of the {count} strings of '{}'", done.len(), self.spec.name);
                Err(DecodeError::new(DecodeFault::Malformed, message)
                    .at(&self.spec.name)
                    .expected(format!("{count} strings"))
                    .got(format!("{} strings", done.len())))
            }
        }
    }
}

impl Strings {
    fn new(shape: &[usize], count: usize, bytes_to_come: usize) -> Self {
        Strings {
            shape: shape.to_vec(),
            count,
            done: Vec::new(),
            length: Vec::with_capacity(STRING_LENGTH_BYTES),
            text: Vec::new(),
            bytes_left: bytes_to_come,
        }
    }

    fn push(&mut self, spec: &TensorSpec, chunk: &mut &[u8]) -> Result<(), DecodeError> {
        while self.done.len() < self.count {
            take_until(&mut self.length, STRING_LENGTH_BYTES, chunk);
            let Ok(length) = <[u8; STRING_LENGTH_BYTES]>::try_from(self.length.as_slice()) else { return Ok(()) };
            let length = u32::from_le_bytes(length) as usize;
            if self.text.is_empty() && length > self.bytes_left {
                return Err(self.overlong(spec, length));
            }
            take_until(&mut self.text, length, chunk);
            if self.text.len() < length {
                return Ok(());
            }
            let text =
                String::from_utf8(std::mem::take(&mut self.text)).map_err(|_| not_utf8(spec, self.done.len()))?;
            self.done.push(text);
            self.bytes_left -= length;
            self.length.clear();
        }
        Ok(())
    }

    fn overlong(&self, spec: &TensorSpec, length: usize) -> DecodeError {
        let index = self.done.len();
        let message = format!(
            "element {index} of '{}' claims {length} bytes, more than the {} that the rest of the body can hold; \
             each string is a 4-byte little-endian length, then UTF-8",
            spec.name, self.bytes_left,
        );
        refusal::wrong_length(message, self.bytes_left, length).at(&spec.name)
    }
}

/// An array of strings as a tensor; `texts` has as many elements as the shape.
pub fn strings_tensor(spec: &TensorSpec, shape: &[usize], texts: Vec<String>) -> Result<Tensor, DecodeError> {
    let array = ndarray::ArrayD::from_shape_vec(ndarray::IxDyn(shape), texts);
    array.map(String::wrap).map_err(|error| refusal::wrong_shape(spec, shape, error))
}

/// Moves bytes from the chunk's front into `gathered` until that has `wanted`, or the chunk is used up.
pub fn take_until(gathered: &mut Vec<u8>, wanted: usize, chunk: &mut &[u8]) {
    let (now, rest) = chunk.split_at(chunk.len().min(wanted.saturating_sub(gathered.len())));
    gathered.extend_from_slice(now);
    *chunk = rest;
}

/// An element of a string input that is no text.
pub fn not_utf8(spec: &TensorSpec, index: usize) -> DecodeError {
    let message = format!("element {index} of '{}' is not valid UTF-8", spec.name);
    DecodeError::new(DecodeFault::Malformed, message).at(&spec.name).expected("UTF-8 text")
}

fn not_a_bool(spec: &TensorSpec, NotABool { index, byte }: NotABool) -> DecodeError {
    let message = format!("element {index} of '{}' is {byte}; a {} is 0 or 1", spec.name, DType::Bool);
    DecodeError::new(DecodeFault::Malformed, message).at(&spec.name).expected("0 or 1").got(byte.to_string())
}

/// An array that no memory can hold.
fn too_large(spec: &TensorSpec, shape: &[usize]) -> DecodeError {
    let message = format!("input '{}' of shape {} is too large for this server", spec.name, Shape(shape));
    DecodeError::new(DecodeFault::TooLarge, message).at(&spec.name).got(Shape(shape).to_string())
}
