//! What a run of a bundled model costs on each engine, and what joining rows into a batch and taking them apart again adds.
//!
//! `ridge` is a product of ten numbers: its time is that of the call. ONNX Runtime is found as the tests find it.

#![allow(clippy::unwrap_used, reason = "a benchmark stops by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use scoria::engine::tract::TractEngine;
use scoria::engine::{Engine, Graph, LoadOptions};
use scoria::tensor::{Dim, Element, Tensor, join_rows, split_rows};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn rows(count: usize, dims: &[Dim]) -> Tensor {
    let sizes = dims[1..].iter().map(|dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Dynamic(_) => 1,
    });
    let shape: Vec<usize> = std::iter::once(count).chain(sizes).collect();
    f32::wrap(ArrayD::from_elem(IxDyn(&shape), 0.5))
}

fn calls(criterion: &mut Criterion) {
    let ort = support::ort();
    let engines: [(&str, &dyn Engine); 2] = [("ort", &ort), ("tract", &TractEngine)];
    for model in ["ridge", "digits"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join("1/model.onnx");
        let graph = Graph::read(&path).unwrap();
        let dims = graph.signature.inputs[0].dims.clone().unwrap();
        let mut group = criterion.benchmark_group(format!("run/{model}"));
        for (name, engine) in engines {
            let mut session = engine.load(&path, &graph, &LoadOptions::default()).unwrap().sessions.remove(0);
            for count in [1, 32] {
                let inputs = [rows(count, &dims)];
                group.throughput(Throughput::Elements(count as u64));
                group.bench_function(BenchmarkId::new(name, count), |bencher| {
                    bencher.iter(|| session.run(black_box(&inputs)).unwrap());
                });
            }
        }
        group.finish();
    }
}

fn batches(criterion: &mut Criterion) {
    for (name, width) in [("10 columns", 10), ("784 columns", 784)] {
        let dims = [Dim::Dynamic(None), Dim::Fixed(width)];
        let parts: Vec<Tensor> = (0..32).map(|_| rows(1, &dims)).collect();
        let parts: Vec<&Tensor> = parts.iter().collect();
        let (joined, sizes) = (join_rows(&parts).unwrap(), [1; 32]);
        let mut group = criterion.benchmark_group(format!("32 rows of {name}"));
        group.bench_function("join", |bencher| bencher.iter(|| join_rows(black_box(&parts)).unwrap()));
        group.bench_function("split", |bencher| bencher.iter(|| split_rows(black_box(&joined), &sizes).unwrap()));
        group.finish();
    }
}

criterion_group!(benches, calls, batches);
criterion_main!(benches);
