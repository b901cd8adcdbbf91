//! An entry of `map<string, InferParameter>`.

use super::wire::{Field, Fields, WireError};
use crate::codec::open_inference::Parameter;

/// Reads an entry; `None` if it has no value, or one of a kind that is not known here.
///
/// A text that is not UTF-8 is none, and is read as no parameter: what is known of a request is checked, the rest passed over.
pub fn entry(message: &[u8]) -> Result<Option<(String, Parameter)>, WireError> {
    let (mut key, mut value) = (None, None);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(bytes)) => key = str::from_utf8(bytes).ok(),
            (2, Field::Bytes(bytes)) => value = parameter(bytes)?,
            _ => {}
        }
    }
    Ok(key.map(str::to_owned).zip(value))
}

/// The last one given of the choice counts, as everywhere in protobuf.
fn parameter(message: &[u8]) -> Result<Option<Parameter>, WireError> {
    let mut value = None;
    for field in Fields::of(message) {
        value = match field? {
            (1, Field::Varint(number)) => Some(Parameter::Bool(number != 0)),
            (2, Field::Varint(number)) => Some(Parameter::Integer(number.cast_signed().into())),
            (3, Field::Bytes(bytes)) => str::from_utf8(bytes).ok().map(|text| Parameter::Text(text.to_owned())),
            (4, Field::Fixed64(bytes)) => Some(Parameter::Real(f64::from_le_bytes(bytes))),
            (5, Field::Varint(number)) => Some(Parameter::Integer(number.into())),
            _ => value,
        };
    }
    Ok(value)
}
