//! Bodies of this format.

#![no_main]

use scoria::codec::Format;
use scoria_fuzz::body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::decode(Format::Csv, data, None));
