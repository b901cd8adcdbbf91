//! What sessions of one loaded model have in common, and what not.

use std::sync::Barrier;
use std::thread;

use scoria::engine::{Engine, LoadOptions, RunError};
use scoria::tensor::{DType, Tensor, Value};

use super::support::onnx::{Constant, Model, Node, tensor};
use super::{array, assert_same, binary, load, session, vector};

pub fn a_further_session_has_a_life_of_its_own(engine: &dyn Engine) {
    let mut first = session(engine, &binary("Add", "N", "N", "N"));
    let mut second = first.another().expect("a further session");
    let inputs = [vector(&[1f32]), vector(&[2f32])];
    let interrupt = first.interrupt();
    interrupt.stop();
    assert!(matches!(first.run(&inputs), Err(RunError::Interrupted)));
    assert_same(&second.run(&inputs).expect("the other is not stopped")[0], &vector(&[3f32]));
    interrupt.reset();
    let mut third = second.another().expect("one more");
    drop((first, second));
    assert_same(&third.run(&inputs).expect("it outlives the others")[0], &vector(&[3f32]));
}

/// Bit for bit, at every number of threads and whatever the others are at.
pub fn sessions_at_the_same_time_answer_as_one_alone(engine: &dyn Engine) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let weights: Vec<f32> = (0..96 * 96).map(|i| ((i * 7919) % 1000) as f32 / 777.0 - 0.6).collect();
    let model = Model::new()
        .input("x", tensor(DType::F32, "N,96"))
        .output("y", tensor(DType::F32, "N,96"))
        .constant("w", Constant::f32(&[96, 96], &weights))
        .node(Node::new("MatMul", &["x", "w"], &["xw"]))
        .node(Node::new("Tanh", &["xw"], &["t"]))
        .node(Node::new("MatMul", &["t", "w"], &["tw"]))
        .node(Node::new("Softmax", &["tw"], &["y"]).int("axis", -1));
    let input = |rows: usize| {
        array(&[rows, 96], (0..rows * 96).map(|i| ((i * 104_729) % 997) as f32 / 500.0 - 1.0).collect::<Vec<f32>>())
    };
    for intra_op_threads in [1, cores, cores + 1] {
        let alone = LoadOptions { intra_op_threads, ..LoadOptions::default() };
        let mut alone = load(engine, &model, &alone).unwrap_or_else(|error| panic!("{error}")).sessions.remove(0);
        let cases: Vec<(Tensor, Tensor)> = [1, 2, 33, 128, 300]
            .map(|rows| {
                let Value::Tensor(output) = alone.run(&[input(rows)]).expect("it runs").remove(0) else {
                    panic!("a tensor")
                };
                (input(rows), output)
            })
            .into();
        let options = LoadOptions { sessions: 4, intra_op_threads, ..LoadOptions::default() };
        let together = load(engine, &model, &options).unwrap_or_else(|error| panic!("{error}")).sessions;
        let barrier = Barrier::new(together.len());
        thread::scope(|scope| {
            for (number, mut session) in together.into_iter().enumerate() {
                let (cases, barrier) = (&cases, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for (input, expected) in cases.iter().cycle().skip(number).take(60) {
                        assert_same(&session.run(std::slice::from_ref(input)).expect("it runs")[0], expected);
                    }
                });
            }
        });
    }
}
