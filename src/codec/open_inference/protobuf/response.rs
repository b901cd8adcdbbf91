//! `ModelInferResponse`, written such that an output goes from the engine's buffer to the socket without being copied.

use bytes::Bytes;

use super::message::{Message, ROOM_BYTES};
use super::wire::{put_bytes, put_length, put_varint, varint_bytes};
use crate::codec::EncodeError;
use crate::codec::open_inference::reply::tensor;
use crate::codec::open_inference::{Answering, Regions, Wanted, datatype, output_bytes};
use crate::tensor::Value;

const MODEL_NAME: u32 = 1;
const MODEL_VERSION: u32 = 2;
const ID: u32 = 3;
const OUTPUTS: u32 = 5;
const RAW_OUTPUT_CONTENTS: u32 = 6;

/// Outputs of fewer bytes are copied to what stands before them: that costs less than a frame of their own.
const OWN_PART_BYTES_MIN: usize = 4 * 1024;

/// Writes the outputs that are wanted, in that order, each with its elements in `raw_output_contents`; of one that goes to shared
/// memory there are none.
pub fn encode(
    outputs: Vec<Value>,
    wanted: &Wanted,
    answering: &Answering<'_>,
    regions: &dyn Regions,
) -> Result<Message, EncodeError> {
    let mut outputs: Vec<Option<Value>> = outputs.into_iter().map(Some).collect();
    let mut head = vec![0; ROOM_BYTES];
    put_bytes(&mut head, MODEL_NAME, answering.model_name.as_bytes());
    put_bytes(&mut head, MODEL_VERSION, itoa::Buffer::new().format(answering.model_version).as_bytes());
    put_bytes(&mut head, ID, answering.id.as_bytes());
    let mut contents = Vec::with_capacity(wanted.outputs.len());
    for output in &wanted.outputs {
        let value = outputs.get_mut(output.index).and_then(Option::take);
        let value = value.expect("a wanted output is one of the model's, and wanted once");
        let name = &answering.signature.outputs[output.index].name;
        let tensor = tensor(value, output, answering)?;
        put_output(&mut head, name, datatype::name(tensor.dtype()), tensor.shape());
        let bytes = output_bytes(tensor, name)?;
        contents.push(match &output.region {
            Some(region) => regions.write(region, name, &bytes).map(|()| Bytes::new())?,
            None => bytes,
        });
    }
    Ok(put_contents(head, contents))
}

fn put_output(head: &mut Vec<u8>, name: &str, datatype: &str, shape: &[usize]) {
    let shape_bytes: usize = shape.iter().map(|&size| varint_bytes(size as u64)).sum();
    // Each with a tag of one byte.
    let field_bytes = |bytes: usize| if bytes == 0 { 0 } else { 1 + varint_bytes(bytes as u64) + bytes };
    put_length(head, OUTPUTS, field_bytes(name.len()) + field_bytes(datatype.len()) + field_bytes(shape_bytes));
    put_bytes(head, 1, name.as_bytes());
    put_bytes(head, 2, datatype.as_bytes());
    if shape_bytes > 0 {
        put_length(head, 3, shape_bytes);
        shape.iter().for_each(|&size| put_varint(head, size as u64));
    }
}

fn put_contents(head: Vec<u8>, contents: Vec<Bytes>) -> Message {
    let mut message = Message { head, rest: Vec::new() };
    let mut tail = Vec::new();
    for bytes in contents {
        let out = if message.rest.is_empty() { &mut message.head } else { &mut tail };
        put_length(out, RAW_OUTPUT_CONTENTS, bytes.len());
        if bytes.len() < OWN_PART_BYTES_MIN {
            out.extend_from_slice(&bytes);
        } else {
            if !tail.is_empty() {
                message.rest.push(std::mem::take(&mut tail).into());
            }
            message.rest.push(bytes);
        }
    }
    if !tail.is_empty() {
        message.rest.push(tail.into());
    }
    message
}
