//! Tests of JSON bodies, and what they share: signatures in short, and requests.

pub(in crate::codec) mod dialects;
mod hostile;
mod numbers;
mod random;
mod remedies;
mod round_trip;
mod runs;

use crate::codec::{DecodeError, Decoded, Dialect, ExtraColumns, NonFiniteOutput, NullInput, Policy, Request};
use crate::tensor::{DType, Dim, OutputSpec, Signature, TensorSpec, ValueType};

/// A tensor's spec from `float32[N, 10]`; `float32[…]` has no rank.
pub(in crate::codec) fn spec(name: &str, text: &str) -> TensorSpec {
    let (dtype, dims) = parse_type(text);
    TensorSpec { name: name.to_owned(), dtype, dims }
}

fn parse_type(text: &str) -> (DType, Option<Vec<Dim>>) {
    let (dtype, dims) = text.split_once('[').expect("a type has brackets");
    let dtype = DType::ALL.into_iter().find(|known| known.name() == dtype).expect("a known type");
    let dims = match dims.strip_suffix(']').expect("a type ends with a bracket") {
        "…" => None,
        dims => Some(dims.split(", ").filter(|dim| !dim.is_empty()).map(dim).collect()),
    };
    (dtype, dims)
}

fn dim(text: &str) -> Dim {
    match text.parse() {
        Ok(size) => Dim::Fixed(size),
        Err(_) => Dim::Dynamic((text != "?").then(|| text.to_owned())),
    }
}

pub(in crate::codec) fn signature(inputs: &[(&str, &str)]) -> Signature {
    Signature { inputs: inputs.iter().map(|(name, text)| spec(name, text)).collect(), outputs: Vec::new() }
}

pub(in crate::codec) fn outputs(outputs: &[(&str, &str)]) -> Signature {
    let output = |(name, text): &(&str, &str)| {
        let (dtype, dims) = parse_type(text);
        OutputSpec { name: (*name).to_owned(), value: ValueType::Tensor { dtype, dims } }
    };
    Signature { inputs: Vec::new(), outputs: outputs.iter().map(output).collect() }
}

pub(in crate::codec) const POLICY: Policy = Policy {
    null_input: NullInput::Reject,
    extra_columns: ExtraColumns::Refuse,
    non_finite_output: NonFiniteOutput::Null,
    max_elements: 1 << 24,
    max_rank: 64,
    max_json_depth: 64,
};

fn decode_with(signature: &Signature, policy: Policy, body: &[u8]) -> Result<Decoded, DecodeError> {
    let max_bytes = body.len();
    super::decode(body, Request { signature, policy, announced_bytes: None, max_bytes, raw_shape: None })
}

fn decode_in(dialect: Dialect, signature: &Signature, body: &str) -> Result<Decoded, DecodeError> {
    let (body, max_bytes) = (body.as_bytes(), body.len());
    super::decode_as(
        dialect,
        body,
        Request { signature, policy: POLICY, announced_bytes: None, max_bytes, raw_shape: None },
    )
}

fn decode(signature: &Signature, body: impl AsRef<[u8]>) -> Result<Decoded, DecodeError> {
    decode_with(signature, POLICY, body.as_ref())
}
