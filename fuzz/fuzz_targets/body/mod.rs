//! What the targets share: signatures to decode against, and what must hold of every body.

use scoria::codec::{Format, NonFiniteOutput, NullInput, Policy, Receiver, Request};
use scoria::tensor::{DType, Dim, Signature, Tensor, TensorSpec};

/// The longest body, as an endpoint would set it. Small, so that the fuzzer meets the bound.
const MAX_BYTES: usize = 1 << 16;

/// Decodes `data` as a body of `format`. The first two bytes choose the model and how the body is cut into pieces.
///
/// Whatever the bytes: no panic, and no tensor beyond the bounds that were set.
pub fn decode(format: Format, data: &[u8], raw_shape: Option<&str>) {
    let [model, pieces, body @ ..] = data else { return };
    let body = &body[..body.len().min(MAX_BYTES)];
    let signature = signature(*model);
    let policy = Policy {
        null_input: if model & 0x80 == 0 { NullInput::Reject } else { NullInput::NaN },
        non_finite_output: NonFiniteOutput::Null,
        max_elements: MAX_BYTES,
        max_rank: 64,
        max_json_depth: 64,
    };
    let announced_bytes = (pieces & 1 == 0).then_some(body.len());
    let request = Request { signature: &signature, policy, announced_bytes, max_bytes: MAX_BYTES, raw_shape };
    let Ok(mut receiver) = Receiver::new(format, request) else { return };
    for piece in body.chunks(usize::from(*pieces) + 1) {
        if receiver.push(piece).is_err() {
            return;
        }
    }
    let Ok(decoded) = receiver.finish() else { return };
    assert_eq!(decoded.inputs.len(), signature.inputs.len());
    let mut elements = 0;
    for (tensor, spec) in decoded.inputs.iter().zip(&signature.inputs) {
        assert_eq!(tensor.dtype(), spec.dtype);
        assert_eq!(spec.check_shape(tensor.shape()), Ok(()));
        elements += tensor.len();
    }
    assert!(elements <= MAX_BYTES, "{elements} elements");
    let bytes: usize = decoded.inputs.iter().map(bytes).sum();
    assert!(bytes <= 16 * MAX_BYTES, "{bytes} bytes");
}

fn bytes(tensor: &Tensor) -> usize {
    match tensor {
        Tensor::String(texts) => texts.iter().map(String::len).sum(),
        other => other.len() * other.dtype().size().unwrap_or(0),
    }
}

/// Models of one or several inputs, of every type, with fixed, dynamic and unknown shapes.
fn signature(choice: u8) -> Signature {
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
