//! Inference requests as gRPC has them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scoria_fuzz::grpc::decode(data));
