//! What several dialects refuse alike, worded once.
//!
//! Makes errors only; the checks are where the facts are.

use super::{DecodeError, DecodeFault, EncodeError, Format};
use crate::tensor::{Shape, Signature, Tensor, TensorSpec, Value, ValueType};

/// The most characters of a sender's own words that a refusal repeats.
const QUOTED_MAX_CHARS: usize = 200;

/// A sender's own words, printable and not too many: names and headers can be as long as the body.
pub fn quoted(words: &str) -> String {
    let mut quoted: String = words.chars().take(QUOTED_MAX_CHARS).collect();
    if quoted.len() < words.len() {
        quoted.push('…');
    }
    quoted.replace(char::is_control, " ")
}

/// A body that is not what it claims to be.
pub fn malformed(message: impl Into<String>) -> DecodeError {
    DecodeError::new(DecodeFault::Malformed, message)
}

/// The body holds another element type than the input has. `remedy` is an instruction: `convert it with …`.
pub fn wrong_type(spec: &TensorSpec, got: &str, remedy: &str) -> DecodeError {
    let message = format!("input '{}' takes {}, the body holds {got}; {remedy}", spec.name, spec.dtype);
    DecodeError::new(DecodeFault::WrongType, message).at(&spec.name).expected(spec.dtype.name()).got(got)
}

/// The body's shape is none that the input can have. `why` is one clause.
pub fn wrong_shape(spec: &TensorSpec, shape: &[usize], why: impl std::fmt::Display) -> DecodeError {
    let message = format!("input '{}' cannot have the shape {}: {why}", spec.name, Shape(shape));
    DecodeError::new(DecodeFault::WrongShape, message)
        .at(&spec.name)
        .expected(spec.to_string())
        .got(Shape(shape).to_string())
}

/// Refuses a shape of too many dimensions.
pub fn check_rank(spec: &TensorSpec, rank: usize, max_rank: usize) -> Result<(), DecodeError> {
    if rank <= max_rank {
        return Ok(());
    }
    let message = format!("input '{}': at most {max_rank} dimensions are accepted, not {rank}", spec.name);
    Err(DecodeError::new(DecodeFault::WrongShape, message)
        .at(&spec.name)
        .expected(spec.to_string())
        .got(format!("{rank} dimensions")))
}

/// The body names something that is no input.
pub fn unknown_input(signature: &Signature, name: &str) -> DecodeError {
    let name = quoted(name);
    let message = format!("the model has no input '{name}'; its inputs are {}", input_names(signature));
    DecodeError::new(DecodeFault::WrongInputs, message).at(&name).expected(input_names(signature)).got(name)
}

/// The body names an input twice.
pub fn repeated_input(name: &str) -> DecodeError {
    DecodeError::new(DecodeFault::WrongInputs, format!("input '{name}' is given twice")).at(name)
}

/// The body leaves an input out.
pub fn missing_input(signature: &Signature, spec: &TensorSpec) -> DecodeError {
    let message = format!("input '{}' ({spec}) is missing; the inputs are {}", spec.name, input_names(signature));
    DecodeError::new(DecodeFault::WrongInputs, message).at(&spec.name).expected(input_names(signature))
}

/// A body of too few or too many bytes.
pub fn wrong_length(message: impl Into<String>, expected: usize, got: impl std::fmt::Display) -> DecodeError {
    malformed(message).expected(format!("{expected} bytes")).got(format!("{got} bytes"))
}

/// The outputs by name, if all are tensors: no binary form has sequences and maps.
pub fn only_tensors(
    outputs: Vec<Value>,
    signature: &Signature,
    format: Format,
) -> Result<Vec<(&str, Tensor)>, EncodeError> {
    let named = outputs.into_iter().zip(&signature.outputs).map(|(value, spec)| match value {
        Value::Tensor(tensor) => Ok((spec.name.as_str(), tensor)),
        Value::Sequence(_) | Value::Map { .. } => {
            let kind = match spec.value {
                ValueType::Map { .. } => "map",
                _ => "sequence",
            };
            Err(EncodeError::NotRepresentable(format!(
                "output '{}' is a {kind} ({}), which {} cannot carry; ask for application/json",
                spec.name,
                spec.value,
                format.media_type(),
            )))
        }
    });
    named.collect()
}

/// `'a', 'b'`.
fn input_names(signature: &Signature) -> String {
    let names: Vec<String> = signature.inputs.iter().map(|input| format!("'{}'", input.name)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
