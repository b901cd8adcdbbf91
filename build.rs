//! Makes Rust of the protobuf definitions in `schemas/`, by a compiler that is itself Rust: no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const FOLDER: &str = "schemas";
    let files = ["open_inference.proto", "health.proto"].map(|name| format!("{FOLDER}/{name}"));
    for file in ["build.rs", &files[0], &files[1]] {
        println!("cargo::rerun-if-changed={file}");
    }
    let definitions = protox::compile(&files, [FOLDER])?;
    // Ordered, so that an answer is the same bytes every time.
    prost_build::Config::new().btree_map(["."]).compile_fds(definitions)?;
    Ok(())
}
