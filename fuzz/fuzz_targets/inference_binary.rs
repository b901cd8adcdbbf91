//! Inference requests of the Open Inference Protocol: JSON, and bytes behind it; or bytes alone.

#![no_main]

use scoria_fuzz::inference::{Form, infer};

libfuzzer_sys::fuzz_target!(|data: &[u8]| infer(Form::Binary, data));
