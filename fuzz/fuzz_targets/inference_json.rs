//! Inference requests of the Open Inference Protocol in JSON.

#![no_main]

use scoria_fuzz::inference::{Form, infer};

libfuzzer_sys::fuzz_target!(|data: &[u8]| infer(Form::Json, data));
