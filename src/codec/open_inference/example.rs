//! An inference request that a model takes, for error answers and documents.

use super::datatype;
use crate::codec::json::encode::write_string;
use crate::tensor::{DType, Shape, Signature, element_count};

/// The most elements that an example in an error may have: it is part of one line of text.
pub const ERROR_ELEMENTS_MAX: usize = 32;

/// The most elements that an example in a document may have.
pub const DOCUMENT_ELEMENTS_MAX: usize = 1_000;

/// A valid request for the model: dynamic dimensions are 1, numbers 0. `None` when it would have more than `max_elements`.
pub fn example(signature: &Signature, max_elements: usize) -> Option<String> {
    let elements = signature
        .inputs
        .iter()
        .try_fold(0usize, |sum, input| sum.checked_add(element_count(&input.example_shape())?))?;
    if elements > max_elements {
        return None;
    }
    let mut text = b"{\"inputs\": [".to_vec();
    for (index, input) in signature.inputs.iter().enumerate() {
        let shape = input.example_shape();
        let element = match input.dtype {
            DType::Bool => "false",
            DType::String => "\"text\"",
            dtype if dtype.is_float() => "0.0",
            _ => "0",
        };
        let data = vec![element; element_count(&shape)?].join(", ");
        text.extend_from_slice(if index > 0 { b", {\"name\": " } else { b"{\"name\": " });
        write_string(&mut text, &input.name);
        let (datatype, shape) = (datatype::name(input.dtype), Shape(&shape));
        text.extend_from_slice(
            format!(", \"datatype\": \"{datatype}\", \"shape\": {shape}, \"data\": [{data}]}}").as_bytes(),
        );
    }
    text.extend_from_slice(b"]}");
    String::from_utf8(text).ok()
}
