//! A raw request: nothing but the elements of a model's only input, and no JSON at all.
//!
//! Source: Triton's `extension_binary_data.md`, "Raw Binary Request". At most one dimension is open and follows from the length;
//! where there are more, the batch is 1. A string is the whole body, without a length before it.

use super::config::is_batched;
use super::intake::{Intake, Place};
use super::receive::InferRequest;
use super::wanted::Wanted;
use crate::codec::fill::{Fill, not_utf8, strings_tensor};
use crate::codec::refusal::wrong_length;
use crate::codec::{DecodeError, DecodeFault, Request};
use crate::tensor::{DType, Dim, Tensor, TensorSpec};

/// Takes in one body.
pub(super) struct RawBody<'a> {
    intake: Intake<'a>,
    state: State<'a>,
}

enum State<'a> {
    Filling {
        place: Place<'a>,
        fill: Fill<'a>,
        bytes: usize,
    },
    /// A string, or elements whose shape follows from a length that was not announced.
    Collecting(Vec<u8>),
}

impl<'a> RawBody<'a> {
    pub fn new(request: Request<'a>) -> Result<Self, DecodeError> {
        let spec = only_input(&request)?;
        let mut intake = Intake::new(request);
        let state = match request.announced_bytes {
            Some(bytes) if spec.dtype != DType::String => filling(&mut intake, bytes)?,
            _ => State::Collecting(Vec::new()),
        };
        Ok(RawBody { intake, state })
    }

    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        match &mut self.state {
            State::Collecting(body) => {
                let max = self.intake.request().max_bytes;
                if chunk.len() > max.saturating_sub(body.len()) {
                    let message = format!("the body is larger than {max} bytes");
                    return Err(DecodeError::new(DecodeFault::TooLarge, message));
                }
                body.extend_from_slice(chunk);
            }
            State::Filling { fill, bytes, .. } => {
                fill.push(&mut chunk)?;
                if !chunk.is_empty() {
                    let message = "the body is longer than it was announced";
                    return Err(wrong_length(message, *bytes, format_args!("{} or more", *bytes + chunk.len())));
                }
            }
        }
        Ok(())
    }

    /// The bytes that have been gathered and not looked at.
    pub fn left_to_read(&self) -> usize {
        match &self.state {
            State::Collecting(body) => body.len(),
            State::Filling { .. } => 0,
        }
    }

    pub fn finish(mut self) -> Result<InferRequest, DecodeError> {
        let signature = self.intake.signature();
        let spec = &signature.inputs[0];
        match self.state {
            State::Filling { place, fill, .. } => {
                let tensor = fill.finish()?;
                self.intake.put(&place, tensor);
            }
            State::Collecting(text) if spec.dtype == DType::String => {
                let shape = single_element(spec)?;
                let place = open(&mut self.intake, shape)?;
                self.intake.count(&place)?;
                let tensor = string(spec, &place.shape, text)?;
                self.intake.put(&place, tensor);
            }
            State::Collecting(body) => {
                let shape = solve(&self.intake, body.len())?;
                let place = open(&mut self.intake, shape)?;
                self.intake.put_bytes(&place, &body)?;
            }
        }
        let wanted = Wanted::all(signature, true)?;
        Ok(InferRequest { id: String::new(), parameters: Default::default(), inputs: self.intake.finish()?, wanted })
    }
}

fn only_input<'a>(request: &Request<'a>) -> Result<&'a TensorSpec, DecodeError> {
    match request.signature.inputs.as_slice() {
        [single] => Ok(single),
        inputs => {
            let message = format!(
                "a body without JSON ({}: 0) is for models with one input, and this one has {}",
                super::receive::JSON_LENGTH_HEADER,
                inputs.len()
            );
            Err(DecodeError::new(DecodeFault::WrongInputs, message))
        }
    }
}

fn open<'a>(intake: &mut Intake<'a>, shape: Vec<usize>) -> Result<Place<'a>, DecodeError> {
    let spec = &intake.signature().inputs[0];
    intake.open(&spec.name, super::datatype::name(spec.dtype), shape)
}

fn filling<'a>(intake: &mut Intake<'a>, bytes: usize) -> Result<State<'a>, DecodeError> {
    let shape = solve(intake, bytes)?;
    let place = open(intake, shape)?;
    let fill = intake.fill(&place)?;
    Ok(State::Filling { place, fill, bytes })
}

/// The shape of the only input in a body of so many bytes.
fn solve(intake: &Intake<'_>, bytes: usize) -> Result<Vec<usize>, DecodeError> {
    let spec = &intake.signature().inputs[0];
    let Some(dims) = &spec.dims else { return Err(shape_unknown(spec)) };
    let mut shape = spec.example_shape();
    let mut open: Vec<usize> = (0..dims.len()).filter(|axis| matches!(dims[*axis], Dim::Dynamic(_))).collect();
    if open.len() > 1 && is_batched(intake.signature()) {
        // One request of one row, as the protocol has it.
        open.remove(0);
    }
    // With 1 in the open place, these are the bytes of one step.
    let step =
        crate::tensor::element_count(&shape).zip(spec.dtype.size()).and_then(|(count, size)| count.checked_mul(size));
    match (open.as_slice(), step) {
        ([], Some(needed)) if needed == bytes => {}
        ([axis], Some(step)) if step > 0 && bytes.is_multiple_of(step) => shape[*axis] = bytes / step,
        ([] | [_], Some(step)) => {
            let whole = if open.is_empty() { "" } else { "a multiple of " };
            let message =
                format!("input '{}' is {spec}, so the body must have {whole}{step} bytes; it has {bytes}", spec.name);
            return Err(wrong_length(message, step, bytes).at(&spec.name));
        }
        _ => return Err(shape_unknown(spec)),
    }
    Ok(shape)
}

fn shape_unknown(spec: &TensorSpec) -> DecodeError {
    let message = format!(
        "input '{}' is {spec}: the body's length does not tell its shape; send a request with JSON that says it",
        spec.name
    );
    DecodeError::new(DecodeFault::WrongShape, message).at(&spec.name).got("no shape")
}

/// A shape of one element, if the input can have one.
fn single_element(spec: &TensorSpec) -> Result<Vec<usize>, DecodeError> {
    let shape = spec.example_shape();
    if spec.dims.is_some() && crate::tensor::element_count(&shape) == Some(1) {
        Ok(shape)
    } else {
        Err(shape_unknown(spec))
    }
}

fn string(spec: &TensorSpec, shape: &[usize], text: Vec<u8>) -> Result<Tensor, DecodeError> {
    let text = String::from_utf8(text).map_err(|_| not_utf8(spec, 0))?;
    strings_tensor(spec, shape, vec![text])
}
