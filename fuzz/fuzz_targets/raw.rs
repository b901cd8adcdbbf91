//! Raw tensors, and the header that gives their shapes.

#![no_main]

use scoria::codec::Format;
use scoria_fuzz::body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The header's text comes first, ended by a newline; without one there is no header.
    let newline = data.iter().position(|&byte| byte == b'\n');
    let (shape, body) = newline.map_or((None, data), |at| (std::str::from_utf8(&data[..at]).ok(), &data[at + 1..]));
    body::decode(Format::Raw, body, shape);
});
