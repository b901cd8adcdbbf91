//! An inference request that a model takes, for error answers.

use super::datatype;
use crate::codec::json::encode::write_string;
use crate::tensor::{DType, Shape, Signature, element_count};

/// The most elements that an example may have: it is part of one line of text.
const MAX_ELEMENTS: usize = 32;

/// A valid request for the model: dynamic dimensions are 1, numbers 0. `None` when it would be long.
pub fn example(signature: &Signature) -> Option<String> {
    let elements = signature
        .inputs
        .iter()
        .try_fold(0usize, |sum, input| sum.checked_add(element_count(&input.example_shape())?))?;
    if elements > MAX_ELEMENTS {
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
