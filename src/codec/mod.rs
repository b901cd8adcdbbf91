//! The dialects of request and reply bodies: bytes in, tensors out, and back.
//!
//! A [`Receiver`] takes a body chunk by chunk, as it comes off the socket, and ends as [`Decoded`]: the model's inputs in the
//! signature's order and the [`Reply`] form that the caller expects. [`encode`] writes outputs in that form. One file a
//! dialect; nothing here knows of HTTP, engines or endpoints.

mod csv;
mod dialect;
mod elements;
mod encoding;
mod error;
mod fill;
mod format;
mod gather;
pub mod json;
mod npy;
mod npz;
pub mod open_inference;
mod raw;
mod refusal;
mod safetensors;

use bytes::Bytes;

pub use dialect::Dialect;
pub use error::{DecodeError, DecodeFault, DecodeRefusal, EncodeError};
pub use format::Format;
pub use json::JsonReply;
pub use refusal::quoted;

pub use crate::config::{ExtraColumns, NonFiniteOutput, NullInput};
use crate::tensor::{Signature, Tensor, Value};

/// What an endpoint allows and promises about bodies.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether a JSON `null` may stand for NaN in a float input.
    pub null_input: NullInput,
    /// What becomes of a table's columns that are no inputs.
    pub extra_columns: ExtraColumns,
    /// What a NaN or an infinity in an output becomes in JSON, which has neither.
    pub non_finite_output: NonFiniteOutput,
    /// The most elements that all inputs of one request may have together.
    pub max_elements: usize,
    /// The most dimensions that an input may have.
    pub max_rank: usize,
    /// The deepest nesting of arrays and objects in JSON that is followed. The readers recurse, so this bounds their stack.
    pub max_json_depth: usize,
}

/// What a decoder must know besides the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub signature: &'a Signature,
    pub policy: Policy,
    /// The body's length in bytes, where it was announced. Never trusted beyond `max_bytes`.
    pub announced_bytes: Option<usize>,
    /// The most bytes the body can have: no buffer is made larger.
    pub max_bytes: usize,
    /// Shapes given beside a raw body, as in the header `x-scoria-shape`: `2,10`, inputs separated by `;`.
    pub raw_shape: Option<&'a str>,
}

/// A request body, decoded.
#[derive(Debug)]
pub struct Decoded {
    /// The model's inputs, in the signature's order; types and shapes are checked.
    pub inputs: Vec<Tensor>,
    /// The form in which the caller expects the answer.
    pub reply: Reply,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Json(JsonReply),
    Csv,
    Npy,
    Npz,
    Raw,
    Safetensors,
}

impl Reply {
    /// The answer's format.
    pub fn format(self) -> Format {
        match self {
            Reply::Json(_) => Format::Json,
            Reply::Csv => Format::Csv,
            Reply::Npy => Format::Npy,
            Reply::Npz => Format::Npz,
            Reply::Raw => Format::Raw,
            Reply::Safetensors => Format::Safetensors,
        }
    }
}

impl From<Format> for Reply {
    /// The plain answer of a format, for callers who name one.
    fn from(format: Format) -> Reply {
        match format {
            Format::Json => Reply::Json(JsonReply::Bare),
            Format::Csv => Reply::Csv,
            Format::Npy => Reply::Npy,
            Format::Npz => Reply::Npz,
            Format::Raw => Reply::Raw,
            Format::Safetensors => Reply::Safetensors,
        }
    }
}

/// An answer's body.
#[derive(Debug)]
pub struct Encoded {
    pub format: Format,
    /// The bytes, in order. Tensor data is handed over, not copied, except into an archive (npz).
    pub parts: Vec<Bytes>,
    /// For [`Format::Raw`] only, which does not describe itself.
    pub raw_layout: Option<RawLayout>,
}

/// What a raw body's bytes mean, in the words of the headers that carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLayout {
    /// `float32;int64`.
    pub dtypes: String,
    /// `2,10;2`; the empty string is a scalar.
    pub shapes: String,
}

/// Takes in one request body.
#[derive(Debug)]
pub enum Receiver<'a> {
    Json(json::Receiver<'a>),
    Csv(csv::Receiver<'a>, Dialect),
    Npy(npy::Receiver<'a>),
    Npz(npz::Receiver<'a>),
    Raw(raw::Receiver<'a>),
    Safetensors(safetensors::Receiver<'a>),
}

impl<'a> Receiver<'a> {
    /// Starts a body. Fails at once when the format can never carry this model's inputs.
    pub fn new(format: Format, request: Request<'a>) -> Result<Self, DecodeError> {
        Receiver::of(Dialect::Any, format, request)
    }

    /// The same for a route that imitates another server.
    pub fn of(dialect: Dialect, format: Format, request: Request<'a>) -> Result<Self, DecodeError> {
        Ok(match format {
            Format::Json => Receiver::Json(json::Receiver::new(request, dialect)),
            Format::Csv => Receiver::Csv(csv::Receiver::new(request)?, dialect),
            Format::Npy => Receiver::Npy(npy::Receiver::new(request)?),
            Format::Npz => Receiver::Npz(npz::Receiver::new(request)),
            Format::Raw => Receiver::Raw(raw::Receiver::new(request)?),
            Format::Safetensors => Receiver::Safetensors(safetensors::Receiver::new(request)?),
        })
    }

    /// The body's format.
    pub fn format(&self) -> Format {
        match self {
            Receiver::Json(_) => Format::Json,
            Receiver::Csv(..) => Format::Csv,
            Receiver::Npy(_) => Format::Npy,
            Receiver::Npz(_) => Format::Npz,
            Receiver::Raw(_) => Format::Raw,
            Receiver::Safetensors(_) => Format::Safetensors,
        }
    }

    /// Takes the next bytes of the body. The caller stops at `max_bytes`.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        match self {
            Receiver::Json(receiver) => {
                receiver.push(chunk);
                Ok(())
            }
            Receiver::Csv(receiver, _) => {
                receiver.push(chunk);
                Ok(())
            }
            Receiver::Npy(receiver) => receiver.push(chunk),
            Receiver::Npz(receiver) => receiver.push(chunk),
            Receiver::Raw(receiver) => receiver.push(chunk),
            Receiver::Safetensors(receiver) => receiver.push(chunk),
        }
    }

    /// Ends the body.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        match self {
            Receiver::Json(receiver) => receiver.finish(),
            Receiver::Csv(receiver, dialect) => {
                let inputs = receiver.finish()?;
                let reply = match dialect {
                    Dialect::Mlflow => Reply::Json(JsonReply::predictions(&inputs)),
                    Dialect::Any | Dialect::TensorFlowServing => Reply::Csv,
                };
                Ok(Decoded { inputs, reply })
            }
            Receiver::Npy(receiver) => receiver.finish(),
            Receiver::Npz(receiver) => receiver.finish(),
            Receiver::Raw(receiver) => receiver.finish(),
            Receiver::Safetensors(receiver) => receiver.finish(),
        }
    }
}

/// Writes a model's outputs, which are in the signature's order, in the form asked for.
pub fn encode(
    outputs: Vec<Value>,
    signature: &Signature,
    reply: Reply,
    policy: &Policy,
) -> Result<Encoded, EncodeError> {
    match reply {
        Reply::Json(form) => json::encode(&outputs, signature, form, policy),
        Reply::Csv => csv::encode(outputs, signature, policy),
        Reply::Npy => npy::encode(outputs, signature),
        Reply::Npz => npz::encode(outputs, signature),
        Reply::Raw => raw::encode(outputs, signature),
        Reply::Safetensors => safetensors::encode(outputs, signature),
    }
}

#[cfg(test)]
mod binary_tests;
