//! ONNX Runtime as it runs models on a GPU, on the processor: inputs joined and padded in memory of the session's own, outputs in
//! memory that was there before. The whole suite holds for it, and what it does besides is here and in `rows`.

use std::path::Path;

use scoria::engine::ort::OrtEngine;
use scoria::engine::{Buckets, Engine, EngineInfo, Graph, LoadError, LoadOptions, Loaded, RunError, Staging};
use scoria::tensor::DType;

use super::support::onnx::{Model, Node, tensor};
use super::{assert_same, counting, identity, rows, session, support, vector};

/// The engine, with every input copied.
pub struct Staged(OrtEngine, Staging);

impl Staged {
    /// Into the session's own memory.
    pub fn always() -> Staged {
        Staged(support::ort(), Staging::Always)
    }

    /// And from there to where the first run had it.
    pub fn replayed() -> Staged {
        Staged(support::ort(), Staging::Replayed)
    }
}

impl Engine for Staged {
    fn info(&self) -> EngineInfo {
        self.0.info()
    }

    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        self.0.load(path, graph, &LoadOptions { staging: self.1, ..options.clone() })
    }
}

const BOTH: [fn() -> Staged; 2] = [Staged::always, Staged::replayed];

#[test]
fn every_number_of_rows_is_answered_as_without_padding() {
    BOTH.iter().for_each(|staged| rows::every_number_of_rows_is_answered_as_without_padding(&staged()));
}

#[test]
fn sizes_of_their_own_answer_as_any() {
    BOTH.iter().for_each(|staged| rows::sizes_of_their_own_answer_as_any(&staged()));
}

#[test]
fn requests_are_joined_in_order() {
    BOTH.iter().for_each(|staged| rows::requests_are_joined_in_order(&staged()));
}

#[test]
fn outputs_that_no_run_computes_are_in_their_memory_all_the_same() {
    BOTH.iter().for_each(|staged| rows::outputs_that_no_run_computes_are_in_their_memory_all_the_same(&staged()));
}

#[test]
fn sessions_at_the_same_time_answer_as_one_alone() {
    BOTH.iter().for_each(|staged| rows::sessions_at_the_same_time_answer_as_one_alone(&staged()));
}

/// More of them than are recorded.
#[test]
fn any_number_of_shapes_is_answered() {
    let mut session = session(&Staged::replayed(), &identity(DType::F32, "N,3"));
    for rows in (1..=40).chain(1..=40) {
        let input = counting(DType::F32, &[rows, 3]);
        assert_same(&session.run(std::slice::from_ref(&input)).expect("it runs")[0], &input);
    }
}

#[test]
fn what_does_not_go_together_is_a_failure_and_the_session_lives_on() {
    let mut session = session(&Staged::always(), &identity(DType::F32, "N,L"));
    let [wide, narrow] = [[counting(DType::F32, &[1, 3])], [counting(DType::F32, &[1, 2])]];
    let outcome = session.run_joined(&[&wide, &narrow]);
    assert!(matches!(outcome, Err(RunError::Failed(_))), "{outcome:?}");
    let outcome = session.run_joined(&[&narrow, &[counting(DType::I64, &[1, 2])]]);
    assert!(matches!(outcome, Err(RunError::Failed(_))), "{outcome:?}");
    assert_same(&session.run(&wide).expect("it runs")[0], &wide[0]);
    let texts = [[counting(DType::String, &[2])], [counting(DType::String, &[1])]];
    let mut session = super::session(&Staged::always(), &identity(DType::String, "N"));
    session.allow_padding(Buckets::up_to(8));
    let joined = session.run_joined(&[&texts[0], &texts[1]]).expect("texts are joined as well");
    assert_same(&joined[0], &vector(&["s0", "s1", "s0"].map(str::to_owned)));
}

/// The model says that its output has three elements, and gives as many as the input's values say.
#[test]
fn an_output_of_another_shape_than_declared_is_answered_as_it_is() {
    let model = Model::new()
        .input("shape", tensor(DType::I64, "N"))
        .output("y", tensor(DType::F32, "3"))
        .node(Node::new("ConstantOfShape", &["shape"], &["y"]));
    let mut session = session(&Staged::always(), &model);
    for columns in [3i64, 5, 3, 2] {
        let outputs = session.run(&[vector(&[columns])]).expect("it runs");
        assert_same(&outputs[0], &vector(&vec![0f32; columns as usize]));
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
    let mut session = session(&Staged::always(), &model);
    session.allow_padding(Buckets::up_to(8));
    for _ in 0..2 {
        assert_same(&session.run(&[vector(&[1f32, 2.0, 3.0])]).expect("it runs")[0], &vector(&[6f32]));
    }
}
