//! Queries that stand for a JSON body.

#![no_main]

use scoria::codec::{Format, json};
use scoria_fuzz::{body, bounds};
use serde_json::value::RawValue;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [model, query @ ..] = data else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    // A name of one letter becomes a member, with its place in an index.
    let bytes_allowed = 256 * query.len() + (16 << 10);
    // What stands for a query is always a JSON object, whatever the query.
    let json = bounds::within(bytes_allowed, || json::from_query(query));
    assert!(json.starts_with('{') && json.ends_with('}'));
    // serde_json gives up on what is nested more than 127 deep, which our own decoder refuses as well.
    if json.bytes().filter(|byte| b"[{".contains(byte)).count() < 127 {
        serde_json::from_str::<&RawValue>(&json).expect("JSON, even if a number is beyond any type");
    }
    body::decode(Format::Json, &[&[*model, 255], json.as_bytes()].concat(), None);
});
