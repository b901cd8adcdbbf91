//! Bodies: signatures to decode against, and what must hold of every body.

use scoria::codec::{
    self, Decoded, ExtraColumns, Format, NonFiniteOutput, NullInput, Policy, Receiver, Reply, Request,
};
use scoria::tensor::{DType, Dim, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};

use crate::bounds;

/// The longest body, and the most elements, as an endpoint would set them. Small, so that the fuzzer meets the bounds.
pub(crate) const MAX_BYTES: usize = 1 << 16;

/// Decodes `data` as a body of `format`, and encodes what it holds. The first two bytes choose the model and how the body is
/// cut into pieces.
///
/// Whatever the bytes: no panic, no tensor beyond the limits, no memory beyond a multiple of the body and of the limits, and
/// what was taken in can be given back.
pub fn decode(format: Format, data: &[u8], raw_shape: Option<&str>) {
    let [model, pieces, body @ ..] = data else { return };
    let body = &body[..body.len().min(MAX_BYTES)];
    let signature = signature(*model);
    let policy = policy(*model);
    let announced_bytes = (pieces & 1 == 0).then_some(body.len());
    let request = Request { signature: &signature, policy, announced_bytes, max_bytes: MAX_BYTES, raw_shape };
    let piece_bytes = usize::from(*pieces) + 1;
    let decoded = bounds::within(bytes_allowed(body.len()), || receive(format, request, body, piece_bytes));
    if let Some(Decoded { inputs, reply }) = decoded {
        check(&inputs, &signature);
        bounds::within(usize::MAX, || give_back(inputs, &signature, reply, &policy));
    }
}

/// The limits of every endpoint here.
pub(crate) fn policy(choice: u8) -> Policy {
    Policy {
        null_input: if choice & 0x80 == 0 { NullInput::Reject } else { NullInput::NaN },
        non_finite_output: NonFiniteOutput::Null,
        max_elements: MAX_BYTES,
        max_rank: 64,
        max_json_depth: 64,
        extra_columns: if choice & 0x40 == 0 { ExtraColumns::Refuse } else { ExtraColumns::Drop },
    }
}

/// What decoding a body may hold: 32 bytes for each of its own, since `"",` becomes a string and lists grow by doubling, and
/// four times what the endpoint's limits allow, for what is announced or unfolds.
pub(crate) fn bytes_allowed(body_bytes: usize) -> usize {
    32 * body_bytes + 4 * MAX_BYTES
}

fn receive(format: Format, request: Request<'_>, body: &[u8], piece_bytes: usize) -> Option<Decoded> {
    let mut receiver = Receiver::new(format, request).ok()?;
    for piece in body.chunks(piece_bytes) {
        receiver.push(piece).ok()?;
    }
    receiver.finish().ok()
}

pub(crate) fn check(inputs: &[Tensor], signature: &Signature) {
    assert_eq!(inputs.len(), signature.inputs.len());
    let mut elements = 0;
    for (tensor, spec) in inputs.iter().zip(&signature.inputs) {
        assert_eq!(tensor.dtype(), spec.dtype);
        assert_eq!(spec.check_shape(tensor.shape()), Ok(()));
        elements += tensor.len();
    }
    assert!(elements <= MAX_BYTES, "{elements} elements");
    let bytes: usize = inputs.iter().map(bytes).sum();
    assert!(bytes <= 16 * MAX_BYTES, "{bytes} bytes");
}

/// Encodes tensors as the answer of a model that echoes them. In JSON that is always possible, and always JSON; in a binary
/// form, it is read back unchanged where it can be written at all.
fn give_back(inputs: Vec<Tensor>, signature: &Signature, reply: Reply, policy: &Policy) {
    let echo = echo(signature.clone());
    let values = || inputs.iter().cloned().map(Value::Tensor).collect();
    let whole = |parts: &[bytes::Bytes]| parts.concat();

    let json = if let Reply::Json(_) = reply { reply } else { Format::Json.into() };
    let answer = codec::encode(values(), &echo, json, policy).expect("JSON carries every tensor, and null for NaN");
    let answer = whole(&answer.parts);
    serde_json::from_slice::<serde::de::IgnoredAny>(&answer).expect("a JSON answer is JSON");

    let Ok(answer) = codec::encode(values(), &echo, reply, policy) else { return };
    if reply.format() == Format::Json {
        return;
    }
    let shapes = answer.raw_layout.as_ref().map(|layout| layout.shapes.as_str());
    let written = whole(&answer.parts);
    let request =
        Request { signature: &echo, policy: *policy, announced_bytes: None, max_bytes: usize::MAX, raw_shape: shapes };
    let again = receive(reply.format(), request, &written, written.len().max(1)).expect("what we write, we read");
    // Compared as bytes, since NaN differs from itself.
    let again = again.inputs.into_iter().map(Value::Tensor).collect();
    let rewritten = codec::encode(again, &echo, reply, policy).expect("it could be written before");
    assert!(whole(&rewritten.parts) == written, "what was written and read is not what it was");
}

/// The signature of a model that gives what it takes.
pub(crate) fn echo(signature: Signature) -> Signature {
    let output = |spec: &TensorSpec| OutputSpec {
        name: spec.name.clone(),
        value: ValueType::Tensor { dtype: spec.dtype, dims: spec.dims.clone() },
    };
    Signature { outputs: signature.inputs.iter().map(output).collect(), ..signature }
}

fn bytes(tensor: &Tensor) -> usize {
    match tensor {
        Tensor::String(texts) => texts.iter().map(String::len).sum(),
        other => other.len() * other.dtype().size().unwrap_or(0),
    }
}

/// Models of one or several inputs, of every type, with fixed, dynamic and unknown shapes.
pub(crate) fn signature(choice: u8) -> Signature {
    let dtype = DType::ALL[usize::from(choice) % DType::ALL.len()];
    let free = || Dim::Dynamic(Some("N".to_owned()));
    let spec = |name: &str, dtype, dims| TensorSpec { name: name.to_owned(), dtype, dims };
    let inputs = match choice / 14 % 6 {
        0 => vec![spec("x", dtype, Some(vec![free(), Dim::Fixed(2)]))],
        1 => vec![spec("x", dtype, Some(Vec::new()))],
        2 => vec![spec("data", dtype, None)],
        3 => vec![spec("a", dtype, Some(vec![free()])), spec("b/ c", DType::String, Some(vec![free(), Dim::Fixed(1)]))],
        4 => vec![spec("x", dtype, Some(vec![Dim::Fixed(2), Dim::Fixed(0)]))],
        _ => vec![spec("inputs", dtype, Some(vec![free(), free(), free()])), spec("y", DType::F32, Some(vec![free()]))],
    };
    Signature { inputs, outputs: Vec::new() }
}
