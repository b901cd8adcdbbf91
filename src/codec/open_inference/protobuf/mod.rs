//! The protocol's protobuf messages (`schemas/open_inference.proto`).
//!
//! Requests and answers of inference are read and written by hand, piece by piece ([`Opening`], [`Receiver`], [`encode`]); the
//! rest is generated ([`messages`]), and what is the same over REST is turned into it ([`convert`]). Knows nothing of gRPC.

mod contents;
mod convert;
mod cutter;
mod message;
mod parameters;
mod request;
mod response;
mod wire;

/// Made of `schemas/open_inference.proto` by `build.rs`.
#[allow(clippy::doc_markdown, missing_docs, reason = "generated")]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

pub use message::{Message, ROOM_BYTES};
pub use request::{ModelId, Opening, Receiver};
pub use response::encode;
pub use wire::put_length;

#[cfg(test)]
mod tests;
