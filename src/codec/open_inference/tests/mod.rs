//! Tests of inference requests and their answers, and what they share.

mod golden;
mod hostile;
mod raw;

use super::{InferRequest, NoRegions, Receiver};
use crate::codec::json::tests::{POLICY, outputs, signature};
use crate::codec::{DecodeError, Request};
use crate::tensor::Signature;

/// A model that takes and gives what is written as `float32[N, 10]`.
fn model(inputs: &[(&str, &str)], results: &[(&str, &str)]) -> Signature {
    Signature { inputs: signature(inputs).inputs, outputs: outputs(results).outputs }
}

/// `y = x`.
fn echo(kind: &str) -> Signature {
    model(&[("x", kind)], &[("y", kind)])
}

/// How a body comes.
#[derive(Clone, Copy, Debug)]
struct Sent<'a> {
    body: &'a [u8],
    json_bytes: Option<usize>,
    is_announced: bool,
    piece_bytes: usize,
}

fn receive(model: &Signature, sent: Sent<'_>) -> Result<InferRequest, DecodeError> {
    let request = Request {
        signature: model,
        policy: POLICY,
        announced_bytes: sent.is_announced.then_some(sent.body.len()),
        max_bytes: 1 << 20,
        raw_shape: None,
    };
    let mut receiver = Receiver::new(request, sent.json_bytes, &NoRegions)?;
    sent.body.chunks(sent.piece_bytes.max(1)).try_for_each(|piece| receiver.push(piece))?;
    receiver.finish()
}

/// The outcome, which is the same whatever the pieces and whether or not the length is known beforehand.
fn decode(model: &Signature, body: &[u8], json_bytes: Option<usize>) -> Result<InferRequest, DecodeError> {
    let send = |is_announced, piece_bytes| receive(model, Sent { body, json_bytes, is_announced, piece_bytes });
    let whole = send(true, usize::MAX);
    for other in [send(true, 1), send(false, usize::MAX), send(false, 7)] {
        match (&whole, &other) {
            (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
            (Err(_), Err(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    whole
}

/// A request of JSON and the bytes behind it.
fn joined(json: &str, bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    ([json.as_bytes(), bytes].concat(), Some(json.len()))
}
