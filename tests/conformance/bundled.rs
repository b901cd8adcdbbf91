//! The models of this repository: each engine gives the sample output that lies beside them.

use std::path::Path;

use ndarray::Axis;
use scoria::engine::tract::TractEngine;
use scoria::engine::{Engine, Graph, LoadError, LoadOptions};
use scoria::tensor::{DType, Tensor, Value};

use super::{array, support};

/// A bundled model, its sample input by name, and the sample output.
fn bundled(engine: &dyn Engine, name: &str) -> Result<(Vec<Value>, Graph, serde_json::Value), LoadError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).join("1");
    let graph = Graph::read(&folder.join("model.onnx"))?;
    let mut sessions = engine.load(&folder.join("model.onnx"), &graph, &LoadOptions::default())?.sessions;
    let json = |file: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join(file)).expect("the model has a sample");
        serde_json::from_str(&text).expect("the sample is JSON")
    };
    let sample = json("sample_input.json");
    let inputs = graph.signature.inputs.iter().map(|input| {
        let value = sample.get(&input.name).or_else(|| sample.get("data")).expect("the sample gives every input");
        from_json(input.dtype, value)
    });
    let outputs = sessions[0].run(&inputs.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{name}: {error}"));
    Ok((outputs, graph, json("sample_output.json")))
}

fn from_json(dtype: DType, value: &serde_json::Value) -> Tensor {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Some(items) = inner.as_array() {
        shape.push(items.len());
        inner = &items[0];
    }
    let mut leaves = Vec::new();
    flatten(value, &mut leaves);
    match dtype {
        DType::F32 => array(&shape, leaves.iter().map(|leaf| leaf.as_f64().expect("a number") as f32).collect()),
        DType::I64 => array(&shape, leaves.iter().map(|leaf| leaf.as_i64().expect("an integer")).collect()),
        other => panic!("no bundled model takes {other}"),
    }
}

fn flatten<'a>(value: &'a serde_json::Value, leaves: &mut Vec<&'a serde_json::Value>) {
    match value.as_array() {
        Some(items) => items.iter().for_each(|item| flatten(item, leaves)),
        None => leaves.push(value),
    }
}

#[track_caller]
fn assert_close(output: &Value, expected: &serde_json::Value) {
    let mut leaves = Vec::new();
    flatten(expected, &mut leaves);
    match output {
        Value::Tensor(Tensor::F32(got)) => {
            assert_eq!(got.len(), leaves.len());
            assert_eq!(got.len_of(Axis(0)), expected.as_array().map_or(1, Vec::len));
            for (got, leaf) in got.iter().zip(leaves) {
                let expected = leaf.as_f64().expect("a number");
                let error = (f64::from(*got) - expected).abs();
                assert!(error <= 1e-5 * expected.abs().max(1.0), "{got} instead of {expected}");
            }
        }
        Value::Tensor(Tensor::String(got)) => {
            assert!(got.iter().map(String::as_str).eq(leaves.iter().map(|leaf| leaf.as_str().expect("a string"))));
        }
        other => panic!("no bundled model gives {other:?}"),
    }
}

#[track_caller]
fn assert_gives_its_sample(engine: &dyn Engine, name: &str) {
    let (outputs, graph, expected) = bundled(engine, name).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!outputs.is_empty());
    for (output, spec) in outputs.iter().zip(&graph.signature.outputs) {
        assert_close(output, expected.get(&spec.name).unwrap_or(&expected));
    }
}

pub fn ridge_gives_its_sample(engine: &dyn Engine) {
    assert_gives_its_sample(engine, "ridge");
}

pub fn digits_gives_its_sample(engine: &dyn Engine) {
    assert_gives_its_sample(engine, "digits");
}

pub fn text_encoder_gives_its_sample(engine: &dyn Engine) {
    assert_gives_its_sample(engine, "text-encoder");
}

#[test]
fn ort_wine_gives_its_sample() {
    assert_gives_its_sample(&support::ort(), "wine");
}

#[test]
fn tract_refuses_wine_by_operator() {
    let error = bundled(&TractEngine, "wine").expect_err("tract lacks tree ensembles");
    assert!(matches!(&error, LoadError::Unsupported { what, .. } if what.contains("TreeEnsemble")), "{error}");
}
