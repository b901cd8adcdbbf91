//! The registry over every kind of store: what it promises, under faults, and with many writers at once.
//!
//! `SCORIA_TEST_REGISTRIES` may name more stores by URL, separated by commas; `tests/real` names emulators of S3 and Azure Blob
//! there. Each test uses a place of its own in them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cache;
mod commands;
mod conformance;
mod deleting;
mod faults;
mod faulty;
mod places;
mod racing;
#[path = "../support/mod.rs"]
mod support;
