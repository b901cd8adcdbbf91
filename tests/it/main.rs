//! The whole server, from outside: every test starts a real one on ports of its own and speaks HTTP to it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod authority;
mod client;
mod connections;
mod contract;
mod deployments;
mod dialects;
mod docs;
mod doctor;
mod documents;
mod drain;
mod fleet;
mod gpu;
mod grpc;
mod grpc_client;
mod joining;
mod limits;
mod models;
mod names;
mod open_inference;
mod open_inference_repository;
mod openapi;
mod operations;
mod profile;
mod registered;
mod replicas;
mod rollouts;
mod scheduling;
mod server;
mod shared_memory;
mod tls;
mod tour;
mod triton;
