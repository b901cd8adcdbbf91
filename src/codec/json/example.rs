//! A body that a model takes, made from its signature: for error answers, documents and the line printed at start.

use super::encode::write_string;
use crate::tensor::{DType, Signature, TensorSpec, element_count};

/// The most elements that an example may have.
const MAX_ELEMENTS: usize = 1_000;

/// A valid body for the model: dynamic dimensions are 1, numbers 0. `{"data": …}` for one input, else each by its name.
///
/// `None` when it would have more than 1,000 elements.
pub fn example_body(signature: &Signature) -> Option<String> {
    let shapes: Vec<Vec<usize>> = signature.inputs.iter().map(TensorSpec::example_shape).collect();
    let elements = shapes.iter().try_fold(0usize, |sum, shape| sum.checked_add(written(shape)?))?;
    if elements > MAX_ELEMENTS {
        return None;
    }
    let single = signature.inputs.len() == 1;
    let mut text = b"{".to_vec();
    for (index, (input, shape)) in signature.inputs.iter().zip(&shapes).enumerate() {
        if index > 0 {
            text.extend_from_slice(b", ");
        }
        write_string(&mut text, if single { "data" } else { &input.name });
        text.extend_from_slice(b": ");
        write_nested(&mut text, input.dtype, shape);
    }
    text.push(b'}');
    String::from_utf8(text).ok()
}

/// A value that an input takes, if it is short.
pub(super) fn value(spec: &TensorSpec) -> Option<String> {
    const SHORT: usize = 16;
    let shape = spec.example_shape();
    written(&shape).filter(|written| *written <= SHORT)?;
    let mut text = Vec::new();
    write_nested(&mut text, spec.dtype, &shape);
    String::from_utf8(text).ok()
}

/// The values and empty lists that a shape is written with.
pub(super) fn written(shape: &[usize]) -> Option<usize> {
    let filled = shape.iter().position(|&size| size == 0).unwrap_or(shape.len());
    element_count(&shape[..filled])
}

fn write_nested(text: &mut Vec<u8>, dtype: DType, shape: &[usize]) {
    let Some((&size, inner)) = shape.split_first() else {
        let value: &[u8] = match dtype {
            DType::Bool => b"false",
            DType::String => b"\"text\"",
            _ if dtype.is_float() => b"0.0",
            _ => b"0",
        };
        return text.extend_from_slice(value);
    };
    text.push(b'[');
    for index in 0..size {
        if index > 0 {
            text.extend_from_slice(b", ");
        }
        write_nested(text, dtype, inner);
    }
    text.push(b']');
}
