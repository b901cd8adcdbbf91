//! The bundled models, over HTTP, on both engines: the job the product exists for.

use std::path::Path;

use scoria::engine::Engine;
use scoria::engine::tract::TractEngine;
use serde_json::Value as Json;

use crate::server::{Start, bundled};

fn sample(name: &str, file: &str) -> Vec<u8> {
    std::fs::read(bundled(name).join("1").join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"))
}

/// Texts and structure exactly, numbers to 1e-4.
fn assert_close(got: &Json, expected: &Json) {
    match (got, expected) {
        (Json::Array(got), Json::Array(expected)) => {
            assert_eq!(got.len(), expected.len());
            got.iter().zip(expected).for_each(|(got, expected)| assert_close(got, expected));
        }
        (Json::Object(got), Json::Object(expected)) => {
            assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            got.values().zip(expected.values()).for_each(|(got, expected)| assert_close(got, expected));
        }
        (Json::Number(got), Json::Number(expected)) => {
            let (got, expected) = (got.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((got - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{got} is not {expected}");
        }
        (got, expected) => assert_eq!(got, expected),
    }
}

fn gives_its_sample(engine: impl Engine + 'static, name: &str) {
    let server = Start::with(engine).argument(bundled(name).display().to_string()).ready();
    let answer = server.post(&format!("/api/v1/service/{name}/score"), sample(name, "sample_input.json"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_close(&answer.json(), &serde_json::from_slice(&sample(name, "sample_output.json")).unwrap());
}

#[test]
fn every_model_gives_its_sample_on_onnx_runtime() {
    for name in ["ridge", "digits", "wine", "text-encoder"] {
        gives_its_sample(crate::support::ort(), name);
    }
}

#[test]
fn every_model_but_the_trees_gives_its_sample_on_tract() {
    for name in ["ridge", "digits", "text-encoder"] {
        gives_its_sample(TractEngine, name);
    }
}

#[test]
fn a_repository_is_served_whole_and_what_an_engine_lacks_is_reported() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let server = Start::with(TractEngine).argument(repository.display().to_string()).ready();
    let states = server.admin("/readyz").json()["endpoints"].clone();
    assert_eq!(
        states,
        serde_json::json!({"digits": "ready", "ridge": "ready", "text-encoder": "ready", "wine": "failed"})
    );
    let told = server.admin("/api/v1/service/wine").json();
    assert!(told["reason"].as_str().unwrap().contains("use ONNX Runtime"), "{told}");
}
