//! Scoria turns ONNX models into production scoring endpoints.
//!
//! The crate is a library and a thin binary. Modules are layered, imports go down only (`tests/tidy.rs` checks it), and
//! `docs/ARCHITECTURE.md` walks through them. Read on in `http/score.rs`: the product in one function.

pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod control;
pub mod deployment;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod experiment;
pub mod follow;
pub mod grpc;
pub mod http;
pub mod memory;
pub mod moment;
pub mod name;
pub mod objective;
pub mod openapi;
pub mod pbtxt;
pub mod plain_file;
pub mod private_file;
pub mod probe;
pub mod profile;
pub mod provider;
pub mod publish;
pub mod registry;
pub mod rollout;
pub mod schedule;
pub mod shared_memory;
pub mod splitmix;
pub mod telemetry;
pub mod tensor;
pub mod triton;
pub mod webhook;
