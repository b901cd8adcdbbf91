//! What the fuzz targets share. A target says which bytes mean what; what has to hold of every input is said here.

pub mod body;
pub mod bounds;
pub mod grpc;
pub mod inference;
pub mod server;
