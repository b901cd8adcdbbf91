//! Scoria turns ONNX models into production scoring endpoints.

//pub mod codec;
pub mod auth;
pub mod config;
pub mod engine;
pub mod error;
pub mod name;
pub mod schedule;
pub mod telemetry;
pub mod tensor;
