//! A request's inputs on their way in, by name and in whatever order they come.
//!
//! [`Intake::open`] checks all that is said of an input before anything is allocated for it: its name, its type, its shape
//! against the model's, and its size against what the endpoint allows. Its elements then come as bytes ([`Intake::fill`]), or as
//! a tensor that another reader made within the same bounds ([`Intake::put`]).

use super::datatype;
use crate::codec::fill::{Allowance, Fill};
use crate::codec::refusal::{self, quoted};
use crate::codec::{DecodeError, Request};
use crate::tensor::{DType, Signature, Tensor, TensorSpec};

/// The inputs of one request.
#[derive(Debug)]
pub struct Intake<'a> {
    request: Request<'a>,
    allowance: Allowance,
    inputs: Vec<Input>,
}

#[derive(Debug)]
enum Input {
    Missing,
    Opened,
    Here(Tensor),
}

/// An input that has been opened: which one it is, and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub spec: &'a TensorSpec,
    pub shape: Vec<usize>,
    index: usize,
}

impl Place<'_> {
    /// The bytes that the elements take in binary form; `None` for BYTES, whose elements say their lengths, and for what no
    /// memory holds.
    pub fn bytes(&self) -> Option<usize> {
        crate::tensor::element_count(&self.shape)?.checked_mul(self.spec.dtype.size()?)
    }

    /// Its position among the model's inputs.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl<'a> Intake<'a> {
    /// `request.max_bytes` bounds the bytes of all inputs together. That there are as many bytes as are spoken of is the
    /// caller's to check: a region of shared memory is no part of a body.
    pub fn new(request: Request<'a>) -> Self {
        let inputs = request.signature.inputs.iter().map(|_| Input::Missing).collect();
        Intake { allowance: Allowance::compressed(&request), request, inputs }
    }

    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    pub fn signature(&self) -> &'a Signature {
        self.request.signature
    }

    /// Takes off what the request has besides its elements.
    pub fn spend_header(&mut self, bytes: usize) {
        self.allowance.spend_header(bytes);
    }

    /// Begins an input, by what the request says of it.
    pub fn open(&mut self, name: &str, datatype: &str, shape: Vec<usize>) -> Result<Place<'a>, DecodeError> {
        let signature = self.request.signature;
        let index = signature.input_index(name).ok_or_else(|| refusal::unknown_input(signature, name))?;
        if !matches!(self.inputs[index], Input::Missing) {
            return Err(refusal::repeated_input(name));
        }
        let spec = &signature.inputs[index];
        if datatype::parse(datatype) != Some(spec.dtype) {
            return Err(wrong_datatype(spec, datatype));
        }
        refusal::check_rank(spec, shape.len(), self.request.policy.max_rank)?;
        spec.check_shape(&shape).map_err(|mismatch| refusal::wrong_shape(spec, &shape, mismatch))?;
        self.inputs[index] = Input::Opened;
        Ok(Place { spec, shape, index })
    }

    /// Makes the buffer for elements that come in binary form.
    pub fn fill(&mut self, place: &Place<'a>) -> Result<Fill<'a>, DecodeError> {
        Fill::new(place.spec, &place.shape, &mut self.allowance)
    }

    /// The same for elements that do not come in the request.
    pub fn fill_apart(&mut self, place: &Place<'a>) -> Result<Fill<'a>, DecodeError> {
        Fill::apart(place.spec, &place.shape, &mut self.allowance)
    }

    /// Counts the elements of an input that do not come in binary form, and gives how many there must be.
    pub fn count(&mut self, place: &Place<'a>) -> Result<usize, DecodeError> {
        self.allowance.take_elements(place.spec, &place.shape)
    }

    /// An input's elements in one piece of binary form.
    pub fn put_bytes(&mut self, place: &Place<'a>, mut bytes: &[u8]) -> Result<(), DecodeError> {
        let sent = bytes.len();
        if let Some(needed) = place.bytes().filter(|needed| *needed != sent) {
            return Err(wrong_size(place, needed, sent));
        }
        let mut fill = self.fill(place)?;
        fill.push(&mut bytes)?;
        if !bytes.is_empty() {
            return Err(wrong_size(place, sent - bytes.len(), sent));
        }
        let tensor = fill.finish()?;
        self.put(place, tensor);
        Ok(())
    }

    /// The elements of an input that was opened. The tensor has its type and shape.
    pub fn put(&mut self, place: &Place<'a>, tensor: Tensor) {
        debug_assert_eq!((tensor.dtype(), tensor.shape()), (place.spec.dtype, place.shape.as_slice()));
        self.inputs[place.index] = Input::Here(tensor);
    }

    /// Whether every input of the model has been opened.
    pub fn check_complete(&self) -> Result<(), DecodeError> {
        let missing = self.inputs.iter().position(|input| matches!(input, Input::Missing));
        missing.map_or(Ok(()), |index| {
            Err(refusal::missing_input(self.request.signature, &self.request.signature.inputs[index]))
        })
    }

    /// All inputs, in the signature's order.
    pub fn finish(self) -> Result<Vec<Tensor>, DecodeError> {
        let signature = self.request.signature;
        let tensors = self.inputs.into_iter().zip(&signature.inputs).map(|(input, spec)| match input {
            Input::Here(tensor) => Ok(tensor),
            Input::Missing | Input::Opened => Err(refusal::missing_input(signature, spec)),
        });
        tensors.collect()
    }
}

/// An input whose bytes are not as many as its shape needs.
pub(super) fn wrong_size(place: &Place<'_>, needed: usize, sent: usize) -> DecodeError {
    let (name, shape) = (&place.spec.name, crate::tensor::Shape(&place.shape));
    let message = match place.spec.dtype {
        DType::String => format!("the strings of input '{name}' of shape {shape} take {needed} of its {sent} bytes"),
        dtype => {
            let datatype = datatype::name(dtype);
            format!("input '{name}' is {datatype} of shape {shape}, which takes {needed} bytes; it has {sent}")
        }
    };
    refusal::wrong_length(message, needed, sent).at(name)
}

fn wrong_datatype(spec: &TensorSpec, got: &str) -> DecodeError {
    let (name, expected, got) = (&spec.name, datatype::name(spec.dtype), quoted(got));
    let message =
        format!("input '{name}' is of datatype {expected}, the request says '{got}'; values are never converted");
    DecodeError::new(crate::codec::DecodeFault::WrongType, message).at(name).expected(expected).got(got)
}
