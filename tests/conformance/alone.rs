//! What one engine alone can do, what the other says instead, and what is refused before any engine is asked.

use std::sync::{Arc, Barrier};
use std::thread;

use scoria::engine::tract::TractEngine;
use scoria::engine::{Graph, GraphError, LoadError, RunError};
use scoria::tensor::{DType, MapKeys, Value};

use super::support::onnx::{Constant, Model, Node, map, optional, raw_tensor, sequence, tensor, unranked};
use super::support::{self, Folder};
use super::{array, assert_same, binary, counting, identity, refusal, run, session, vector};

#[test]
fn types_that_cannot_be_served_are_refused_by_name_with_a_remedy() {
    let item = || tensor(DType::F32, "N");
    let input = |kind| Model::new().input("odd", kind).output("y", item());
    let output = |kind| Model::new().input("x", item()).output("odd", kind);
    let cases = [
        (input(raw_tensor(14, Some("N"))), "input 'odd' is a tensor of complex64", "Cast"),
        (input(raw_tensor(17, None)), "input 'odd' is a tensor of float8e4m3fn", "Cast"),
        (input(sequence(item())), "input 'odd' is a sequence", "plain tensor inputs"),
        (input(optional(item())), "input 'odd' is optional", "plain tensor inputs"),
        (input(map(DType::I64, item())), "input 'odd' is a map", "DictVectorizer"),
        (output(raw_tensor(15, None)), "output 'odd' is a tensor of complex128", "Cast"),
        (output(optional(item())), "output 'odd' is optional", "plain tensor outputs"),
        (output(map(DType::F32, item())), "output 'odd' is a map keyed by float32", "zipmap disabled"),
        (output(sequence(raw_tensor(22, None))), "output 'odd' is a tensor of int4", "Cast"),
    ];
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    for (model, what, remedy) in cases {
        model.write(&path);
        let error = Graph::read(&path).expect_err("it cannot be served");
        assert!(matches!(error, GraphError::Unservable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(what) && text.contains("cannot be served") && text.contains(remedy), "{text}");
    }
}

#[test]
fn a_graph_says_where_it_comes_from() {
    let folder = Folder::new();
    let path = folder.path().join("model.onnx");
    identity(DType::F32, "N").write(&path);
    let graph = Graph::read(&path).expect("a graph");
    assert_eq!(graph.producer, "scoria-tests 1");
    assert_eq!(graph.opsets, [("ai.onnx".to_owned(), 17), ("ai.onnx.ml".to_owned(), 3)]);
    assert_eq!(graph.signature.inputs[0].to_string(), "float32[N]");
}

/// A classifier's last step, as scikit-learn exports it: probabilities to maps by label.
fn zip_map(key: DType) -> Model {
    let node = Node::new("ZipMap", &["scores"], &["maps"]).domain("ai.onnx.ml");
    // Not in ascending order, as labels need not be.
    let node = match key {
        DType::I64 => node.ints("classlabels_int64s", &[7, -2, 5]),
        _ => node.strings("classlabels_strings", &["red", "blue", "grün"]),
    };
    Model::new()
        .input("scores", tensor(DType::F32, "N,3"))
        .output("maps", sequence(map(key, raw_tensor(1, None))))
        .node(node)
}

#[test]
fn ort_zip_maps_come_with_ascending_keys() {
    let ort = support::ort();
    let scores = array(&[2, 3], vec![0.1f32, 0.2, 0.7, 0.5, 0.25, 0.25]);
    let map = |keys: MapKeys, values: [f32; 3]| Value::Map { keys, values: vector(&values) };

    let outputs = run(&ort, &zip_map(DType::I64), std::slice::from_ref(&scores));
    let keys = || MapKeys::I64(vec![-2, 5, 7]);
    assert_eq!(outputs, [Value::Sequence(vec![map(keys(), [0.2, 0.7, 0.1]), map(keys(), [0.25, 0.25, 0.5])])]);

    let outputs = run(&ort, &zip_map(DType::String), &[scores]);
    let keys = || MapKeys::String(["blue", "grün", "red"].map(str::to_owned).to_vec());
    assert_eq!(outputs, [Value::Sequence(vec![map(keys(), [0.2, 0.7, 0.1]), map(keys(), [0.25, 0.25, 0.5])])]);

    let outputs = run(&ort, &zip_map(DType::I64), &[counting(DType::F32, &[0, 3])]);
    assert_eq!(outputs, [Value::Sequence(Vec::new())]);
}

/// One decision: feature 0 at most 1.5 gives 10, more gives 20.
fn tree() -> Model {
    let node = Node::new("TreeEnsembleRegressor", &["x"], &["y"])
        .domain("ai.onnx.ml")
        .int("n_targets", 1)
        .ints("nodes_treeids", &[0, 0, 0])
        .ints("nodes_nodeids", &[0, 1, 2])
        .ints("nodes_featureids", &[0, 0, 0])
        .floats("nodes_values", &[1.5, 0., 0.])
        .strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"])
        .ints("nodes_truenodeids", &[1, 0, 0])
        .ints("nodes_falsenodeids", &[2, 0, 0])
        .ints("target_treeids", &[0, 0])
        .ints("target_nodeids", &[1, 2])
        .ints("target_ids", &[0, 0])
        .floats("target_weights", &[10., 20.]);
    Model::new().input("x", tensor(DType::F32, "N,2")).output("y", tensor(DType::F32, "N,1")).node(node)
}

#[test]
fn ort_runs_tree_ensembles() {
    let outputs = run(&support::ort(), &tree(), &[array(&[2, 2], vec![1f32, 0., 2., 0.])]);
    assert_same(&outputs[0], &array(&[2, 1], vec![10f32, 20.]));
}

fn splits() -> Model {
    Model::new().input("x", tensor(DType::I64, "N")).output("parts", sequence(tensor(DType::I64, "1"))).node(Node::new(
        "SplitToSequence",
        &["x"],
        &["parts"],
    ))
}

#[test]
fn ort_sequences_of_tensors_come_in_order() {
    let mut session = session(&support::ort(), &splits());
    let outputs = session.run(&[vector(&[3i64, 1, 2])]).expect("it runs");
    let parts = [3i64, 1, 2].map(|value| Value::Tensor(vector(&[value])));
    assert_eq!(outputs, [Value::Sequence(parts.to_vec())]);
    assert_eq!(session.run(&[vector::<i64>(&[])]).expect("it runs"), [Value::Sequence(Vec::new())]);
}

#[test]
fn ort_takes_inputs_of_unstated_rank() {
    let model = Model::new().input("x", unranked(DType::F32)).output("y", unranked(DType::F32));
    let mut session = session(&support::ort(), &model.node(Node::new("Identity", &["x"], &["y"])));
    for shape in [&[][..], &[3], &[2, 0, 3], &[1, 2, 3, 4]] {
        let input = counting(DType::F32, shape);
        assert_same(&session.run(std::slice::from_ref(&input)).expect("it runs")[0], &input);
    }
}

#[test]
fn ort_bools_with_odd_bytes_are_true() {
    let model = Model::new()
        .output("y", tensor(DType::Bool, "4"))
        .constant("odd", Constant::raw(DType::Bool, &[4], &[0, 1, 2, 255]))
        .node(Node::new("Identity", &["odd"], &["y"]));
    assert_same(&run(&support::ort(), &model, &[])[0], &vector(&[false, true, true, true]));
}

#[test]
fn ort_takes_strings_with_nul_characters_whole() {
    let mut session = session(&support::ort(), &identity(DType::String, "N"));
    let texts = ["a\0b", "", "\0", "é\0\0", "end\0"].map(str::to_owned);
    for strings in [&texts[..], &[]] {
        let input = vector(strings);
        let outputs = session.run(std::slice::from_ref(&input)).expect("it runs");
        assert_eq!(outputs, [Value::Tensor(input)]);
    }
}

#[test]
fn ort_interrupts_an_endless_loop() {
    let body = Model::new()
        .input("i", tensor(DType::I64, ""))
        .input("go", tensor(DType::Bool, ""))
        .input("sum", tensor(DType::F32, ""))
        .output("go_on", tensor(DType::Bool, ""))
        .output("sum_out", tensor(DType::F32, ""))
        .node(Node::new("Identity", &["go"], &["go_on"]))
        .node(Node::new("Add", &["sum", "sum"], &["sum_out"]));
    let model = Model::new()
        .input("x", tensor(DType::F32, ""))
        .output("y", tensor(DType::F32, ""))
        .constant("for_ever", Constant::i64(&[], &[i64::MAX]))
        .constant("true", Constant::bool(&[], &[true]))
        .node(Node::new("Loop", &["for_ever", "true", "x"], &["y"]).graph("body", body));
    let mut session = session(&support::ort(), &model);
    let interrupt = session.interrupt();
    let started = Arc::new(Barrier::new(2));
    let run = thread::spawn({
        let started = started.clone();
        move || {
            started.wait();
            session.run(&[array(&[], vec![0f32])])
        }
    });
    started.wait();
    interrupt.stop();
    let outcome = run.join().expect("no panic");
    assert!(matches!(outcome, Err(RunError::Interrupted)), "{outcome:?}");
}

#[test]
fn ort_is_refused_more_memory_than_the_machine_has_and_the_session_lives_on() {
    let model = Model::new()
        .input("size", tensor(DType::I64, "R"))
        .output("sum", tensor(DType::F32, ""))
        .node(Node::new("ConstantOfShape", &["size"], &["zeros"]))
        .node(Node::new("ReduceSum", &["zeros"], &["sum"]).int("keepdims", 0));
    let mut first = session(&support::ort(), &model);
    let mut second = first.another().expect("a further session");
    for session in [&mut first, &mut second] {
        for sizes in [&[1i64 << 42][..], &[1 << 31, 1 << 24], &[1 << 50]] {
            let outcome = session.run(&[vector(sizes)]);
            assert!(
                matches!(&outcome, Err(RunError::Rejected(text)) if text.contains("bytes of memory")),
                "{outcome:?}"
            );
            assert_same(&session.run(&[vector(&[1000i64])]).expect("it runs")[0], &array(&[], vec![0f32]));
        }
    }
}

#[test]
fn ort_leaves_nothing_in_the_home_folder() {
    let home = Folder::new();
    // Another process, so that the environment is in place before the runtime is opened.
    let status = std::process::Command::new(std::env::current_exe().expect("a test has an executable"))
        .args(["--exact", "ort::products_are_right"])
        .envs(["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, home.path())))
        .env_remove("ORT_DISABLE_TELEMETRY")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("the test binary runs").success());
    let left: Vec<_> = std::fs::read_dir(home.path()).expect("the folder is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[track_caller]
fn assert_tract_refuses(model: &Model, what: &[&str]) {
    let error = refusal(&TractEngine, model);
    assert!(matches!(error, LoadError::Unsupported { .. }), "{error}");
    let text = error.to_string();
    for part in what.iter().chain(&["use ONNX Runtime", "--ort-lib"]) {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn tract_refuses_what_it_cannot_run_by_name() {
    assert_tract_refuses(&tree(), &["ai.onnx.ml.TreeEnsembleRegressor"]);
    assert_tract_refuses(&zip_map(DType::I64), &["'maps'", "ZipMap"]);
    assert_tract_refuses(&splits(), &["'parts'", "sequence"]);
    assert_tract_refuses(&identity(DType::BF16, "N"), &["'x'", "bfloat16"]);
    let custom = Model::new().input("x", tensor(DType::F32, "N")).output("y", tensor(DType::F32, "N"));
    let custom = custom.node(Node::new("Relu", &["x"], &["y"]).domain("com.example"));
    assert_tract_refuses(&custom, &["com.example.Relu", "'Relu-y'"]);
    let open = Model::new().input("x", unranked(DType::F32)).output("y", unranked(DType::F32));
    assert_tract_refuses(&open.node(Node::new("Identity", &["x"], &["y"])), &["'x'", "how many dimensions"]);
}

#[test]
fn tract_refuses_a_top_k_that_may_ask_for_more_than_there_is() {
    let top = |dims: &str, k: i64| {
        Model::new()
            .input("x", tensor(DType::F32, dims))
            .output("y", tensor(DType::F32, &format!("N,{k}")))
            .output("i", tensor(DType::I64, &format!("N,{k}")))
            .constant("k", Constant::i64(&[1], &[k]))
            .node(Node::new("TopK", &["x", "k"], &["y", "i"]))
    };
    assert_tract_refuses(&top("N,M", 2), &["top k of a dimension that may have fewer"]);
    assert_tract_refuses(&top("N,3", 4), &["top k of a dimension that may have fewer"]);
    let outputs = super::run(&TractEngine, &top("N,3", 2), &[super::array(&[1, 3], vec![1f32, 3., 2.])]);
    assert_eq!(outputs, [super::array(&[1, 2], vec![3f32, 2.]).into(), super::array(&[1, 2], vec![1i64, 2]).into()]);
}

#[test]
fn tract_refuses_products_whose_sizes_it_would_not_compare() {
    assert_tract_refuses(&binary("MatMul", "N,K", "L,M", "N,M"), &["'MatMul-y'", "K and L"]);
    let model = Model::new()
        .input("x", tensor(DType::F32, "N,?"))
        .output("y", tensor(DType::F32, "N,2"))
        .constant("w", Constant::f32(&[3, 2], &[0.; 6]))
        .node(Node::new("MatMul", &["x", "w"], &["y"]));
    assert_tract_refuses(&model, &["'MatMul-y'", "and 3"]);
}
