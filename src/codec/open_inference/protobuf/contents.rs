//! `InferTensorContents`: elements as protobuf's own numbers, straight into a tensor.
//!
//! Strict, as JSON is: as many elements as the shape says, in the one field that belongs to the datatype, each within its type.

use ndarray::{ArrayD, IxDyn};

use super::wire::{Field, Fields, varint};
use crate::codec::fill::{not_utf8, strings_tensor};
use crate::codec::open_inference::datatype;
use crate::codec::refusal::{malformed, wrong_shape};
use crate::codec::{DecodeError, DecodeFault};
use crate::tensor::{DType, Element, Shape, Tensor, TensorSpec};

/// The fields, by their numbers.
const FIELDS: [&str; 8] = [
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
];

/// The number of the field that carries a datatype, and the least bytes of an element there; `None` if there is no field.
pub fn field_of(dtype: DType) -> Option<(u32, usize)> {
    Some(match dtype {
        DType::Bool => (1, 1),
        DType::I8 | DType::I16 | DType::I32 => (2, 1),
        DType::I64 => (3, 1),
        DType::U8 | DType::U16 | DType::U32 => (4, 1),
        DType::U64 => (5, 1),
        DType::F32 => (6, 4),
        DType::F64 => (7, 8),
        // A tag and a length.
        DType::String => (8, 2),
        DType::F16 | DType::BF16 => return None,
    })
}

/// An input whose datatype has no field.
pub fn no_field(spec: &TensorSpec) -> DecodeError {
    let dtype = datatype::name(spec.dtype);
    let message =
        format!("input '{}' is {dtype}, which `contents` has no field for; use raw_input_contents", spec.name);
    DecodeError::new(DecodeFault::WrongType, message).at(&spec.name).expected("raw_input_contents").got("contents")
}

/// Reads `count` elements, which the caller has found to be allowed.
pub fn read(spec: &TensorSpec, shape: &[usize], count: usize, contents: &[u8]) -> Result<Tensor, DecodeError> {
    let (field, element_bytes) = field_of(spec.dtype).ok_or_else(|| no_field(spec))?;
    let values = Values { spec, shape, count, contents, field, element_bytes };
    match spec.dtype {
        DType::Bool => values.varints(|number| (number <= 1).then_some(number == 1)),
        DType::I8 => values.varints(|number| i8::try_from(number.cast_signed()).ok()),
        DType::I16 => values.varints(|number| i16::try_from(number.cast_signed()).ok()),
        DType::I32 => values.varints(|number| i32::try_from(number.cast_signed()).ok()),
        DType::I64 => values.varints(|number| Some(number.cast_signed())),
        DType::U8 => values.varints(|number| u8::try_from(number).ok()),
        DType::U16 => values.varints(|number| u16::try_from(number).ok()),
        DType::U32 => values.varints(|number| u32::try_from(number).ok()),
        DType::U64 => values.varints(Some),
        DType::F32 => values.floats(f32::from_le_bytes),
        DType::F64 => values.floats(f64::from_le_bytes),
        DType::String => values.texts(),
        DType::F16 | DType::BF16 => Err(no_field(spec)),
    }
}

/// The elements of one input on their way in.
struct Values<'a> {
    spec: &'a TensorSpec,
    shape: &'a [usize],
    count: usize,
    contents: &'a [u8],
    field: u32,
    element_bytes: usize,
}

impl Values<'_> {
    /// Numbers of variable length: packed, as all write them, or one by one.
    fn varints<T: Element>(&self, convert: impl Fn(u64) -> Option<T>) -> Result<Tensor, DecodeError> {
        let mut elements = Vec::with_capacity(self.capacity());
        let mut push = |number: u64| match convert(number) {
            _ if elements.len() == self.count => Err(self.wrong_count("more")),
            Some(element) => {
                elements.push(element);
                Ok(())
            }
            None => Err(self.out_of_range(elements.len(), number)),
        };
        for value in self.values() {
            match value? {
                Field::Varint(number) => push(number)?,
                Field::Bytes(mut packed) => {
                    while !packed.is_empty() {
                        let number = varint(packed).ok().flatten().ok_or_else(|| self.broken())?;
                        packed = &packed[number.1..];
                        push(number.0)?;
                    }
                }
                _ => return Err(self.broken()),
            }
        }
        self.tensor(elements)
    }

    /// Numbers of `N` bytes: packed, as all write them, or one by one.
    fn floats<T: Element, const N: usize>(&self, convert: fn([u8; N]) -> T) -> Result<Tensor, DecodeError> {
        let mut elements: Vec<T> = Vec::with_capacity(self.capacity());
        for value in self.values() {
            let value = value?;
            let packed = match &value {
                Field::Bytes(packed) => packed,
                Field::Fixed32(number) => number.as_slice(),
                Field::Fixed64(number) => number.as_slice(),
                Field::Varint(_) => return Err(self.broken()),
            };
            let (numbers, rest) = packed.as_chunks::<N>();
            if !rest.is_empty() {
                return Err(self.broken());
            }
            if numbers.len() > self.count - elements.len() {
                return Err(self.wrong_count("more"));
            }
            elements.extend(numbers.iter().map(|number| convert(*number)));
        }
        self.tensor(elements)
    }

    fn texts(&self) -> Result<Tensor, DecodeError> {
        let mut texts = Vec::with_capacity(self.capacity());
        for value in self.values() {
            let Field::Bytes(bytes) = value? else { return Err(self.broken()) };
            if texts.len() == self.count {
                return Err(self.wrong_count("more"));
            }
            let text = str::from_utf8(bytes).map_err(|_| not_utf8(self.spec, texts.len()))?;
            texts.push(text.to_owned());
        }
        if texts.len() < self.count {
            return Err(self.wrong_count(texts.len()));
        }
        strings_tensor(self.spec, self.shape, texts)
    }

    /// The values of the datatype's field. Another field with something in it is a mistake, and not passed over.
    fn values(&self) -> impl Iterator<Item = Result<Field<'_>, DecodeError>> {
        Fields::of(self.contents).filter_map(|field| match field {
            Err(_) => Some(Err(self.broken())),
            Ok((number, value)) if number == self.field => Some(Ok(value)),
            Ok((_, Field::Bytes([]))) => None,
            Ok((number, _)) => Some(Err(self.wrong_field(number))),
        })
    }

    /// No more than the bytes that are there can make.
    fn capacity(&self) -> usize {
        self.count.min(self.contents.len() / self.element_bytes)
    }

    fn tensor<T: Element>(&self, elements: Vec<T>) -> Result<Tensor, DecodeError> {
        if elements.len() != self.count {
            return Err(self.wrong_count(elements.len()));
        }
        let array = ArrayD::from_shape_vec(IxDyn(self.shape), elements);
        array.map(T::wrap).map_err(|error| wrong_shape(self.spec, self.shape, error))
    }

    fn own_field(&self) -> &'static str {
        FIELDS[self.field as usize - 1]
    }

    fn wrong_count(&self, got: impl std::fmt::Display) -> DecodeError {
        let (name, shape, count) = (&self.spec.name, Shape(self.shape), self.count);
        let message = format!("input '{name}' of shape {shape} has {count} elements, {} has {got}", self.own_field());
        malformed(message).at(name).expected(format!("{count} elements")).got(format!("{got} elements"))
    }

    fn wrong_field(&self, number: u32) -> DecodeError {
        let got = FIELDS.get(number as usize - 1).copied().unwrap_or("an unknown field");
        let (name, dtype) = (&self.spec.name, datatype::name(self.spec.dtype));
        let message = format!("input '{name}' is {dtype}, whose elements go into {}, not {got}", self.own_field());
        DecodeError::new(DecodeFault::WrongType, message).at(name).expected(self.own_field()).got(got)
    }

    fn out_of_range(&self, index: usize, number: u64) -> DecodeError {
        let (name, dtype) = (&self.spec.name, datatype::name(self.spec.dtype));
        let is_signed = matches!(self.spec.dtype, DType::I8 | DType::I16 | DType::I32);
        let got = if is_signed { number.cast_signed().to_string() } else { number.to_string() };
        let message = format!("element {index} of '{name}' is {got}, which {dtype} cannot hold");
        DecodeError::new(DecodeFault::LossyNumber, message).at(name).expected(dtype).got(got)
    }

    fn broken(&self) -> DecodeError {
        let message = format!("the contents of input '{}' are not InferTensorContents", self.spec.name);
        malformed(message).at(&self.spec.name).expected(self.own_field())
    }
}
