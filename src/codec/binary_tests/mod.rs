//! Tests of the binary dialects: round trips, files made by the real libraries, and hostile bodies.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used)]

mod fixtures;
mod hostile_archives;
mod hostile_arrays;
mod hostile_raw;
mod mutants;
mod round_trip;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::tensor::{DType, Dim, Element, OutputSpec, TensorSpec, ValueType};

/// The bytes of a file under `tests/fixtures/codec`.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/codec/", $name)).as_slice()
    };
}
use fixture;

const BINARY: [Format; 4] = [Format::Npy, Format::Npz, Format::Raw, Format::Safetensors];

const MAX_BYTES: usize = 1 << 20;
const MAX_ELEMENTS: usize = 100_000;

const POLICY: Policy = Policy {
    null_input: NullInput::Reject,
    extra_columns: ExtraColumns::Refuse,
    non_finite_output: NonFiniteOutput::Null,
    max_elements: MAX_ELEMENTS,
    max_rank: 64,
    max_json_depth: 64,
};

/// A dimension from `"N"` or `"10"`; an empty word is a dynamic one without a name.
fn dim(word: &str) -> Dim {
    match word.parse() {
        Ok(size) => Dim::Fixed(size),
        Err(_) if word.is_empty() => Dim::Dynamic(None),
        Err(_) => Dim::Dynamic(Some(word.to_owned())),
    }
}

fn input(name: &str, dtype: DType, dims: &[&str]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, dims: Some(dims.iter().map(|word| dim(word)).collect()) }
}

fn any_shape(name: &str, dtype: DType) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, dims: None }
}

/// A model that gives back what it takes.
fn identity(inputs: Vec<TensorSpec>) -> Signature {
    let outputs = inputs.iter().map(|spec| OutputSpec {
        name: spec.name.clone(),
        value: ValueType::Tensor { dtype: spec.dtype, dims: spec.dims.clone() },
    });
    Signature { outputs: outputs.collect(), inputs }
}

fn request(signature: &Signature) -> Request<'_> {
    Request { signature, policy: POLICY, announced_bytes: None, max_bytes: MAX_BYTES, raw_shape: None }
}

fn tensor<T: Element>(shape: &[usize], elements: Vec<T>) -> Tensor {
    T::wrap(ArrayD::from_shape_vec(IxDyn(shape), elements).unwrap())
}

/// 0, 1, 2 … of a type, as the fixtures hold them.
fn counting(dtype: DType, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    fn of<T: Element>(shape: &[usize], count: usize, element: impl Fn(usize) -> T) -> Tensor {
        tensor(shape, (0..count).map(element).collect())
    }
    match dtype {
        DType::Bool => of(shape, count, |i| i > 0),
        DType::I8 => of(shape, count, |i| i as i8),
        DType::I16 => of(shape, count, |i| i as i16),
        DType::I32 => of(shape, count, |i| i as i32),
        DType::I64 => of(shape, count, |i| i as i64),
        DType::U8 => of(shape, count, |i| i as u8),
        DType::U16 => of(shape, count, |i| i as u16),
        DType::U32 => of(shape, count, |i| i as u32),
        DType::U64 => of(shape, count, |i| i as u64),
        DType::F16 => of(shape, count, |i| f16::from_f32(i as f32)),
        DType::BF16 => of(shape, count, |i| bf16::from_f32(i as f32)),
        DType::F32 => of(shape, count, |i| i as f32),
        DType::F64 => of(shape, count, |i| i as f64),
        DType::String => of(shape, count, |i| "日".repeat(i % 3) + &i.to_string()),
    }
}

/// Decodes a body that comes in pieces of these sizes, the last of which takes the rest.
fn decode_in(
    format: Format,
    request: Request<'_>,
    body: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> Result<Vec<Tensor>, DecodeError> {
    let mut receiver = Receiver::new(format, request)?;
    let mut rest = body;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        receiver.push(now)?;
        rest = later;
    }
    receiver.push(rest)?;
    receiver.finish().map(|decoded| decoded.inputs)
}

/// Decodes a body that comes at once and has announced its length.
fn decode(format: Format, signature: &Signature, body: &[u8]) -> Result<Vec<Tensor>, DecodeError> {
    let request = Request { announced_bytes: Some(body.len()), ..request(signature) };
    decode_in(format, request, body, [])
}

/// A whole answer.
fn encoded(format: Format, signature: &Signature, outputs: &[Tensor]) -> Vec<u8> {
    let outputs = outputs.iter().cloned().map(Value::Tensor).collect();
    encode(outputs, signature, format.into(), &POLICY).unwrap().parts.concat()
}

/// That a body is refused for this class of fault, with all these words in the message.
#[track_caller]
fn assert_refused(result: Result<Vec<Tensor>, DecodeError>, fault: DecodeFault, words: &[&str]) -> DecodeError {
    let error = result.expect_err("the body must be refused");
    assert_eq!(error.fault, fault, "{error}");
    for word in words {
        assert!(error.message.contains(word), "no '{word}' in '{error}'");
    }
    error
}
