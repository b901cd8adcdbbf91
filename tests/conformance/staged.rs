//! ONNX Runtime as it runs models on a GPU, on the processor: inputs joined and padded in memory of the session's own, outputs in
//! memory that was there before. The whole suite holds for it, and what it does besides is here.

use std::path::Path;

use scoria::engine::{Buckets, Engine, EngineInfo, Graph, LoadError, LoadOptions, Loaded, RunError, Staging};
use scoria::tensor::{DType, Tensor, Value};

use super::support::onnx::{Constant, Model, Node, tensor};
use super::{array, assert_same, counting, identity, session, support, vector};

/// The engine, with every input copied.
pub struct Staged(pub scoria::engine::ort::OrtEngine);

impl Engine for Staged {
    fn info(&self) -> EngineInfo {
        self.0.info()
    }

    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        self.0.load(path, graph, &LoadOptions { staging: Staging::Always, ..options.clone() })
    }
}

fn staged() -> Staged {
    Staged(support::ort())
}

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
    let x: Vec<f32> = (0..rows * 3).map(|i| (first * 3 + i) as f32 / 10.0).collect();
    [array(&[rows, 3], x), vector(&(0..rows).map(|i| (first + i) as i64).collect::<Vec<_>>())]
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
                assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got} is not {expected}");
            }
            _ => assert_eq!(got, expected),
        }
    }
}

#[test]
fn every_number_of_rows_is_answered_as_without_padding() {
    let mut plain = session(&support::ort(), &network());
    let mut padded = session(&staged(), &network());
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

#[test]
fn requests_are_joined_in_order() {
    for buckets in [None, Some(Buckets::up_to(16))] {
        let mut plain = session(&support::ort(), &network());
        let mut joining = session(&staged(), &network()).another().expect("a further session");
        buckets.into_iter().for_each(|buckets| joining.allow_padding(buckets));
        let requests = [request(2, 0), request(1, 50), request(4, 70)];
        let parts: Vec<&[Tensor]> = requests.iter().map(|request| request.as_slice()).collect();
        let expected = tensors(plain.run_joined(&parts).expect("it runs"));
        assert_eq!(expected[1], vector(&[0i64, 1, 50, 70, 71, 72, 73]));
        assert_close(&tensors(joining.run_joined(&parts).expect("it runs")), &expected);
    }
}

#[test]
fn what_does_not_go_together_is_a_failure_and_the_session_lives_on() {
    let mut session = session(&staged(), &identity(DType::F32, "N,L"));
    let [wide, narrow] = [[counting(DType::F32, &[1, 3])], [counting(DType::F32, &[1, 2])]];
    let outcome = session.run_joined(&[&wide, &narrow]);
    assert!(matches!(outcome, Err(RunError::Failed(_))), "{outcome:?}");
    let outcome = session.run_joined(&[&narrow, &[counting(DType::I64, &[1, 2])]]);
    assert!(matches!(outcome, Err(RunError::Failed(_))), "{outcome:?}");
    assert_same(&session.run(&wide).expect("it runs")[0], &wide[0]);
    let texts = [[counting(DType::String, &[2])], [counting(DType::String, &[1])]];
    let mut session = super::session(&staged(), &identity(DType::String, "N"));
    session.allow_padding(Buckets::up_to(8));
    let joined = session.run_joined(&[&texts[0], &texts[1]]).expect("texts are joined as well");
    assert_same(&joined[0], &vector(&["s0", "s1", "s0"].map(str::to_owned)));
}

/// The model says that its output has three columns, and gives as many as the input's values say.
#[test]
fn an_output_of_another_shape_than_declared_is_answered_as_it_is() {
    let model = Model::new()
        .input("shape", tensor(DType::I64, "N"))
        .output("y", tensor(DType::F32, "3"))
        .node(Node::new("ConstantOfShape", &["shape"], &["y"]));
    let mut session = session(&staged(), &model);
    for columns in [3i64, 5, 3, 2] {
        let outputs = session.run(&[vector(&[columns])]).expect("it runs");
        assert_same(&outputs[0], &vector(&vec![0f32; columns as usize]));
    }
}

/// What the runtime computes when it loads the model is an output like any other.
#[test]
fn outputs_that_no_run_computes_are_in_their_memory_all_the_same() {
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
    let mut session = session(&staged(), &model);
    for round in 0..3 {
        let x = array(&[2, 2], (0..4).map(|i| (round * 4 + i) as f32).collect());
        let y = array(&[2, 2], (0..4).map(|i| (round * 4 + i) as f32 + [1.5, -2.0][i % 2]).collect());
        let outputs = session.run(std::slice::from_ref(&x)).expect("it runs");
        for (output, expected) in outputs.iter().zip([&y, &vector(&[1.5f32, -2.0]), &vector(&[3f32, -4.0]), &x]) {
            assert_same(output, expected);
        }
    }
}

/// The sum over all rows: padding would change it, and nothing may have the model padded. If something does all the same, an output
/// without rows gives it away.
#[test]
fn an_output_without_rows_ends_padding() {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("y", tensor(DType::F32, "1"))
        .node(Node::new("ReduceSum", &["x"], &["y"]).int("keepdims", 1));
    let mut session = session(&staged(), &model);
    session.allow_padding(Buckets::up_to(8));
    for _ in 0..2 {
        assert_same(&session.run(&[vector(&[1f32, 2.0, 3.0])]).expect("it runs")[0], &vector(&[6f32]));
    }
}
