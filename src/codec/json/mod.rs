//! JSON bodies: the forms that Azure's, MLflow's, TensorFlow Serving's and Power BI's clients send.
//!
//! Decoding reads the body's bytes once and puts numbers straight into the tensors' buffers; there is no tree of values in
//! between. It follows RFC 8259 strictly, never changes a number (an input that cannot hold it refuses it), and says of
//! every refusal where it is, what was expected and what came. Encoding is [`encode`].

pub(in crate::codec) mod array;
mod base64;
mod cells;
mod dialect;
pub(in crate::codec) mod encode;
mod example;
mod float;
mod frame;
mod inputs;
pub(in crate::codec) mod integer;
pub(in crate::codec) mod members;
mod mismatch;
mod number;
pub(in crate::codec) mod path;
mod query;
pub(in crate::codec) mod refusal;
mod remedy;
mod scalar;
pub(in crate::codec) mod scan;
pub(in crate::codec) mod string;
mod vector;

pub(in crate::codec) use cells::{Cells, cells, refuse};
pub use encode::encode;
pub(in crate::codec) use encode::write_cell;
pub use example::example_body;
pub use query::from_query;

use super::{DecodeError, Decoded, Dialect, Reply, Request};
use crate::tensor::Tensor;

/// The envelope of a JSON answer: that of the request's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonReply {
    /// One output as it is; several as an object by name.
    Bare,
    /// `{"predictions": …}`: one output as it is; several in rows, `[{name: row}, …]`, if the signature says that they have a
    /// row for each of the request's ([`crate::tensor::Signature::has_row_for_row`]), and else as an object by name.
    Predictions { rows: usize },
    /// `{"predictions": …}`: one output as it is; several as an object by name.
    PredictionColumns,
    /// `{"outputs": …}`: one output as it is; several as an object by name.
    Outputs,
    /// `{"Results": …}`: as [`JsonReply::Bare`] inside.
    Results,
}

impl JsonReply {
    /// [`JsonReply::Predictions`] of these inputs.
    pub(in crate::codec) fn predictions(inputs: &[Tensor]) -> JsonReply {
        JsonReply::Predictions { rows: inputs.first().and_then(|input| input.shape().first().copied()).unwrap_or(0) }
    }
}

/// Takes in a JSON body.
#[derive(Debug)]
pub struct Receiver<'a> {
    request: Request<'a>,
    dialect: Dialect,
    body: Vec<u8>,
}

impl<'a> Receiver<'a> {
    pub fn new(request: Request<'a>, dialect: Dialect) -> Self {
        let capacity = request.announced_bytes.unwrap_or(0).min(request.max_bytes);
        Receiver { request, dialect, body: Vec::with_capacity(capacity) }
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    /// Ends the body.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        decode_as(self.dialect, &self.body, self.request)
    }
}

/// Decodes a whole body; for callers that have it in one piece already.
pub fn decode(body: &[u8], request: Request<'_>) -> Result<Decoded, DecodeError> {
    decode_as(Dialect::Any, body, request)
}

/// The same for a route that imitates another server.
pub fn decode_as(dialect: Dialect, body: &[u8], request: Request<'_>) -> Result<Decoded, DecodeError> {
    let mut inputs = inputs::Inputs::new(request, dialect);
    let mut scanner = scan::Scanner::new(body, request.policy.max_json_depth);
    let reply = dialect::read(&mut scanner, &mut inputs, dialect).map_err(path::from_root)?;
    let inputs = inputs.finish().map_err(path::from_root)?;
    let reply = match reply {
        JsonReply::Predictions { .. } => JsonReply::predictions(&inputs),
        other => other,
    };
    Ok(Decoded { inputs, reply: Reply::Json(reply) })
}

#[cfg(test)]
pub(in crate::codec) mod tests;
