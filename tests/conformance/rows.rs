//! What holds for sessions that copy, join and pad rows, wherever they compute: cases of an engine, beside ONNX Runtime as it runs
//! models on the processor.

use std::thread;

use ndarray::{ArrayD, IxDyn};
use scoria::engine::{Buckets, Engine, Graph, LoadOptions, Session};
use scoria::tensor::{DType, Element, Tensor, Value};

use crate::support::onnx::{Constant, Model, Node, tensor};
use crate::support::{self, Folder};

/// How far a GPU may round otherwise than the processor, for numbers below 100.
const TOLERANCE: f32 = 1e-4;

/// A model whose rows are independent, and whose answers tell them apart.
fn network() -> Model {
    let weights: Vec<f32> = (0..12).map(|i| i as f32 / 7.0 - 0.8).collect();
    Model::new()
        .input("x", tensor(DType::F32, "N,3"))
        .input("count", tensor(DType::I64, "N"))
        .output("y", tensor(DType::F32, "N,4"))
        .output("same", tensor(DType::I64, "N"))
        .constant("w", Constant::f32(&[3, 4], &weights))
        .node(Node::new("MatMul", &["x", "w"], &["xw"]))
        .node(Node::new("Tanh", &["xw"], &["y"]))
        .node(Node::new("Identity", &["count"], &["same"]))
}

/// As many rows, different from those of another `first`.
fn request(rows: usize, first: usize) -> [Tensor; 2] {
    let x: Vec<f32> = (0..rows * 3).map(|i| ((first * 3 + i) % 89) as f32 / 20.0 - 2.0).collect();
    [array(&[rows, 3], x), array(&[rows], (0..rows).map(|i| (first + i) as i64).collect())]
}

fn array<T: Element>(shape: &[usize], values: Vec<T>) -> Tensor {
    T::wrap(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape has room for"))
}

fn session(engine: &dyn Engine, model: &Model) -> Box<dyn Session> {
    session_with(engine, model, &LoadOptions::default())
}

fn session_with(engine: &dyn Engine, model: &Model, options: &LoadOptions) -> Box<dyn Session> {
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    model.write(&path);
    let graph = Graph::read(&path).expect("a graph");
    let loaded = engine.load(&path, &graph, options);
    loaded.unwrap_or_else(|error| panic!("the model loads: {error}")).sessions.remove(0)
}

fn tensors(outputs: Vec<Value>) -> Vec<Tensor> {
    let tensor = |value| if let Value::Tensor(tensor) = value { tensor } else { panic!("a tensor") };
    outputs.into_iter().map(tensor).collect()
}

#[track_caller]
fn assert_close(got: &[Tensor], expected: &[Tensor]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got.shape(), expected.shape());
        match (got, expected) {
            (Tensor::F32(got), Tensor::F32(expected)) => {
                assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < TOLERANCE), "{got} is not {expected}");
            }
            _ => assert_eq!(got, expected),
        }
    }
}

pub fn every_number_of_rows_is_answered_as_without_padding(engine: &dyn Engine) {
    let mut plain = session(&support::ort(), &network());
    let mut padded = session(engine, &network());
    padded.allow_padding(Buckets::up_to(6));
    // Twice, so that memory is used that others have left their rows in.
    for rows in (1..=9).chain(1..=9) {
        let inputs = request(rows, rows * 100);
        let expected = tensors(plain.run(&inputs).expect("it runs"));
        assert_close(&tensors(padded.run(&inputs).expect("it runs padded")), &expected);
    }
    let none = request(0, 0);
    assert_eq!(tensors(padded.run(&none).expect("no rows")), tensors(plain.run(&none).expect("no rows")));
}

/// Each size has a graph of its own, and what is larger than all of them the one for any.
pub fn sizes_of_their_own_answer_as_any(engine: &dyn Engine) {
    let buckets = Buckets::at_most(3, 8);
    let mut plain = session(&support::ort(), &network());
    let options = LoadOptions { sizes: Some(buckets), ..LoadOptions::default() };
    let mut sized = session_with(engine, &network(), &options).another().expect("a further session");
    sized.allow_padding(buckets);
    for rows in (1..=10).rev().chain(1..=10) {
        let inputs = request(rows, rows * 100);
        let expected = tensors(plain.run(&inputs).expect("it runs"));
        assert_close(&tensors(sized.run(&inputs).expect("it runs in a size of its own")), &expected);
    }
}

pub fn requests_are_joined_in_order(engine: &dyn Engine) {
    for buckets in [None, Some(Buckets::up_to(16))] {
        let mut plain = session(&support::ort(), &network());
        let mut joining = session(engine, &network()).another().expect("a further session");
        buckets.into_iter().for_each(|buckets| joining.allow_padding(buckets));
        let requests = [request(2, 0), request(1, 50), request(4, 70)];
        let parts: Vec<&[Tensor]> = requests.iter().map(|request| request.as_slice()).collect();
        let expected = tensors(plain.run_joined(&parts).expect("it runs"));
        assert_eq!(expected[1], array(&[7], vec![0i64, 1, 50, 70, 71, 72, 73]));
        assert_close(&tensors(joining.run_joined(&parts).expect("it runs")), &expected);
    }
}

/// What the runtime computes when it loads the model is an output like any other.
pub fn outputs_that_no_run_computes_are_in_their_memory_all_the_same(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N,2"))
        .output("y", tensor(DType::F32, "N,2"))
        .output("weights", tensor(DType::F32, "2"))
        .output("folded", tensor(DType::F32, "2"))
        .output("copied", tensor(DType::F32, "N,2"))
        .constant("weights", Constant::f32(&[2], &[1.5, -2.0]))
        .node(Node::new("Add", &["weights", "weights"], &["folded"]))
        .node(Node::new("Add", &["x", "weights"], &["y"]))
        .node(Node::new("Identity", &["x"], &["copied"]));
    let mut session = session(engine, &model);
    for round in 0..3 {
        let x = array(&[2, 2], (0..4).map(|i| (round * 4 + i) as f32).collect());
        let y = array(&[2, 2], (0..4).map(|i| (round * 4 + i) as f32 + [1.5, -2.0][i % 2]).collect());
        let outputs = tensors(session.run(std::slice::from_ref(&x)).expect("it runs"));
        assert_eq!(outputs, [y, array(&[2], vec![1.5f32, -2.0]), array(&[2], vec![3f32, -4.0]), x]);
    }
}

/// Sessions of one graph, each with memory of its own.
pub fn sessions_at_the_same_time_answer_as_one_alone(engine: &dyn Engine) {
    let mut plain = session(&support::ort(), &network());
    let first = session(engine, &network());
    thread::scope(|scope| {
        for number in 0..4 {
            let mut own = first.another().expect("a further session");
            let inputs = request(7 + number, number * 1000);
            let expected = tensors(plain.run(&inputs).expect("it runs"));
            scope.spawn(move || {
                for _ in 0..200 {
                    assert_close(&tensors(own.run(&inputs).expect("it runs")), &expected);
                }
            });
        }
    });
}
