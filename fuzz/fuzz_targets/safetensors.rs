#![no_main]

mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::decode(scoria::codec::Format::Safetensors, data, None));
