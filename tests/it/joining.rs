//! Which requests share runs: those whose rows the operators keep apart, and no others, whoever asks for it.

use std::fs;
use std::sync::Barrier;

use scoria::engine::fake::{FakeEngine, Gate};
use scoria::tensor::DType;
use serde_json::Value as Json;

use crate::server::{Server, Start, identity};
use crate::support::onnx::{Constant, Model, Node, tensor};
use crate::support::{Folder, ort};

/// `y = x − max(0, the greatest of all rows − 1.5)`: it mixes rows, and only large ones show it.
fn greatest() -> Model {
    let kind = || tensor(DType::F32, "N,1");
    Model::new()
        .input("x", kind())
        .output("y", kind())
        .constant("limit", Constant::f32(&[1], &[1.5]))
        .node(Node::new("Sub", &["x", "limit"], &["above"]))
        .node(Node::new("Relu", &["above"], &["excess"]))
        .node(Node::new("ReduceMax", &["excess"], &["most"]).int("keepdims", 0))
        .node(Node::new("Sub", &["x", "most"], &["y"]))
}

/// `y = x` by an operator that nobody knows.
fn unknown() -> Model {
    let kind = || tensor(DType::F32, "N,2");
    Model::new().input("x", kind()).output("y", kind()).node(Node::new("Foo", &["x"], &["y"]).domain("my.ops"))
}

fn deployment(server: &Server, endpoint: &str) -> Json {
    server.admin(&format!("/api/v1/service/{endpoint}")).json()["deployments"][0].clone()
}

/// The verdict of a deployment, the most rows of its runs, and the reason.
fn verdict(server: &Server, endpoint: &str) -> (String, u64, String) {
    let deployment = deployment(server, endpoint);
    let joining = &deployment["row_joining"];
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    (text(&joining["verdict"]), deployment["max_batch"].as_u64().unwrap(), text(&joining["reason"]))
}

#[test]
fn no_answer_depends_on_the_rows_of_other_clients() {
    const ROUNDS: usize = 100;
    for allowed in ["false", "true"] {
        let start = Start::with(ort()).model("greatest", &greatest());
        let settings = [("max_batch_delay_us", "2000"), ("max_batch", "8"), ("allow_rows_to_mix", allowed)];
        let server = settings.into_iter().fold(start, |start, (key, text)| start.set(key, text)).ready();
        let (verdict, max_batch, reason) = verdict(&server, "greatest");
        assert_eq!((verdict.as_str(), max_batch), ("alone", 1), "{reason}");
        // What the operators do not prove, the runs refute.
        let expected = if allowed == "true" { "output 'y' differs" } else { "ReduceMax" };
        assert!(reason.contains(expected), "{reason}");
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (server, barrier) = (&server, &barrier);
                scope.spawn(move || {
                    let mut connection = server.connect();
                    let alone = f64::from(client) - (f64::from(client) - 1.5).max(0.0);
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        let body = format!(r#"{{"data": [[{client}]]}}"#);
                        let answer = connection.request("POST", "/score", &[], body.as_bytes());
                        assert_eq!(answer.json()[0][0].as_f64(), Some(alone), "{}", answer.text());
                    }
                });
            }
        });
    }
}

#[test]
fn what_nobody_knows_is_joined_only_where_that_is_allowed_and_the_status_says_so() {
    let tables = "[endpoints.risky]\nallow_rows_to_mix = true\n[endpoints.single]\nmax_batch = 1";
    let start = Start::with(FakeEngine::echo()).set("max_batch", "4");
    let start = start.model("careful", &unknown()).model("risky", &unknown());
    let server = start.model("known", &identity()).model("single", &identity()).endpoints(tables).ready();
    for (endpoint, expected, max_batch, words) in [
        ("careful", "alone", 1, "'Foo'"),
        ("risky", "at_risk", 4, "answers may depend on other clients' rows"),
        ("known", "joined", 4, "every operator keeps rows apart"),
        ("single", "unused", 1, "max_batch is 1"),
    ] {
        let (verdict, most, reason) = verdict(&server, endpoint);
        assert_eq!((verdict.as_str(), most), (expected, max_batch), "{endpoint}: {reason}");
        assert!(reason.contains(words), "{endpoint}: {reason}");
    }
    assert!(verdict(&server, "risky").2.contains("'Foo'"));
}

#[test]
fn requests_to_an_unproven_model_have_a_run_each_however_many_wait() {
    let gate = Gate::new();
    let engine = FakeEngine::echo().behind(&gate);
    gate.open();
    let start = Start::with(engine.clone()).model("m", &unknown()).set("workers", "1");
    let server = start.set("max_batch", "8").set("execution", "pooled").ready();
    gate.close();
    let before = engine.runs();
    let mut connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut connections {
        let body = br#"{"data": [[1, 2]]}"#;
        let head = format!("POST /score HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.send(&[head.as_bytes(), body].concat());
    }
    server.wait_for_metric(r#"scoria_queue_depth{deployment="default",endpoint="m"}"#, 3.0);
    gate.open();
    connections.iter_mut().for_each(|connection| assert_eq!(connection.answer().unwrap().status, 200));
    assert_eq!(engine.runs(), before + 4);
}

#[test]
fn dynamic_batching_of_a_repository_is_a_wish_and_no_proof() {
    let folder = Folder::new();
    let versions = folder.path().join("scorer/1");
    fs::create_dir_all(&versions).unwrap();
    unknown().write(&versions.join("model.onnx"));
    let config = "max_batch_size: 16\ndynamic_batching { max_queue_delay_microseconds: 100 }\n";
    fs::write(folder.path().join("scorer/config.pbtxt"), config).unwrap();
    let server = Start::with(FakeEngine::echo()).argument(folder.path().display().to_string()).ready();
    let (verdict, max_batch, reason) = verdict(&server, "scorer");
    assert_eq!((verdict.as_str(), max_batch), ("alone", 1), "{reason}");
}
