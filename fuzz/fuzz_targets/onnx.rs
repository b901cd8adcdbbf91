//! Model files, as far as we read them ourselves: the graph's signature, and where its weights lie.

#![no_main]

use std::path::Path;

use scoria::codec::json;
use scoria::engine::Graph;
use scoria_fuzz::bounds;

/// The most elements of a made-up request.
const MAX_ELEMENTS: usize = 1 << 12;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    // An attribute of two bytes becomes a structure of more than a hundred, in a list that grows by doubling.
    let graph = bounds::within(512 * file.len() + (64 << 10), || {
        Graph::parse(file, Path::new("/there/is/no/such/folder/model.onnx"))
    });
    let Ok(graph) = graph else { return };
    // Nothing lies in a folder that does not exist, so every path that leads to something leads out of it.
    assert_eq!(graph.external_files, Vec::<std::path::PathBuf>::new());
    if let Some(body) = json::example_body(&graph.signature) {
        serde_json::from_str::<serde::de::IgnoredAny>(&body).expect("an example is JSON");
    }
    if let Some(inputs) = graph.signature.example_inputs(MAX_ELEMENTS) {
        assert!(inputs.iter().map(|tensor| tensor.len()).sum::<usize>() <= MAX_ELEMENTS);
    }
});
