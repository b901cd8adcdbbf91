//! POSIX shared memory that clients on this machine have registered: inputs are read from it, outputs written to it.
//!
//! A client names an object below `/dev/shm`, and a part of it as a *region* under a name of its own; requests then name
//! regions. The object is opened once, when it is registered, by a plain name and without following links, so that a request can
//! reach nothing but what was registered. Its memory is never mapped: a client may cut the object off at any moment, and
//! touching a mapped page behind its end would kill the server (SIGBUS), where `pread` only reads less. So there is one copy, from
//! the object into the tensor's own buffer, and what a model computes on cannot change under it.
//!
//! Refuses everything beyond its limits: a number of regions, and their bytes together. Knows nothing of HTTP; called by
//! `http` and `grpc`. Source: Triton's `extension_shared_memory.md`.

mod object;
mod region;
mod registry;

pub use object::InvalidKey;
pub use registry::{Limits, RegionStatus, Registered, SharedMemory, SharedMemoryError};

#[cfg(test)]
mod tests;
