//! One suite over every engine: the same model and the same inputs give the same answers.
//!
//! Each case is a function of an engine and becomes one test per engine: `ort::…`, `staged::…` (ONNX Runtime with its inputs copied,
//! as for a GPU), `replayed::…` (as for runs that are recorded there) and `tract::…`. `alone` has what only one of them can do and what
//! the other says instead, `bundled` the models of this repository, `sharing` what sessions share. Nothing is ever skipped: without
//! ONNX Runtime the cases that need it fail and say how to get it.

#[path = "conformance/alone.rs"]
mod alone;
#[path = "conformance/bundled.rs"]
mod bundled;
#[path = "conformance/rows.rs"]
mod rows;
#[path = "conformance/sharing.rs"]
mod sharing;
#[path = "conformance/staged.rs"]
mod staged_alone;
mod support;

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use bundled::{digits_gives_its_sample, ridge_gives_its_sample, text_encoder_gives_its_sample};
use half::{bf16, f16};
use ndarray::{Array1, ArrayD, IxDyn};
use scoria::engine::tract::TractEngine;
use scoria::engine::{Engine, Graph, GraphError, LoadError, LoadOptions, Loaded, RunError, Session};
use scoria::tensor::{DType, Element, Tensor, Value};
use sharing::{a_further_session_has_a_life_of_its_own, sessions_at_the_same_time_answer_as_one_alone};
use staged_alone::Staged;
use support::Folder;
use support::onnx::{Constant, Model, Node, tensor};

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod ort {
            $(#[test]
            fn $case() {
                super::$case(&super::support::ort());
            })*
        }

        mod staged {
            $(#[test]
            fn $case() {
                super::$case(&super::Staged::always());
            })*
        }

        mod replayed {
            $(#[test]
            fn $case() {
                super::$case(&super::Staged::replayed());
            })*
        }

        mod tract {
            $(#[test]
            fn $case() {
                super::$case(&super::TractEngine);
            })*
        }
    };
}

suite! {
    identity_keeps_every_type_and_shape,
    extreme_values_survive,
    inputs_and_outputs_are_matched_by_name_and_position,
    names_may_hold_anything,
    unnamed_dimensions_take_any_size,
    named_dimensions_take_any_size,
    products_are_right,
    a_fixed_batch_is_served,
    defaults_among_the_inputs_are_not_asked_for,
    an_input_may_be_an_output,
    an_input_may_be_used_twice,
    a_model_may_have_no_inputs,
    sizes_may_be_an_output,
    weights_beside_the_model_are_found,
    dimensions_that_do_not_fit_are_rejected_and_the_session_lives_on,
    an_index_out_of_range_is_rejected_and_the_session_lives_on,
    a_division_by_zero_is_rejected,
    outputs_beyond_the_limit_are_not_copied_and_the_session_lives_on,
    a_long_run_is_interrupted_and_the_session_lives_on,
    a_stop_before_the_run_holds_until_reset,
    a_run_remembers_nothing_of_the_one_before,
    sessions_run_in_parallel,
    a_further_session_has_a_life_of_its_own,
    sessions_at_the_same_time_answer_as_one_alone,
    files_that_are_no_models_are_refused,
    a_model_that_contradicts_itself_is_refused,
    a_missing_file_is_refused,
    providers_fall_back_only_where_the_list_says_so,
    ridge_gives_its_sample,
    digits_gives_its_sample,
    text_encoder_gives_its_sample,
}

// ---- how a case is run ----

fn load(engine: &dyn Engine, model: &Model, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    model.write(&path);
    engine.load(&path, &Graph::read(&path)?, options)
}

fn session(engine: &dyn Engine, model: &Model) -> Box<dyn Session> {
    let loaded = load(engine, model, &LoadOptions::default());
    let mut loaded = loaded.unwrap_or_else(|error| panic!("the model loads: {error}"));
    assert_eq!((loaded.providers, loaded.missing_providers), (vec!["cpu".to_owned()], Vec::new()));
    assert_eq!(loaded.sessions.len(), 1);
    loaded.sessions.remove(0)
}

fn refusal(engine: &dyn Engine, model: &Model) -> LoadError {
    load(engine, model, &LoadOptions::default()).err().expect("the model is refused")
}

fn run(engine: &dyn Engine, model: &Model, inputs: &[Tensor]) -> Vec<Value> {
    session(engine, model).run(inputs).unwrap_or_else(|error| panic!("the run succeeds: {error}"))
}

fn array<T: Element>(shape: &[usize], values: Vec<T>) -> Tensor {
    T::wrap(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape has room for"))
}

fn vector<T: Element>(values: &[T]) -> Tensor {
    T::wrap(Array1::from_vec(values.to_vec()).into_dyn())
}

/// A tensor with a different value at each place, as far as its type goes.
fn counting(dtype: DType, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    macro_rules! counting {
        ($($variant:ident: $index:ident => $value:expr),* $(,)?) => {
            match dtype {
                $(DType::$variant => array(shape, (0..count).map(|$index| $value).collect()),)*
            }
        };
    }
    counting! {
        Bool: i => i % 2 == 0, I8: i => i as i8, I16: i => i as i16, I32: i => i as i32, I64: i => i as i64,
        U8: i => i as u8, U16: i => i as u16, U32: i => i as u32, U64: i => i as u64,
        F16: i => f16::from_f32(i as f32 + 0.5), BF16: i => bf16::from_f32(i as f32 + 0.5),
        F32: i => i as f32 + 0.5, F64: i => i as f64 + 0.5, String: i => format!("s{i}"),
    }
}

/// The elements in a form in which every NaN equals itself and no other.
fn bits(tensor: &Tensor) -> Vec<String> {
    fn all<T>(array: &ArrayD<T>, bits: impl Fn(&T) -> String) -> Vec<String> {
        let elements = array.as_slice().expect("tensors are row-major, those of engines too");
        elements.iter().map(bits).collect()
    }
    match tensor {
        Tensor::Bool(a) => all(a, bool::to_string),
        Tensor::I8(a) => all(a, i8::to_string),
        Tensor::I16(a) => all(a, i16::to_string),
        Tensor::I32(a) => all(a, i32::to_string),
        Tensor::I64(a) => all(a, i64::to_string),
        Tensor::U8(a) => all(a, u8::to_string),
        Tensor::U16(a) => all(a, u16::to_string),
        Tensor::U32(a) => all(a, u32::to_string),
        Tensor::U64(a) => all(a, u64::to_string),
        Tensor::F16(a) => all(a, |x| x.to_bits().to_string()),
        Tensor::BF16(a) => all(a, |x| x.to_bits().to_string()),
        Tensor::F32(a) => all(a, |x| x.to_bits().to_string()),
        Tensor::F64(a) => all(a, |x| x.to_bits().to_string()),
        Tensor::String(a) => all(a, String::clone),
    }
}

#[track_caller]
fn assert_same(got: &Value, expected: &Tensor) {
    let Value::Tensor(got) = got else { panic!("{got:?} is not a tensor") };
    assert_eq!((got.dtype(), got.shape()), (expected.dtype(), expected.shape()));
    assert_eq!(bits(got), bits(expected), "{}", got.dtype());
}

fn served(engine: &dyn Engine) -> impl Iterator<Item = DType> {
    let lacks_bf16 = engine.info().name == "tract";
    DType::ALL.into_iter().filter(move |dtype| !(lacks_bf16 && *dtype == DType::BF16))
}

fn dims_of(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn identity(dtype: DType, dims: &str) -> Model {
    let model = Model::new().input("x", tensor(dtype, dims)).output("y", tensor(dtype, dims));
    model.node(Node::new("Identity", &["x"], &["y"]))
}

fn binary(op: &str, left: &str, right: &str, out: &str) -> Model {
    Model::new()
        .input("a", tensor(DType::F32, left))
        .input("b", tensor(DType::F32, right))
        .output("y", tensor(DType::F32, out))
        .node(Node::new(op, &["a", "b"], &["y"]))
}

// ---- values and shapes ----

fn identity_keeps_every_type_and_shape(engine: &dyn Engine) {
    let shapes: [&[usize]; 6] = [&[], &[0], &[3], &[2, 0, 3], &[1, 2, 1, 3, 1, 2], &[1, 2, 1, 1, 2, 1, 1, 2]];
    for dtype in served(engine) {
        for shape in shapes {
            let input = counting(dtype, shape);
            // A size of 0 is left open: a model whose only input is always empty is refused.
            let dims = dims_of(shape).replace('0', "n");
            let outputs = run(engine, &identity(dtype, &dims), std::slice::from_ref(&input));
            assert_eq!(outputs.len(), 1);
            assert_same(&outputs[0], &input);
        }
    }
}

fn extreme_values_survive(engine: &dyn Engine) {
    let quiet_nan = f32::from_bits(0x7fc1_2345);
    let mut tensors = vec![
        vector(&[i8::MIN, i8::MAX]),
        vector(&[i16::MIN, i16::MAX]),
        vector(&[i32::MIN, i32::MAX]),
        vector(&[i64::MIN, i64::MAX, -1, (1 << 53) + 1]),
        vector(&[u8::MAX, 0]),
        vector(&[u16::MAX, 0]),
        vector(&[u32::MAX, 0]),
        vector(&[u64::MAX, u64::MAX - 1, 0]),
        vector(&[f16::MAX, f16::MIN, f16::INFINITY, f16::NEG_INFINITY, f16::NAN, f16::NEG_ZERO, f16::from_bits(1)]),
        vector(&[quiet_nan, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, f32::from_bits(1)]),
        vector(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::from_bits(1)]),
        vector(&["", " ", "naïve 名前 🦀", "a\nb\t\"c\"", &"long ".repeat(1000)].map(str::to_owned)),
    ];
    if served(engine).any(|dtype| dtype == DType::BF16) {
        tensors.push(vector(&[bf16::MAX, bf16::INFINITY, bf16::NAN, bf16::NEG_ZERO, bf16::from_bits(1)]));
    }
    for input in tensors {
        let outputs = run(engine, &identity(input.dtype(), "N"), std::slice::from_ref(&input));
        assert_same(&outputs[0], &input);
    }
}

fn inputs_and_outputs_are_matched_by_name_and_position(engine: &dyn Engine) {
    let model = Model::new()
        .input("text", tensor(DType::String, "N"))
        .input("flag", tensor(DType::Bool, "N"))
        .input("number", tensor(DType::F64, "N,2"))
        .output("number_out", tensor(DType::F64, "N,2"))
        .output("text_out", tensor(DType::String, "N"))
        .output("flag_out", tensor(DType::Bool, "N"))
        .node(Node::new("Identity", &["flag"], &["flag_out"]))
        .node(Node::new("Identity", &["text"], &["text_out"]))
        .node(Node::new("Identity", &["number"], &["number_out"]));
    let inputs = [counting(DType::String, &[3]), counting(DType::Bool, &[3]), counting(DType::F64, &[3, 2])];
    let outputs = run(engine, &model, &inputs);
    assert_eq!(outputs.len(), 3);
    for (output, input) in outputs.iter().zip([&inputs[2], &inputs[0], &inputs[1]]) {
        assert_same(output, input);
    }
}

fn names_may_hold_anything(engine: &dyn Engine) {
    let names = ["a b", "scope/layer:0", "naïve 名前", "x.y-z", "\"quoted\" {brace}"];
    for name in names {
        let out = format!("{name} out");
        let model = Model::new()
            .input(name, tensor(DType::F32, "N"))
            .output(&out, tensor(DType::F32, "N"))
            .node(Node::new("Identity", &[name], &[&out]));
        let input = counting(DType::F32, &[2]);
        assert_same(&run(engine, &model, std::slice::from_ref(&input))[0], &input);
    }
}

fn unnamed_dimensions_take_any_size(engine: &dyn Engine) {
    let mut session = session(engine, &identity(DType::F32, "?,2,?"));
    for shape in [[1, 2, 3], [4, 2, 0], [1, 2, 1], [0, 2, 5]] {
        let input = counting(DType::F32, &shape);
        assert_same(&session.run(std::slice::from_ref(&input)).expect("it runs")[0], &input);
    }
}

fn named_dimensions_take_any_size(engine: &dyn Engine) {
    let mut session = session(engine, &binary("Add", "N,2", "N,2", "N,2"));
    for rows in [1, 0, 3, 1, 1000] {
        let input = counting(DType::F32, &[rows, 2]);
        let expected = (0..rows * 2).map(|i| 2.0 * (i as f32 + 0.5)).collect();
        assert_same(&session.run(&[input.clone(), input]).expect("it runs")[0], &array(&[rows, 2], expected));
    }
}

fn products_are_right(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N,3"))
        .output("y", tensor(DType::F32, "N,2"))
        .constant("w", Constant::f32(&[3, 2], &[1., 2., 3., 4., 5., 6.]))
        .constant("b", Constant::f32(&[2], &[0.5, -0.5]))
        .node(Node::new("MatMul", &["x", "w"], &["xw"]))
        .node(Node::new("Add", &["xw", "b"], &["y"]));
    let outputs = run(engine, &model, &[array(&[2, 3], vec![1f32, 0., 2., -1., 1., 0.])]);
    assert_same(&outputs[0], &array(&[2, 2], vec![11.5f32, 13.5, 2.5, 1.5]));
}

fn a_fixed_batch_is_served(engine: &dyn Engine) {
    let input = counting(DType::F32, &[4, 2]);
    let expected = array(&[4, 2], (0..8).map(|i| 2.0 * i as f32 + 1.0).collect());
    let outputs = run(engine, &binary("Add", "4,2", "4,2", "4,2"), &[input.clone(), input]);
    assert_same(&outputs[0], &expected);
}

fn defaults_among_the_inputs_are_not_asked_for(engine: &dyn Engine) {
    // Listed before the real input, as well as after it, so that positions would be off by one.
    for ir_version in [3, 8] {
        let model = Model::new()
            .ir_version(ir_version)
            .input("bias", tensor(DType::F32, "2"))
            .input("x", tensor(DType::F32, "N,2"))
            .input("scale", tensor(DType::F32, "2"))
            .output("y", tensor(DType::F32, "N,2"))
            .constant("scale", Constant::f32(&[2], &[2., 3.]))
            .constant("bias", Constant::f32(&[2], &[10., 20.]))
            .node(Node::new("Mul", &["x", "scale"], &["scaled"]))
            .node(Node::new("Add", &["scaled", "bias"], &["y"]));
        let outputs = run(engine, &model, &[array(&[1, 2], vec![1f32, 1.])]);
        assert_same(&outputs[0], &array(&[1, 2], vec![12f32, 23.]));
    }
}

fn an_input_may_be_an_output(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("double", tensor(DType::F32, "N"))
        .output("x", tensor(DType::F32, "N"))
        .node(Node::new("Add", &["x", "x"], &["double"]));
    let outputs = run(engine, &model, &[vector(&[1f32, 2.])]);
    assert_same(&outputs[0], &vector(&[2f32, 4.]));
    assert_same(&outputs[1], &vector(&[1f32, 2.]));
}

fn an_input_may_be_used_twice(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("square", tensor(DType::F32, "N"))
        .output("same", tensor(DType::F32, "N"))
        .node(Node::new("Mul", &["x", "x"], &["square"]))
        .node(Node::new("Identity", &["x"], &["same"]));
    let outputs = run(engine, &model, &[vector(&[3f32, -4.])]);
    assert_same(&outputs[0], &vector(&[9f32, 16.]));
    assert_same(&outputs[1], &vector(&[3f32, -4.]));
}

fn a_model_may_have_no_inputs(engine: &dyn Engine) {
    let model = Model::new()
        .output("y", tensor(DType::I64, "3"))
        .node(Node::new("Constant", &[], &["c"]).tensor("value", Constant::i64(&[3], &[1, 2, 3])))
        .node(Node::new("Identity", &["c"], &["y"]));
    let mut session = session(engine, &model);
    for _ in 0..2 {
        assert_same(&session.run(&[]).expect("it runs")[0], &vector(&[1i64, 2, 3]));
    }
}

fn sizes_may_be_an_output(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N,3"))
        .output("sizes", tensor(DType::I64, "2"))
        .node(Node::new("Shape", &["x"], &["sizes"]));
    let mut session = session(engine, &model);
    for rows in [5i64, 0, 1] {
        let input = counting(DType::F32, &[rows as usize, 3]);
        assert_same(&session.run(&[input]).expect("it runs")[0], &vector(&[rows, 3]));
    }
}

fn weights_beside_the_model_are_found(engine: &dyn Engine) {
    let model = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("y", tensor(DType::F32, "?"))
        .constant("w", Constant::external(DType::F32, &[2], "weights.bin"))
        .node(Node::new("Mul", &["x", "w"], &["y"]));
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    model.write(&path);
    std::fs::write(folder.path().join("weights.bin"), [3f32, 5.].map(f32::to_le_bytes).concat()).expect("written");
    let loaded = engine.load(&path, &Graph::read(&path).expect("a graph"), &LoadOptions::default());
    let mut sessions = loaded.unwrap_or_else(|error| panic!("{error}")).sessions;
    let outputs = sessions[0].run(&[vector(&[2f32, 2.])]).expect("it runs");
    assert_same(&outputs[0], &vector(&[6f32, 10.]));
}

// ---- failures, and that the session survives them ----

fn dimensions_that_do_not_fit_are_rejected_and_the_session_lives_on(engine: &dyn Engine) {
    let mut session = session(engine, &binary("Add", "N", "M", "?"));
    for _ in 0..2 {
        let outcome = session.run(&[counting(DType::F32, &[2]), counting(DType::F32, &[3])]);
        assert!(matches!(outcome, Err(RunError::Rejected(_))), "{outcome:?}");
        let outputs = session.run(&[vector(&[1f32, 2.]), vector(&[10f32, 20.])]).expect("it runs");
        assert_same(&outputs[0], &vector(&[11f32, 22.]));
    }
    let outputs = session.run(&[vector(&[1f32]), vector(&[10f32, 20.])]).expect("one is stretched to many");
    assert_same(&outputs[0], &vector(&[11f32, 21.]));
}

fn an_index_out_of_range_is_rejected_and_the_session_lives_on(engine: &dyn Engine) {
    let model = Model::new()
        .input("index", tensor(DType::I64, "N"))
        .output("row", tensor(DType::F32, "N,2"))
        .constant("table", Constant::f32(&[3, 2], &[0., 1., 10., 11., 20., 21.]))
        .node(Node::new("Gather", &["table", "index"], &["row"]));
    let mut session = session(engine, &model);
    for index in [3, -4, i64::MAX, i64::MIN] {
        let outcome = session.run(&[vector(&[0, index])]);
        assert!(matches!(outcome, Err(RunError::Rejected(_))), "{index}: {outcome:?}");
        let outputs = session.run(&[vector(&[2i64, -3])]).expect("it runs");
        assert_same(&outputs[0], &array(&[2, 2], vec![20f32, 21., 0., 1.]));
    }
}

fn outputs_beyond_the_limit_are_not_copied_and_the_session_lives_on(engine: &dyn Engine) {
    // Two outputs of n elements each.
    let model = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("y", tensor(DType::F32, "N"))
        .output("z", tensor(DType::F32, "N"))
        .node(Node::new("Neg", &["x"], &["y"]))
        .node(Node::new("Abs", &["x"], &["z"]));
    let options = LoadOptions { max_output_elements: 6, ..LoadOptions::default() };
    let mut loaded = load(engine, &model, &options).unwrap_or_else(|error| panic!("{error}"));
    let session = &mut loaded.sessions[0];
    for _ in 0..2 {
        let outcome = session.run(&[vector(&[1f32; 4])]);
        assert!(matches!(outcome, Err(RunError::OutputsTooLarge { max_elements: 6 })), "{outcome:?}");
        assert_eq!(session.run(&[vector(&[-1f32; 3])]).expect("it runs").len(), 2);
    }
}

fn a_division_by_zero_is_rejected(engine: &dyn Engine) {
    let model = Model::new()
        .input("a", tensor(DType::I64, "N"))
        .input("b", tensor(DType::I64, "N"))
        .output("y", tensor(DType::I64, "N"))
        .node(Node::new("Div", &["a", "b"], &["y"]));
    let outcome = session(engine, &model).run(&[vector(&[1i64]), vector(&[0i64])]);
    assert!(matches!(outcome, Err(RunError::Rejected(_))), "{outcome:?}");
}

/// `nodes` products of square matrices, one after the other.
fn chain(nodes: usize) -> Model {
    let name = |index: usize| if index == nodes { "y".to_owned() } else { format!("t{index}") };
    let model = Model::new().input("t0", tensor(DType::F32, "N,N")).output("y", tensor(DType::F32, "N,N"));
    (0..nodes).fold(model, |model, i| model.node(Node::new("MatMul", &[&name(i), "t0"], &[&name(i + 1)])))
}

fn a_long_run_is_interrupted_and_the_session_lives_on(engine: &dyn Engine) {
    // Minutes, if nobody stopped it.
    let mut long = session(engine, &chain(1000));
    let mut short = session(engine, &chain(1));
    let matrix = Tensor::F32(ArrayD::zeros(vec![1000, 1000]));
    let interrupt = long.interrupt();
    interrupt.reset();
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            started.wait();
            long.run(std::slice::from_ref(&matrix))
        });
        started.wait();
        // One product of the same size is time enough for the other thread to be in the midst of its thousand.
        short.run(std::slice::from_ref(&matrix)).expect("it runs");
        interrupt.stop();
        let outcome = run.join().expect("no panic");
        assert!(matches!(outcome, Err(RunError::Interrupted)), "the run was not interrupted");
    });
    interrupt.reset();
    let two = array(&[1, 1], vec![1f32]);
    assert_same(&long.run(std::slice::from_ref(&two)).expect("it runs again")[0], &two);
}

fn a_stop_before_the_run_holds_until_reset(engine: &dyn Engine) {
    let mut session = session(engine, &binary("Add", "N", "N", "N"));
    let interrupt = session.interrupt();
    let inputs = [vector(&[1f32]), vector(&[2f32])];
    interrupt.stop();
    for _ in 0..2 {
        let outcome = session.run(&inputs);
        assert!(matches!(outcome, Err(RunError::Interrupted)), "{outcome:?}");
    }
    interrupt.reset();
    assert_same(&session.run(&inputs).expect("it runs")[0], &vector(&[3f32]));
}

fn a_run_remembers_nothing_of_the_one_before(engine: &dyn Engine) {
    // The sum of the rows so far: a `Scan` whose hidden state some runtimes carry on to the next run, as for a stream.
    let row = || tensor(DType::F32, "3");
    let body = Model::new()
        .input("before", row())
        .input("row", row())
        .output("after", row())
        .output("shown", row())
        .node(Node::new("Add", &["before", "row"], &["after"]))
        .node(Node::new("Identity", &["after"], &["shown"]));
    let model = Model::new()
        .input("start", row())
        .input("rows", tensor(DType::F32, "N,3"))
        .output("last", row())
        .output("all", tensor(DType::F32, "N,3"))
        .node(Node::new("Scan", &["start", "rows"], &["last", "all"]).graph("body", body).int("num_scan_inputs", 1));
    let mut session = session(engine, &model);
    let inputs = [array(&[3], vec![0.0f32; 3]), array(&[2, 3], vec![1.0f32; 6])];
    for _ in 0..3 {
        let outputs = session.run(&inputs).expect("it runs");
        assert_eq!(
            outputs,
            [array(&[3], vec![2.0f32; 3]).into(), array(&[2, 3], vec![1.0f32, 1.0, 1.0, 2.0, 2.0, 2.0]).into()]
        );
    }
}

fn sessions_run_in_parallel(engine: &dyn Engine) {
    let options = LoadOptions { sessions: 3, ..LoadOptions::default() };
    let loaded = load(engine, &chain(3), &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.sessions.len(), 3);
    let together = Arc::new(Barrier::new(3));
    let threads = loaded.sessions.into_iter().enumerate().map(|(number, mut session)| {
        let together = together.clone();
        thread::spawn(move || {
            together.wait();
            for size in [1, 7, 16, 33].into_iter().cycle().skip(number).take(40) {
                // All ones to the fourth power: each element is the size cubed.
                let ones = Tensor::F32(ArrayD::ones(vec![size, size]));
                let expected = Tensor::F32(ArrayD::from_elem(vec![size, size], (size as f32).powi(3)));
                assert_same(&session.run(&[ones]).expect("it runs")[0], &expected);
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().expect("the same answers on every thread");
    }
}

// ---- files that cannot be served ----

fn files_that_are_no_models_are_refused(engine: &dyn Engine) {
    let sound = identity(DType::F32, "N").bytes();
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    let files: [&[u8]; 4] = [b"", b"This is a text file.\n", &sound[..sound.len() - 3], &[0xff; 64]];
    for bytes in files {
        std::fs::write(&path, bytes).expect("written");
        // The server reads the graph first; an engine may be handed the file anyway, if it changes in between.
        let error = Graph::read(&path).expect_err("this is no graph");
        assert!(matches!(error, GraphError::NotOnnx { .. }), "{error}");
        assert!(error.to_string().contains("model.onnx is not an ONNX model"), "{error}");
        let outcome = engine.load(&path, &Graph::default(), &LoadOptions::default()).err();
        assert!(matches!(outcome, Some(LoadError::Failed { .. })), "{bytes:?}: {outcome:?}");
    }
}

fn a_model_that_contradicts_itself_is_refused(engine: &dyn Engine) {
    let dangling = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("y", tensor(DType::F32, "N"))
        .node(Node::new("Add", &["x", "nowhere"], &["y"]));
    let nameless = Model::new().input("x", tensor(DType::F32, "N")).output("nowhere", tensor(DType::F32, "N"));
    let mistyped = Model::new()
        .input("x", tensor(DType::F32, "N"))
        .output("y", tensor(DType::I64, "N"))
        .node(Node::new("Identity", &["x"], &["y"]));
    for model in [dangling, nameless, mistyped] {
        let error = refusal(engine, &model);
        assert!(matches!(error, LoadError::Failed { .. }), "{error}");
    }
}

fn a_missing_file_is_refused(engine: &dyn Engine) {
    let path = Path::new("/nowhere/model.onnx");
    assert!(matches!(Graph::read(path), Err(GraphError::Read { .. })));
    let outcome = engine.load(path, &Graph::default(), &LoadOptions::default()).err();
    assert!(matches!(outcome, Some(LoadError::Failed { .. })), "{outcome:?}");
}

fn providers_fall_back_only_where_the_list_says_so(engine: &dyn Engine) {
    let load_with = |providers: &[&str]| {
        let providers = providers.iter().map(|name| name.to_string()).collect();
        load(engine, &identity(DType::F32, "N"), &LoadOptions { providers, ..LoadOptions::default() })
    };
    let loaded = load_with(&["cuda", "cpu"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.providers, ["cpu"]);
    assert_eq!(loaded.missing_providers[0].0, "cuda");
    for refused in [&["cuda"][..], &["abacus", "cpu"]] {
        let error = load_with(refused).err().expect("refused");
        assert!(matches!(&error, LoadError::Provider(text) if text.contains(refused[0])), "{error}");
    }
}
