//! `scoria doctor`, as a program: its reports, its exit codes, and what it refuses before a runtime sees it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use scoria::engine::{Graph, Inventory};
use scoria::tensor::DType;
use serde_json::{Value as Json, json};

use crate::server::{bundled, identity};
use crate::support::onnx::{Constant, Model, Node, map, raw_tensor, sequence, tensor};
use crate::support::{Folder, ort_library};

fn doctor(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scoria"));
    command.arg("doctor").args(arguments).arg("--ort-lib").arg(ort_library()).current_dir(folder);
    // Settings of whoever runs the tests are not those of the tests.
    command.env_remove("SCORIA_ORT_LIB").output().expect("the program runs")
}

/// The reports, and the exit code.
fn reports(folder: &Path, arguments: &[&str]) -> (Vec<Json>, i32) {
    let output = doctor(folder, arguments);
    let document: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (document["models"].as_array().unwrap().clone(), output.status.code().expect("it exits"))
}

/// The report on one model, which has to be servable or not as the exit code says.
fn report(folder: &Path, arguments: &[&str]) -> Json {
    let (reports, code) = reports(folder, arguments);
    let [report] = <[Json; 1]>::try_from(reports).unwrap();
    assert_eq!(report["servable"], json!(code == 0), "{report:#}");
    report
}

/// The report on a model that is written for it.
fn report_on(model: &Model, arguments: &[&str]) -> Json {
    let folder = Folder::new();
    model.write(&folder.path().join("m.onnx"));
    report(folder.path(), &[&["m.onnx"], arguments].concat())
}

/// `(severity, code)` of each problem but those on engines that would not be used.
fn problems(report: &Json) -> Vec<(&str, &str)> {
    let problems = report["problems"].as_array().unwrap().iter();
    let problems = problems.map(|problem| (problem["severity"].as_str().unwrap(), problem["code"].as_str().unwrap()));
    problems.filter(|(_, code)| *code != "other_engine_cannot").collect()
}

fn problem<'a>(report: &'a Json, code: &str) -> &'a Json {
    let mut problems = report["problems"].as_array().unwrap().iter();
    problems.find(|problem| problem["code"] == code).unwrap_or_else(|| panic!("no {code} in {report:#}"))
}

fn rows() -> Model {
    Model::new().input("x", tensor(DType::F32, "N,3")).output("y", tensor(DType::F32, "N,3"))
}

#[test]
fn the_report_on_a_bundled_model_is_the_kept_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut report = report(root, &["models/ridge"]);
    for engine in report["engines"].as_array_mut().unwrap() {
        let run = &mut engine["run"];
        assert!(run["first_us"].is_u64() && run["steady_us"].is_u64() && run["runs"].as_u64() > Some(0));
        for volatile in ["first_us", "steady_us", "runs"] {
            run[volatile] = json!(0);
        }
        engine["load"]["took_us"] = json!(0);
        engine["memory"] = Json::Null;
        // How far joined rows are from separate ones differs between processors.
        engine["joining"]["evidence"] = Json::Null;
        if engine["engine"] == "ort" {
            assert!(engine["library"].is_string() && engine["version"].as_str().unwrap().starts_with("1."));
            (engine["library"], engine["version"]) = (Json::Null, Json::Null);
        }
    }
    for volatile in ["load_us", "first_us", "steady_us"] {
        report["cost"][volatile] = json!(0);
    }
    if cfg!(target_os = "linux") {
        assert!(report["memory"]["held_bytes"].as_u64() > Some(0));
    }
    report["memory"] = Json::Null;
    (report["batching"]["evidence"], report["batching"]["reason"]) = (Json::Null, Json::Null);
    let kept = fs::read_to_string(root.join("tests/fixtures/doctor/ridge.json")).unwrap();
    let kept: Json = serde_json::from_str(&kept).unwrap();
    assert!(report == kept, "tests/fixtures/doctor/ridge.json holds another report than\n{report:#}");
}

#[test]
fn every_bundled_model_is_fit_on_both_engines_or_says_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (reports, code) = reports(root, &["models"]);
    assert_eq!(code, 0);
    let names: Vec<_> = reports.iter().map(|report| report["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["digits", "ridge", "text-encoder", "wine"]);
    for report in &reports {
        let engine = |index: usize| &report["engines"][index];
        assert_eq!((&engine(0)["engine"], &engine(0)["chosen"]), (&json!("ort"), &json!(true)));
        assert_eq!((&engine(0)["loads"], &engine(0)["runs"]), (&json!(true), &json!(true)), "{report:#}");
        assert_eq!(report["batching"]["safe"], true, "{report:#}");
        assert_eq!(report["sample"]["accepted"], true);
        assert_eq!(engine(1)["loads"], report["name"] != "wine");
    }
    let output = doctor(root, &["models/wine", "--engine", "tract"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("1 of 1 model cannot be served"), "{told}");
}

#[test]
fn a_table_is_for_people_and_control_characters_are_spelt_out() {
    let folder = Folder::new();
    let name = "y\u{1b}[31m";
    let model = Model::new().input("x", tensor(DType::F32, "N")).output(name, tensor(DType::F32, "N"));
    model.node(Node::new("Relu", &["x"], &[name])).write(&folder.path().join("m.onnx"));
    let output = doctor(folder.path(), &["fancy=m.onnx", "-o", "table"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("fancy  m.onnx\n  verdict    can be served\n"), "{text}");
    assert!(text.contains("y\\u{1b}[31m") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn exit_codes_tell_usage_and_absence_from_illness() {
    let folder = Folder::new();
    fs::write(folder.path().join("model.pt"), b"PK\x03\x04archive/data.pkl").unwrap();
    for (arguments, code, said) in [
        (&["missing.onnx"][..], 3, "No such file"),
        (&["a=missing.onnx"], 3, "No such file"),
        (&["model.pt"], 1, "torch.onnx.export"),
        (&["."], 1, "holds no model"),
        (&[], 2, "MODEL"),
        (&["x.onnx", "-o", "yaml"], 2, "table"),
        (&["x.onnx", "--probe-timeout-ms", "0"], 2, "at least 1"),
    ] {
        let output = doctor(folder.path(), arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(said), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn external_data_that_leads_elsewhere_is_refused_before_a_runtime_sees_the_file() {
    let folder = Folder::new();
    let (outside, inside) = (folder.path().join("outside"), folder.path().join("inside"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(inside.join("below")).unwrap();
    fs::write(outside.join("secret"), "root:x:0:0:root").unwrap();
    fs::write(inside.join("weights.bin"), [0; 12]).unwrap();
    symlink(outside.join("secret"), inside.join("link")).unwrap();
    symlink("weights.bin", inside.join("near-link")).unwrap();
    symlink(&outside, inside.join("up")).unwrap();
    fs::hard_link(outside.join("secret"), inside.join("twin")).unwrap();
    let pipe = Command::new("mkfifo").arg(inside.join("pipe")).status().unwrap();
    assert!(pipe.success());
    let absolute = outside.join("secret").display().to_string();
    let cases: [(&[(&str, &str)], &str); 15] = [
        (&[("location", "../outside/secret")], "by '..' it leads out of the model's folder"),
        (&[("location", "below/../../outside/secret")], "by '..' it leads out of the model's folder"),
        (&[("location", &absolute)], "it is an absolute path, which leads out"),
        (&[("location", "/proc/self/environ")], "it is an absolute path, which leads out"),
        (&[("location", "..\\outside\\secret")], "it is not a plain relative path"),
        (&[("location", "link")], "'link' is a symbolic link"),
        (&[("location", "near-link")], "'near-link' is a symbolic link"),
        (&[("location", "up/secret")], "'up' is a symbolic link"),
        (&[("location", "twin")], "another hard link"),
        (&[("location", "pipe")], "it is a pipe, not a plain file"),
        (&[("location", "below")], "it is a folder, not a plain file"),
        (&[("location", "missing.bin")], "there is no such file beside the model"),
        (&[("location", "")], "it names no file"),
        (&[("location", "weights.bin"), ("offset", "4"), ("length", "12")], "would need 12 bytes from 4 on"),
        (&[("location", "weights.bin"), ("location", "../outside/secret")], "it has two values for 'location'"),
    ];
    for (index, (entries, _)) in cases.iter().enumerate() {
        let weights = Constant::external_part(DType::F32, &[3], entries);
        let model = rows().constant("w", weights).node(Node::new("Add", &["x", "w"], &["y"]));
        model.write(&inside.join(format!("m{index:02}.onnx")));
    }
    let output = doctor(&inside, &["."]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("root:x"), "the report holds what the model must not read");
    let document: Json = serde_json::from_str(&text).unwrap();
    let reports = document["models"].as_array().unwrap();
    assert_eq!(reports.len(), cases.len());
    for (report, (entries, words)) in reports.iter().zip(cases) {
        assert_eq!(problems(report), [("error", "external_data_refused")], "{entries:?}");
        let [place] = report["external_data"].as_array().unwrap().as_slice() else { panic!("one place: {report:#}") };
        assert_eq!((&place["accepted"], &place["tensors"]), (&json!(false), &json!(1)));
        for text in [&place["reason"], &problem(report, "external_data_refused")["message"]] {
            assert!(text.as_str().unwrap().contains(words), "{entries:?}: {text}");
        }
        assert_eq!(report["engines"], json!([]), "no engine has seen it");
    }
}

#[test]
fn external_data_in_its_place_is_measured_and_used() {
    let folder = Folder::new();
    let weights: Vec<u8> = [10f32, 20.0, 30.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(folder.path().join("weights.bin"), weights).unwrap();
    let model = rows().constant("w", Constant::external(DType::F32, &[3], "weights.bin"));
    model.node(Node::new("Add", &["x", "w"], &["y"])).write(&folder.path().join("m.onnx"));
    let report = report(folder.path(), &["m.onnx"]);
    let expected = json!([{
        "location": "weights.bin", "tensors": 1, "bytes": 12, "accepted": true, "reason": null
    }]);
    assert_eq!(report["external_data"], expected);
    assert_eq!(
        report["initializers"],
        json!({"count": 1, "bytes": 12, "types": {"float32": {"count": 1, "bytes": 12}}})
    );
    assert_eq!((&report["engines"][0]["runs"], &report["batching"]["safe"]), (&json!(true), &json!(true)));
}

#[test]
fn what_cannot_be_served_is_told_by_its_code() {
    let relu = || rows().node(Node::new("Relu", &["x"], &["y"]));
    let input = |kind| Model::new().input("x", kind).output("y", tensor(DType::F32, "N"));
    let custom = rows().node(Node::new("Foo", &["x"], &["y"]).domain("my.ops"));
    for (model, code) in [
        (relu().ir_version(99), "ir_version_too_new"),
        (custom, "custom_operator"),
        (rows().node(Node::new("Foo", &["x"], &["y"])), "unknown_operator"),
        (rows().node(Node::new("Relu", &["nothing"], &["y"])), "invalid_graph"),
        (input(raw_tensor(14, Some("N"))).node(Node::new("Foo", &["x"], &["y"])), "unservable_type"),
        (input(sequence(tensor(DType::F32, "N"))).node(Node::new("Foo", &["x"], &["y"])), "unservable_type"),
        (Model::new().input("x", tensor(DType::F32, "N")).node(Node::new("Relu", &["x"], &["y"])), "no_outputs"),
    ] {
        let report = report_on(&model, &[]);
        assert_eq!(problems(&report), [("error", code)], "{report:#}");
        assert!(!problem(&report, code)["remedy"].as_str().unwrap().is_empty());
    }
}

#[test]
fn what_the_machine_lacks_is_told_apart_from_what_the_model_lacks() {
    // No machine has it, while the usual one may be there.
    let model = Model::new().input("x", tensor(DType::String, "N")).output("y", tensor(DType::String, "N")).node(
        Node::new("StringNormalizer", &["x"], &["y"])
            .string("case_change_action", "LOWER")
            .string("locale", "xx_XX.UTF-8"),
    );
    let report = report_on(&model, &[]);
    let found = problem(&report, "environment");
    assert_eq!(report["servable"], false);
    assert!(
        found["message"].as_str().unwrap_or_default().contains("the locale xx_XX.UTF-8 is not installed"),
        "{found}"
    );
    assert!(
        found["remedy"].as_str().unwrap_or_default().contains("localedef -i xx_XX -f UTF-8 xx_XX.UTF-8"),
        "{found}"
    );
    assert!(!problems(&report).iter().any(|(code, _)| *code == "not_loaded"), "{report:#}");
}

#[test]
fn what_is_no_model_is_named() {
    let folder = Folder::new();
    let whole = identity().bytes();
    let half = &whole[..whole.len() - 10];
    for (bytes, words) in [
        (b"".as_slice(), "the file is empty"),
        (half, "it is cut off"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x80\x04\x95\x10\0\0\0", "pickle"),
        (b"<!DOCTYPE html>", "HTML"),
    ] {
        fs::write(folder.path().join("m.onnx"), bytes).unwrap();
        let report = report(folder.path(), &["m.onnx"]);
        assert_eq!(problems(&report), [("error", "not_onnx")]);
        let message = problem(&report, "not_onnx")["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn whether_rows_may_be_joined_is_proven_and_tried() {
    let of = |input: &str, output: &str, node: Node| {
        let model = Model::new().input("x", tensor(DType::F32, input)).output("y", tensor(DType::F32, output));
        report_on(&model.node(node), &["--engine", "ort"])
    };
    let relu = || Node::new("Relu", &["x"], &["y"]);
    // It keeps rows apart, but is not among those of which that is known.
    let spectrum = || Node::new("DFT", &["x"], &["y"]).int("axis", 1);
    for (report, safe, findings) in [
        (of("N,3", "N,3", relu()), true, &[][..]),
        (of("1,3", "1,3", relu()), false, &[("warning", "fixed_batch")]),
        (of("?,3", "?,3", relu()), true, &[]),
        (of("N,3", "M,3", relu()), true, &[]),
        // Whatever its dimensions are called.
        (of("?,3,1", "?,3,2", spectrum()), false, &[("info", "rows_may_mix")]),
        (of("N,3,1", "N,3,2", spectrum()), false, &[("info", "rows_may_mix")]),
        // Along the rows, so that each depends on those above it.
        (
            of("N,3", "N,3", Node::new("Softmax", &["x"], &["y"]).int("axis", 0)),
            false,
            &[("warning", "rows_affect_each_other")],
        ),
        (of("N,3", "N,3", Node::new("RandomUniformLike", &["x"], &["y"])), false, &[("warning", "random_output")]),
        (of("N,3", "N,3", Node::new("Flatten", &["x"], &["y"]).int("axis", 0)), false, &[("warning", "rows_not_kept")]),
    ] {
        let found: Vec<_> = problems(&report).into_iter().filter(|(_, code)| *code != "wrong_output_shape").collect();
        assert_eq!(found, findings, "{report:#}");
        assert_eq!(report["batching"]["safe"], safe, "{report:#}");
    }
}

#[test]
fn declarations_that_promise_something_else_are_noticed() {
    let wrong = Model::new().input("x", tensor(DType::F32, "N,3")).output("y", tensor(DType::F32, "N,5"));
    let report = report_on(&wrong.node(Node::new("Relu", &["x"], &["y"])), &["--engine", "ort"]);
    let message = problem(&report, "wrong_output_shape")["message"].as_str().unwrap();
    assert_eq!(message, "output 'y' is declared float32[N, 5], and has shape [1, 3]");

    let maps = sequence(map(DType::I64, tensor(DType::F32, "")));
    let zip = Node::new("ZipMap", &["x"], &["p"]).domain("ai.onnx.ml").ints("classlabels_int64s", &[0, 1, 2]);
    let model = Model::new().input("x", tensor(DType::F32, "N,3")).output("p", maps).node(zip);
    let report = report_on(&model, &["--engine", "ort"]);
    assert_eq!(problems(&report), [("warning", "map_output")]);
    assert!(problem(&report, "map_output")["remedy"].as_str().unwrap().contains("'zipmap': False"));
    assert_eq!(report["batching"]["obstacle"]["kind"], "not_a_tensor");
}

#[test]
fn the_sample_beside_a_model_is_checked() {
    let folder = Folder::new();
    identity().write(&folder.path().join("m.onnx"));
    fs::write(folder.path().join("m.sample_input.json"), r#"{"data": [["a", 2]]}"#).unwrap();
    let report = report(folder.path(), &["m.onnx", "--engine", "ort"]);
    assert_eq!(
        (&report["sample"]["accepted"], &report["engines"][0]["run"]["input"]),
        (&json!(false), &json!("zeros"))
    );
    assert_eq!(problems(&report)[0], ("warning", "sample_rejected"), "{report:#}");
}

#[test]
fn a_run_that_does_not_end_is_ended_and_told() {
    let condition = Constant::bool(&[], &[true]);
    let body = Model::new()
        .input("i", tensor(DType::I64, ""))
        .input("go", tensor(DType::Bool, ""))
        .input("v", tensor(DType::F32, "N,3"))
        .node(Node::new("Identity", &["go"], &["on"]))
        .node(Node::new("Identity", &["v"], &["w"]))
        .output("on", tensor(DType::Bool, ""))
        .output("w", tensor(DType::F32, "N,3"));
    let model = rows()
        .constant("times", Constant::i64(&[], &[i64::MAX]))
        .constant("go", condition)
        .node(Node::new("Loop", &["times", "go", "x"], &["y"]).graph("body", body));
    let report = report_on(&model, &["--engine", "ort", "--probe-timeout-ms", "2000"]);
    assert_eq!(problems(&report), [("error", "takes_too_long")]);
    let failure = &report["engines"][0]["failure"];
    assert_eq!((&failure["stage"], &failure["cause"]), (&json!("run"), &json!("timeout")));
    assert_eq!(report["engines"][0]["loads"], true);
}

/// Numbers that look random and are the same every time (Marsaglia, "Xorshift RNGs").
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Files to mutate: weights inside and beside it, bodies, metadata of every kind that the reader knows.
fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    fs::write(folder.join("weights.bin"), [0; 12]).unwrap();
    let body = rows().node(Node::new("Relu", &["x"], &["y"]));
    let model = rows()
        .constant("w", Constant::external_part(DType::F32, &[3], &[("location", "weights.bin"), ("offset", "0")]))
        .constant("v", Constant::f32(&[3], &[1.0, 2.0, 3.0]))
        .node(Node::new("Add", &["x", "w"], &["t"]))
        .node(Node::new("Foo", &["t"], &["y"]).domain("my.ops").graph("body", body));
    vec![fs::read(bundled("ridge").join("1/model.onnx")).unwrap(), model.bytes()]
}

fn mutant(seed: &[u8], random: &mut Xorshift) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            // The greatest varint: a length that no file has.
            2 => drop(bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])),
            3 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

#[test]
fn no_truncation_and_no_mutant_of_a_file_is_more_than_an_error() {
    let folder = Folder::new();
    let path = folder.path().join("m.onnx");
    let mut random = Xorshift(0x5c0_71a);
    let (mut read, mut refused) = (0, 0);
    let mut look = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        // The two readers agree on what is a model; the server's is stricter about what it may serve.
        match (Inventory::read(&path), Graph::read(&path)) {
            (Ok(_), _) => read += 1,
            (Err(error), Err(same)) => {
                assert_eq!(error.to_string(), same.to_string());
                refused += 1;
            }
            (Err(error), Ok(_)) => panic!("only the server reads it: {error}"),
        }
    };
    for seed in seeds(folder.path()) {
        (0..seed.len()).for_each(|end| look(&seed[..end]));
        (0..1_000).for_each(|_| look(&mutant(&seed, &mut random)));
    }
    assert!(read > 100 && refused > 500, "{read} read, {refused} refused");
}

#[test]
fn mutants_get_a_report_each_from_both_engines() {
    let folder = Folder::new();
    let mut random = Xorshift(0xd0c_708);
    let seed = &seeds(folder.path())[0];
    for index in 0..60 {
        fs::write(folder.path().join(format!("m{index:02}.onnx")), mutant(seed, &mut random)).unwrap();
    }
    let (reports, code) = reports(folder.path(), &["."]);
    let ill = reports.iter().filter(|report| report["servable"] == false).count();
    assert_eq!((reports.len(), code), (60, 1));
    assert!(ill > 10, "{ill} of 60");
    for report in &reports {
        let has_error = problems(report).iter().any(|(severity, _)| *severity == "error");
        assert_eq!(report["servable"], json!(!has_error), "{report:#}");
        for problem in report["problems"].as_array().unwrap() {
            assert!(
                !problem["message"].as_str().unwrap().is_empty() && !problem["remedy"].as_str().unwrap().is_empty()
            );
        }
    }
}
