//! What only a GPU can show. Where there is none, or its libraries are not, each case is reported as skipped with the reason: a
//! program of its own, since the test harness knows tests that pass and no others that ran.

#![allow(clippy::print_stdout, reason = "what is skipped has to be seen")]

#[path = "conformance/rows.rs"]
mod rows;
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ndarray::{ArrayD, IxDyn};
use scoria::engine::ort::OrtEngine;
use scoria::engine::{Engine, EngineInfo, Graph, LoadError, LoadOptions, Loaded};
use scoria::provider::ProviderOptions;
use scoria::tensor::{DType, Element};
use support::Folder;
use support::onnx::{Constant, Model, Node, tensor};

/// The engine on a GPU, rounding as the processor does as far as it can.
struct OnGpu {
    engine: OrtEngine,
    /// Of CUDA's provider.
    options: &'static str,
}

const PLAIN: &str = "cuda.use_tf32=0";
const RECORDED: &str = "cuda.use_tf32=0,cuda.enable_cuda_graph=1";

impl Engine for OnGpu {
    fn info(&self) -> EngineInfo {
        self.engine.info()
    }

    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        // Single operators may go to the processor, the model as a whole may not.
        let providers = vec!["cuda".to_owned(), "cpu".to_owned()];
        let provider_options = ProviderOptions::parse(self.options).map_err(LoadError::Provider)?;
        let loaded = self.engine.load(path, graph, &LoadOptions { providers, provider_options, ..options.clone() })?;
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

/// A recording fails if any thread allocates on the GPU meanwhile, and that thread with it, unless they are told to leave each other
/// alone.
fn recordings_and_other_models_leave_each_other_alone() {
    let engine = |options| OnGpu { engine: support::ort(), options };
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    let kind = || tensor(DType::F32, "N,64");
    let weights: Vec<f32> = (0..64 * 64).map(|i| (i % 7) as f32 / 100.0).collect();
    let mut model =
        Model::new().input("x", kind()).output("y", kind()).constant("w", Constant::f32(&[64, 64], &weights));
    let names: Vec<String> = (0..100).map(|i| format!("z{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        let from = if i == 0 { "x" } else { &names[i - 1] };
        model = model.node(Node::new("MatMul", &[from, "w"], &[name]));
    }
    model.node(Node::new("Tanh", &["z99"], &["y"])).write(&path);
    let graph = Graph::read(&path).expect("a graph");
    let load = |options| engine(options).load(&path, &graph, &LoadOptions::default()).expect("it loads");
    let input = |rows: usize| [f32::wrap(ArrayD::from_elem(IxDyn(&[rows, 64]), 0.5))];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let growing = scope.spawn(|| {
            let mut runs = 0;
            while !is_over.load(Ordering::Acquire) {
                // Each size takes more of the GPU's memory than there has been.
                let mut plain = load(PLAIN).sessions.remove(0);
                for rows in [100, 1_000, 10_000, 50_000] {
                    plain.run(&input(rows)).expect("it runs while others record");
                    runs += 1;
                }
            }
            runs
        });
        for _ in 0..10 {
            let mut recorded = load(RECORDED).sessions.remove(0);
            for rows in 1..=8 {
                recorded.run(&input(rows)).expect("it is recorded while others allocate");
                recorded.run(&input(rows)).expect("it is replayed");
            }
        }
        is_over.store(true, Ordering::Release);
        assert!(growing.join().expect("no panic") > 0);
    });
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
    let absence = absence(&OnGpu { engine: support::ort(), options: PLAIN });
    let tell = |name: &str, run: &dyn Fn()| match &absence {
        Some(reason) => println!("test gpu::{name} ... skipped: {reason}"),
        None => {
            run();
            println!("test gpu::{name} ... ok");
        }
    };
    for (kind, options) in [("plain", PLAIN), ("recorded", RECORDED)] {
        let engine = OnGpu { engine: support::ort(), options };
        for (name, case) in CASES {
            tell(&format!("{kind}::{name}"), &|| case(&engine));
        }
    }
    let alone = "recordings_and_other_models_leave_each_other_alone";
    tell(alone, &recordings_and_other_models_leave_each_other_alone);
}
