//! Requests of the Open Inference Protocol: bodies, and what must hold of every one.

use scoria::codec::open_inference::{Answering, InferRequest, NoRegions, Receiver, encode};
use scoria::codec::{ExtraColumns, NonFiniteOutput, NullInput, Policy, Request};
use scoria::tensor::{OutputSpec, Signature, Value, ValueType};

use crate::body::{MAX_BYTES, bytes_allowed, check, signature};
use crate::bounds;

/// How the body's beginning is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All is JSON.
    Json,
    /// The first two bytes, little-endian, are what the client says is the length of the JSON.
    Binary,
}

/// Decodes `data` as a request, and answers it as a model would that echoes. The first two bytes choose the model and how the
/// body is cut into pieces.
///
/// Whatever the bytes: no panic, no tensor beyond the limits, no memory beyond a multiple of the body and of the limits, and an
/// answer whose JSON is JSON and whose bytes are as many as it says.
pub fn infer(form: Form, data: &[u8]) {
    let [model, pieces, rest @ ..] = data else { return };
    let (json_bytes, body) = match (form, rest) {
        (Form::Json, body) => (None, body),
        (Form::Binary, [low, high, body @ ..]) => (Some(usize::from(u16::from_le_bytes([*low, *high]))), body),
        (Form::Binary, _) => return,
    };
    let body = &body[..body.len().min(MAX_BYTES)];
    let model = echo(signature(*model));
    let policy = Policy {
        null_input: NullInput::NaN,
        non_finite_output: NonFiniteOutput::Null,
        max_elements: MAX_BYTES,
        max_rank: 64,
        max_json_depth: 64,
        extra_columns: ExtraColumns::Refuse,
    };
    let announced_bytes = (pieces & 1 == 0).then_some(body.len());
    let request = Request { signature: &model, policy, announced_bytes, max_bytes: MAX_BYTES, raw_shape: None };
    let piece_bytes = usize::from(*pieces) + 1;
    let received = bounds::within(bytes_allowed(body.len()), || receive(request, json_bytes, body, piece_bytes));
    if let Some(InferRequest { id, inputs, wanted, .. }) = received {
        check(&inputs, &model);
        let answering = Answering { model_name: "m", model_version: 1, id: &id, signature: &model, labels: &[] };
        let values = inputs.into_iter().map(Value::Tensor).collect();
        // Classes of what has no order are refused.
        let Ok(reply) = encode(values, &wanted, &answering, &policy, &NoRegions) else { return };
        let written = reply.parts.concat();
        let (json, bytes) = written.split_at(reply.json_bytes.unwrap_or(written.len()));
        let json: serde_json::Value = serde_json::from_slice(json).expect("an answer's JSON is JSON");
        let outputs = json["outputs"].as_array().expect("a list");
        assert_eq!(outputs.len(), wanted.outputs.len());
        let sizes = outputs.iter().filter_map(|output| output["parameters"]["binary_data_size"].as_u64());
        assert_eq!(sizes.sum::<u64>(), bytes.len() as u64);
    }
}

fn receive(request: Request<'_>, json_bytes: Option<usize>, body: &[u8], piece_bytes: usize) -> Option<InferRequest> {
    let mut receiver = Receiver::new(request, json_bytes, &NoRegions).ok()?;
    for piece in body.chunks(piece_bytes) {
        receiver.push(piece).ok()?;
    }
    receiver.finish().ok()
}

/// A model that gives each input back.
fn echo(mut model: Signature) -> Signature {
    let output = |(index, spec): (usize, &scoria::tensor::TensorSpec)| OutputSpec {
        name: format!("o{index}"),
        value: ValueType::Tensor { dtype: spec.dtype, dims: spec.dims.clone() },
    };
    model.outputs = model.inputs.iter().enumerate().map(output).collect();
    model
}
