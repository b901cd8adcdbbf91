//! Elements that stand by themselves as text: the cells of a table such as CSV.
//!
//! A number is one by JSON's grammar, so that every text form of a body reads numbers alike.

use super::mismatch;
use super::number::Literal;
use super::refusal::shown;
use super::scalar::Scalar;
use crate::codec::{DecodeError, DecodeFault, NullInput};
use crate::tensor::{DType, Element, Tensor, TensorSpec};

/// Elements of one type, as they are gathered.
pub(in crate::codec) trait Cells {
    /// Takes one element; false, and nothing is taken, if the text is none of the type.
    fn push(&mut self, text: &[u8]) -> bool;

    /// The tensor, if the shape has as many elements.
    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor>;
}

/// Starts to gather. Where `null_input` allows it, a cell without text, or with `nan` as its text, is NaN in a float.
pub(in crate::codec) fn cells(dtype: DType, null_input: NullInput) -> Box<dyn Cells> {
    match dtype {
        DType::Bool => Box::new(Booleans(Vec::new())),
        DType::String => Box::new(Texts(Vec::new())),
        DType::I8 => numbers::<i8>(null_input),
        DType::I16 => numbers::<i16>(null_input),
        DType::I32 => numbers::<i32>(null_input),
        DType::I64 => numbers::<i64>(null_input),
        DType::U8 => numbers::<u8>(null_input),
        DType::U16 => numbers::<u16>(null_input),
        DType::U32 => numbers::<u32>(null_input),
        DType::U64 => numbers::<u64>(null_input),
        DType::F16 => numbers::<half::f16>(null_input),
        DType::BF16 => numbers::<half::bf16>(null_input),
        DType::F32 => numbers::<f32>(null_input),
        DType::F64 => numbers::<f64>(null_input),
    }
}

/// Why a text is no element of this input.
#[cold]
pub(in crate::codec) fn refuse(text: &[u8], spec: &TensorSpec, null_input: NullInput) -> DecodeError {
    let trimmed = text.trim_ascii();
    let name = spec.dtype.name();
    let is_number = Literal::scan(trimmed).is_some_and(|literal| literal.len == trimmed.len());
    if is_number && spec.dtype != DType::Bool {
        return mismatch::lossy(trimmed, spec);
    }
    let got = if trimmed.is_empty() { "nothing".to_owned() } else { shown(&String::from_utf8_lossy(text)) };
    let remedy = match spec.dtype {
        DType::Bool if is_missing(trimmed) => {
            ": only float inputs have a value for what is missing (NaN); write true or false"
        }
        DType::Bool => ": write true or false",
        DType::String if text.is_empty() => {
            ": only float inputs have a value for what is missing (NaN); an empty text is written \"\""
        }
        DType::String => ": it is not UTF-8",
        dtype if is_missing(trimmed) && !dtype.is_float() => {
            ": only float inputs have a value for what is missing (NaN)"
        }
        _ if is_missing(trimmed) && null_input == NullInput::Reject => {
            ": this endpoint does not take a missing value for NaN (its setting null_input)"
        }
        _ => "",
    };
    DecodeError::new(DecodeFault::WrongType, format!("expected {name}, got {got}{remedy}")).expected(name).got(got)
}

/// What tables have where there is no value: pandas and R write one of these.
fn is_missing(text: &[u8]) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case(b"nan")
}

struct Numbers<T> {
    values: Vec<T>,
    missing: Option<T>,
}

fn numbers<T: Scalar>(null_input: NullInput) -> Box<dyn Cells> {
    let missing = T::NULL.filter(|_| null_input == NullInput::NaN);
    Box::new(Numbers { values: Vec::new(), missing })
}

impl<T: Scalar> Cells for Numbers<T> {
    fn push(&mut self, text: &[u8]) -> bool {
        let text = text.trim_ascii();
        let value = match T::parse(text) {
            Some((value, [])) => Some(value),
            _ => self.missing.clone().filter(|_| is_missing(text)),
        };
        let is_one = value.is_some();
        self.values.extend(value);
        is_one
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor> {
        tensor(self.values, shape)
    }
}

struct Booleans(Vec<bool>);

impl Cells for Booleans {
    fn push(&mut self, text: &[u8]) -> bool {
        let value = match text.trim_ascii() {
            b"true" | b"True" | b"TRUE" => true,
            b"false" | b"False" | b"FALSE" => false,
            _ => return false,
        };
        self.0.push(value);
        true
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor> {
        tensor(self.0, shape)
    }
}

struct Texts(Vec<String>);

impl Cells for Texts {
    fn push(&mut self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        self.0.push(text.to_owned());
        true
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor> {
        tensor(self.0, shape)
    }
}

fn tensor<T: Element>(values: Vec<T>, shape: &[usize]) -> Option<Tensor> {
    ndarray::ArrayD::from_shape_vec(shape, values).ok().map(T::wrap)
}
