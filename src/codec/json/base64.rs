//! Strings as TensorFlow Serving's clients send bytes: `{"b64": "<base64>"}` in the place of a text.
//!
//! A model's strings are UTF-8, so what the base64 holds has to be. Source: TensorFlow Serving's `api_rest.md`, "Encoding
//! binary values".

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::members::{Items, Members};
use super::path::Within;
use super::refusal::wrong_type;
use super::scan::Scanner;
use super::string;
use crate::codec::{DecodeError, DecodeFault};

const KEY: &str = "b64";

/// Padding may be left out, as TensorFlow Serving has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether the value here is such an object, and nothing else.
pub(super) fn is_wrapped(mut scanner: Scanner<'_>) -> Result<bool, DecodeError> {
    if scanner.peek() != Some(b'{') {
        return Ok(false);
    }
    let mut members = Members::open(&mut scanner)?;
    if members.next(&mut scanner)?.as_deref() != Some(KEY) {
        return Ok(false);
    }
    scanner.skip_value()?;
    Ok(members.next(&mut scanner)?.is_none())
}

/// Whether the list here begins with such an object.
pub(super) fn leads(mut scanner: Scanner<'_>) -> Result<bool, DecodeError> {
    let mut items = Items::open(&mut scanner)?;
    Ok(items.next(&mut scanner)? && is_wrapped(scanner)?)
}

/// Reads the object here, which is one.
pub(super) fn take(scanner: &mut Scanner<'_>) -> Result<String, DecodeError> {
    let mut members = Members::open(scanner)?;
    members.next(scanner)?;
    let text = unwrap(scanner).in_member(KEY)?;
    members.next(scanner)?;
    Ok(text)
}

fn unwrap(scanner: &mut Scanner<'_>) -> Result<String, DecodeError> {
    if scanner.peek() != Some(b'"') {
        return Err(wrong_type("a text in base64", scanner.skip_value()?));
    }
    let text = string::take(scanner)?;
    let bytes = BASE64.decode(text.as_bytes()).map_err(|error| {
        let message = format!("this is not base64: {error}");
        DecodeError::new(DecodeFault::WrongType, message).expected("a text in base64")
    })?;
    String::from_utf8(bytes).map_err(|_| {
        let message = "the bytes that this base64 holds are not UTF-8, which the model's strings are";
        DecodeError::new(DecodeFault::WrongType, message).expected("the base64 of a text in UTF-8")
    })
}
