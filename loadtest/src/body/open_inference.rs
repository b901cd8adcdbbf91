//! The Open Inference Protocol (KServe v2), and its extension for binary tensors (Triton's `extension_binary_data.md`).

use super::json::{flat, quoted};
use super::{Body, Tensor};

/// Everything as JSON; elements are flat, the shape tells the rest.
pub fn json(tensors: &[Tensor]) -> String {
    let inputs: Vec<String> =
        tensors.iter().map(|tensor| format!("{{{},\"data\":{}}}", description(tensor), flat(tensor))).collect();
    format!("{{\"inputs\":[{}]}}", inputs.join(","))
}

/// The tensors' bytes follow the JSON, whose length a header tells. The answer is asked for in the same form.
pub fn binary(tensors: &[Tensor]) -> Body {
    let mut inputs = Vec::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let bytes = tensor.bytes();
        let size = bytes.len();
        inputs.push(format!("{{{},\"parameters\":{{\"binary_data_size\":{size}}}}}", description(tensor)));
        data.extend(bytes);
    }
    let head = format!("{{\"inputs\":[{}],\"parameters\":{{\"binary_data_output\":true}}}}", inputs.join(","));
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("inference-header-content-length", head.len().to_string()),
    ];
    Body {
        content: [head.as_bytes(), &data].concat().into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

fn description(tensor: &Tensor) -> String {
    let datatype = tensor.data_type.open_inference();
    format!("\"name\":{},\"shape\":{:?},\"datatype\":\"{datatype}\"", quoted(&tensor.name), tensor.shape)
}
