//! What only a GPU can show. Where there is none, or its libraries are not, each case is reported as skipped with the reason: a
//! program of its own, since the test harness knows tests that pass and no others that ran.

#![allow(clippy::print_stdout, reason = "what is skipped has to be seen")]

#[path = "conformance/rows.rs"]
mod rows;
mod support;

use std::path::Path;

use scoria::engine::ort::OrtEngine;
use scoria::engine::{Engine, EngineInfo, Graph, LoadError, LoadOptions, Loaded};
use scoria::provider::ProviderOptions;
use scoria::tensor::DType;
use support::Folder;
use support::onnx::{Model, Node, tensor};

/// The engine on a GPU, rounding as the processor does as far as it can.
struct OnGpu(OrtEngine);

impl Engine for OnGpu {
    fn info(&self) -> EngineInfo {
        self.0.info()
    }

    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        // Single operators may go to the processor, the model as a whole may not.
        let providers = vec!["cuda".to_owned(), "cpu".to_owned()];
        let provider_options = ProviderOptions::parse("cuda.use_tf32=0").map_err(LoadError::Provider)?;
        let loaded = self.0.load(path, graph, &LoadOptions { providers, provider_options, ..options.clone() })?;
        match loaded.missing_providers.first() {
            Some((_, reason)) => Err(LoadError::Provider(reason.clone())),
            None => Ok(loaded),
        }
    }
}

/// Why there is no GPU to be had, if that is so.
fn absence(engine: &dyn Engine) -> Option<String> {
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    let kind = || tensor(DType::F32, "N");
    Model::new().input("x", kind()).output("y", kind()).node(Node::new("Neg", &["x"], &["y"])).write(&path);
    let graph = Graph::read(&path).expect("a graph");
    match engine.load(&path, &graph, &LoadOptions::default()) {
        Ok(loaded) => {
            assert_eq!((loaded.devices, loaded.providers), (1, vec!["cuda".to_owned(), "cpu".to_owned()]));
            None
        }
        Err(LoadError::Provider(reason)) => Some(reason),
        Err(error) => panic!("{error}"),
    }
}

type Case = fn(&dyn Engine);

const CASES: [(&str, Case); 5] = [
    ("every_number_of_rows_is_answered_as_without_padding", rows::every_number_of_rows_is_answered_as_without_padding),
    ("sizes_of_their_own_answer_as_any", rows::sizes_of_their_own_answer_as_any),
    ("requests_are_joined_in_order", rows::requests_are_joined_in_order),
    (
        "outputs_that_no_run_computes_are_in_their_memory_all_the_same",
        rows::outputs_that_no_run_computes_are_in_their_memory_all_the_same,
    ),
    ("sessions_at_the_same_time_answer_as_one_alone", rows::sessions_at_the_same_time_answer_as_one_alone),
];

fn main() {
    let engine = OnGpu(support::ort());
    let absence = absence(&engine);
    for (name, case) in CASES {
        match &absence {
            Some(reason) => println!("test gpu::{name} ... skipped: {reason}"),
            None => {
                case(&engine);
                println!("test gpu::{name} ... ok");
            }
        }
    }
}
