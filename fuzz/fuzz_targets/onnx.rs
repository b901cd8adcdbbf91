//! Model files, as far as we read them ourselves: what a server makes of a graph, and what the doctor tells of a file.

#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use scoria::codec::json;
use scoria::engine::{Graph, Inventory};
use scoria_fuzz::bounds;

/// The most elements of a made-up request.
const MAX_ELEMENTS: usize = 1 << 12;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    // An attribute of two bytes becomes a structure of more than a hundred, in a list that grows by doubling.
    let bytes_allowed = 512 * file.len() + (64 << 10);
    let graph = bounds::within(bytes_allowed, || Graph::parse(file, Path::new("/there/is/no/such/folder/model.onnx")));
    if let Ok(graph) = &graph {
        check(graph);
    }
    let (_open, path) = in_memory(file);
    let inventory = bounds::within(bytes_allowed, || Inventory::read(&path));
    // The doctor tells of whatever is a graph at all, and agrees with the server on what it takes.
    let seen = inventory.as_ref().ok().and_then(|inventory| inventory.signature.as_ref().ok());
    assert!(graph.is_err() || seen == graph.as_ref().ok().map(|graph| &graph.signature));
});

fn check(graph: &Graph) {
    // Nothing lies in a folder that does not exist, so every path that leads to something leads out of it.
    assert!(graph.external_files.is_empty(), "{:?}", graph.external_files);
    if let Some(body) = json::example_body(&graph.signature) {
        serde_json::from_str::<serde::de::IgnoredAny>(&body).expect("an example is JSON");
    }
    if let Some(inputs) = graph.signature.example_inputs(MAX_ELEMENTS) {
        assert!(inputs.iter().map(|tensor| tensor.len()).sum::<usize>() <= MAX_ELEMENTS);
    }
}

/// A file that is on no disk, for as long as it is open.
fn in_memory(bytes: &[u8]) -> (File, PathBuf) {
    let mut file = File::from(memfd_create("model", MemfdFlags::CLOEXEC).expect("memory is there"));
    file.write_all(bytes).expect("memory can be written");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    (file, path.into())
}
