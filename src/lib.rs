//! Scoria turns ONNX models into production scoring endpoints.

pub mod codec;
pub mod engine;
pub mod error;
pub mod tensor;
