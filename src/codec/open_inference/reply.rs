//! The answer to an inference request: JSON, and behind it the bytes of the outputs that are wanted in binary form.

use std::sync::Arc;

use bytes::Bytes;

use super::carried::{into_tensor, output_bytes};
use super::classification::classify;
use super::config::is_batched;
use super::datatype;
use super::region::Regions;
use super::wanted::{Wanted, WantedOutput};
use crate::codec::json::encode::{write_flat, write_string};
use crate::codec::{EncodeError, Policy};
use crate::tensor::{Signature, Tensor, Value};

/// Who answers what.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    /// The model's name, as the client gave it.
    pub model_name: &'a str,
    pub model_version: u64,
    /// The request's id; none if empty.
    pub id: &'a str,
    pub signature: &'a Signature,
    /// For each output, the names of its classes, where they are known; shorter if none of the rest has any.
    pub labels: &'a [Option<Arc<[String]>>],
}

/// An answer's body.
#[derive(Debug)]
pub struct InferReply {
    /// The JSON, then the outputs' own memory.
    pub parts: Vec<Bytes>,
    /// The length of the JSON, if anything follows it.
    pub json_bytes: Option<usize>,
}

/// Writes the wanted outputs; `outputs` are all of the model's, in the signature's order.
pub fn encode(
    outputs: Vec<Value>,
    wanted: &Wanted,
    answering: &Answering<'_>,
    policy: &Policy,
    regions: &dyn Regions,
) -> Result<InferReply, EncodeError> {
    let mut outputs: Vec<Option<Value>> = outputs.into_iter().map(Some).collect();
    let mut text = Vec::with_capacity(256);
    let mut parts = vec![Bytes::new()];
    text.extend_from_slice(b"{\"model_name\":");
    write_string(&mut text, answering.model_name);
    text.extend_from_slice(b",\"model_version\":\"");
    text.extend_from_slice(itoa::Buffer::new().format(answering.model_version).as_bytes());
    text.push(b'"');
    if !answering.id.is_empty() {
        text.extend_from_slice(b",\"id\":");
        write_string(&mut text, answering.id);
    }
    text.extend_from_slice(b",\"outputs\":[");
    for (place, output) in wanted.outputs.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        let value = outputs.get_mut(output.index).and_then(Option::take);
        let value = value.expect("a wanted output is one of the model's, and wanted once");
        let name = &answering.signature.outputs[output.index].name;
        let tensor = tensor(value, output, answering)?;
        write_head(&mut text, name, &tensor);
        if let Some(region) = &output.region {
            // Clients take any parameters here for a sign that bytes follow.
            regions.write(region, name, &output_bytes(tensor, name)?)?;
        } else if output.binary {
            let bytes = output_bytes(tensor, name)?;
            text.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            text.extend_from_slice(itoa::Buffer::new().format(bytes.len()).as_bytes());
            text.push(b'}');
            parts.push(bytes);
        } else {
            text.extend_from_slice(b",\"data\":");
            write_flat(&mut text, &tensor, policy)
                .map_err(|value| EncodeError::NonFinite { output: name.clone(), value })?;
        }
        text.push(b'}');
    }
    text.extend_from_slice(b"]}");
    let has_bytes = parts.iter().any(|part| !part.is_empty());
    let json_bytes = has_bytes.then_some(text.len());
    parts[0] = text.into();
    Ok(InferReply { parts, json_bytes })
}

/// The output as it is wanted: its values, or their classes.
pub(super) fn tensor(value: Value, output: &WantedOutput, answering: &Answering<'_>) -> Result<Tensor, EncodeError> {
    let signature = answering.signature;
    let spec = &signature.outputs[output.index];
    let carried = into_tensor(value, spec)?;
    match output.classes {
        0 => Ok(carried.tensor),
        classes => {
            let known = answering.labels.get(output.index).and_then(Option::as_deref);
            let labels = known.or(carried.labels.as_deref()).unwrap_or_default();
            classify(&carried.tensor, labels, &spec.name, classes, is_batched(signature))
        }
    }
}

fn write_head(text: &mut Vec<u8>, name: &str, tensor: &Tensor) {
    text.extend_from_slice(b"{\"name\":");
    write_string(text, name);
    text.extend_from_slice(b",\"datatype\":\"");
    text.extend_from_slice(datatype::name(tensor.dtype()).as_bytes());
    text.extend_from_slice(b"\",\"shape\":[");
    for (axis, size) in tensor.shape().iter().enumerate() {
        if axis > 0 {
            text.push(b',');
        }
        text.extend_from_slice(itoa::Buffer::new().format(*size).as_bytes());
    }
    text.push(b']');
}
