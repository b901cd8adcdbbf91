//! A Triton model repository, served as it is.

use std::fs;
use std::path::Path;

use scoria::engine::fake::FakeEngine;
use scoria::telemetry::{GpuNames, render_gpus};
use scoria::tensor::DType;
use serde_json::Value as Json;

use crate::documents::whole_gpu;
use crate::server::{Server, Start, identity};
use crate::support::Folder;
use crate::support::onnx::{Constant, Model, Node, tensor};

/// A repository of one model, `scorer`, of the versions 1 and 3.
fn repository(config: &str) -> Folder {
    let folder = Folder::new();
    let model = folder.path().join("scorer");
    for version in ["1", "3"] {
        fs::create_dir_all(model.join(version)).unwrap();
        identity().write(&model.join(version).join("model.onnx"));
    }
    fs::write(model.join("config.pbtxt"), config).unwrap();
    folder
}

fn serve(repository: &Folder) -> Start {
    Start::with(FakeEngine::echo()).argument(repository.path().display().to_string())
}

fn deployment(server: &Server) -> Json {
    server.admin("/api/v1/service/scorer").json()["deployments"][0].clone()
}

/// Why the model was not loaded.
fn reason(config: &str) -> String {
    let folder = repository(config);
    let server = serve(&folder).ready();
    let told = server.admin("/api/v1/service/scorer").json();
    assert_eq!(told["state"], "failed", "{told}");
    assert_eq!(server.post("/score", r#"{"data": [[1, 2]]}"#).status, 503);
    told["reason"].as_str().unwrap().to_owned()
}

const CONFIG: &str = r#"
platform: "onnxruntime_onnx"
max_batch_size: 16
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" } ]
dynamic_batching { max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
version_policy { specific { versions: [ 1 ] } }
model_warmup [ {
  name: "two rows" batch_size: 2 count: 5
  inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2 ] random_data: true } }
} ]
"#;

/// The version that answers an inference at this path below the model's.
fn answering(server: &Server, below: &str) -> Option<String> {
    let body = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}"#;
    let answer = server.post(&format!("/v2/models/scorer{below}/infer"), body);
    if answer.status != 200 {
        assert_eq!(answer.status, 404, "{}", answer.text());
        return None;
    }
    answer.json()["model_version"].as_str().map(str::to_owned)
}

fn versions(server: &Server) -> Json {
    server.request("GET", "/v2/models/scorer", &[], b"").json()["versions"].clone()
}

#[test]
fn the_versions_that_the_policy_asks_for_are_served_side_by_side() {
    for (policy, served) in [
        ("", &["3"][..]),
        ("version_policy { latest { num_versions: 2 } }", &["2", "3"]),
        ("version_policy { specific { versions: [ 1, 2, 9 ] } }", &["1", "2"]),
        ("version_policy { all {} }", &["1", "2", "3"]),
    ] {
        let folder = repository(policy);
        let second = folder.path().join("scorer/2");
        fs::create_dir_all(&second).unwrap();
        identity().write(&second.join("model.onnx"));
        let server = serve(&folder).ready();
        assert_eq!(versions(&server), serde_json::json!(served), "{policy}");
        assert_eq!(answering(&server, "").as_deref(), served.last().copied(), "{policy}: the highest one answers");
        for version in ["1", "2", "3"] {
            let answered = answering(&server, &format!("/versions/{version}"));
            assert_eq!(answered.as_deref(), served.contains(&version).then_some(version), "{policy}");
            let predicted =
                server.post(&format!("/v1/models/scorer/versions/{version}:predict"), r#"{"instances": [[1, 2]]}"#);
            assert_eq!(predicted.status == 200, served.contains(&version), "{policy}");
        }
        let index = server.post("/v2/repository/index", "").json();
        let listed: Vec<_> = index.as_array().unwrap().iter().map(|line| line["version"].as_str().unwrap()).collect();
        assert_eq!(listed, served, "{policy}");
    }
}

#[test]
fn a_version_that_cannot_be_loaded_leaves_the_others_serving() {
    for (broken, highest) in [("1", "3"), ("3", "1")] {
        let folder = repository("version_policy { all {} }");
        fs::write(folder.path().join("scorer").join(broken).join("model.onnx"), "no model").unwrap();
        let server = serve(&folder).ready();
        assert_eq!(
            (versions(&server), answering(&server, "").as_deref()),
            (serde_json::json!([highest]), Some(highest))
        );
        assert_eq!(answering(&server, &format!("/versions/{broken}")), None);
        let index = server.post("/v2/repository/index", "").json();
        let line = index.as_array().unwrap().iter().find(|line| line["version"] == broken).unwrap();
        assert_eq!(
            (line["state"].as_str(), line["reason"].as_str().is_some_and(|why| why.contains("ONNX"))),
            (Some("UNAVAILABLE"), true),
            "{line}"
        );
    }
}

#[test]
fn a_version_that_is_put_in_later_is_loaded_beside_the_others() {
    let folder = repository("version_policy { latest { num_versions: 2 } }");
    let scorer = folder.path().join("scorer");
    fs::remove_dir_all(scorer.join("3")).unwrap();
    let path = folder.path().display().to_string();
    let start = Start::with(FakeEngine::echo()).set("repository_mode", "explicit").set("model_repository", &path);
    let server = start.now();
    let load = || assert_eq!(server.post("/v2/repository/models/scorer/load", "").status, 200);
    load();
    assert_eq!(versions(&server), serde_json::json!(["1"]));
    for (version, served) in [("2", ["1", "2"]), ("5", ["2", "5"])] {
        fs::create_dir_all(scorer.join(version)).unwrap();
        identity().write(&scorer.join(version).join("model.onnx"));
        load();
        assert_eq!((versions(&server), answering(&server, "").as_deref()), (serde_json::json!(served), Some(version)));
    }
}

#[test]
fn what_the_configuration_says_holds() {
    let folder = repository(CONFIG);
    fs::write(folder.path().join("scorer/labels.txt"), "no\nyes\n").unwrap();
    let server = serve(&folder).ready();
    let told = deployment(&server);
    assert_eq!((&told["model"]["version"], &told["workers"], &told["max_batch"]), (&1.into(), &2.into(), &16.into()));
    assert_eq!(server.post("/score", r#"{"data": [[1, 2]]}"#).text(), "[[1.0,2.0]]");
    let body = r#"{
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2] }],
        "outputs": [{ "name": "y", "parameters": { "classification": 2 } }]
    }"#;
    let classes = server.post("/v2/models/scorer/infer", body).json()["outputs"][0]["data"].clone();
    assert_eq!(classes, serde_json::json!(["2.000000:1:yes", "1.000000:0:no"]));
}

#[test]
fn the_configuration_file_of_the_server_goes_before_it_and_flags_do_not() {
    let folder = repository(CONFIG);
    fs::write(folder.path().join("scorer/labels.txt"), "no\nyes\n").unwrap();
    let start = serve(&folder).set("workers", "7").endpoints("[endpoints.scorer]\nmax_batch = 4\n");
    let told = deployment(&start.ready());
    assert_eq!((&told["workers"], &told["max_batch"]), (&2.into(), &4.into()));
}

#[test]
fn a_model_that_its_configuration_contradicts_is_not_served() {
    let reason_of_dims = reason("max_batch_size: 8\ninput { name: \"x\" dims: [ 5 ] }");
    assert!(reason_of_dims.contains("scorer/config.pbtxt:2:1: input 'x' is float32[?, 5] by this"), "{reason_of_dims}");
    assert!(reason_of_dims.contains("float32[N, 2] by the model"), "{reason_of_dims}");
    for (config, words) in [
        ("max_batch_size: eight", "config.pbtxt:1:1: max_batch_size: expected a whole number"),
        ("backend: \"pytorch\"", "only ONNX models are served"),
        ("version_policy { specific { versions: 2 } }", "version_policy names no version that is there"),
        ("output { name: \"y\" label_filename: \"none.txt\" }", "label_filename: cannot read"),
        (
            "model_warmup { name: \"w\" inputs { key: \"z\" value { data_type: TYPE_BOOL zero_data: true } } }",
            "no input 'z'",
        ),
    ] {
        let reason = reason(config);
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_sample_that_the_model_cannot_bear_keeps_it_from_being_ready() {
    let folder = Folder::new();
    let version = folder.path().join("gather/1");
    fs::create_dir_all(&version).unwrap();
    // An index beyond the end of what it points into.
    Model::new()
        .input("index", tensor(DType::I64, "N"))
        .output("y", tensor(DType::F32, "N"))
        .constant("table", Constant::f32(&[2], &[1.0, 2.0]))
        .node(Node::new("Gather", &["table", "index"], &["y"]))
        .write(&version.join("model.onnx"));
    fs::write(
        folder.path().join("gather/config.pbtxt"),
        "model_warmup { name: \"wild\" inputs { key: \"index\" value { data_type: TYPE_INT64 dims: 1 random_data: true } } }",
    )
    .unwrap();
    let server = Start::with(crate::support::ort()).argument(folder.path().display().to_string()).ready();
    let told = server.admin("/api/v1/service/gather").json();
    assert!(told["reason"].as_str().unwrap().contains("model_warmup 'wild': the runtime rejected"), "{told}");
}

#[test]
fn a_file_with_another_name_is_found() {
    let folder = repository("default_model_filename: \"net.onnx\"");
    let version = |number: &str| -> std::path::PathBuf { Path::new(folder.path()).join("scorer").join(number) };
    fs::rename(version("1").join("model.onnx"), version("1").join("net.onnx")).unwrap();
    assert_eq!(deployment(&serve(&folder).ready())["model"]["version"], 1);
}

#[test]
fn tritons_metrics_are_there_on_request_and_described() {
    let folder = repository("");
    assert!(!serve(&folder).ready().admin("/metrics").text().contains("nv_"));
    let server = serve(&folder).set("triton_metrics", "true").ready();
    assert_eq!(server.post("/score", r#"{"data": [[1, 2], [3, 4]]}"#).status, 200);
    assert_eq!(server.post("/score", "nothing").status, 400);
    let metric = |name: &str, reason: &str| server.metric(&format!("{name}{{model=\"scorer\",{reason}version=\"3\"}}"));
    assert_eq!(metric("nv_inference_request_success", ""), Some(1.0));
    assert_eq!(metric("nv_inference_request_failure", "reason=\"OTHER\","), Some(1.0));
    assert_eq!((metric("nv_inference_count", ""), metric("nv_inference_exec_count", "")), (Some(2.0), Some(1.0)));
    assert!(metric("nv_inference_request_duration_us", "") > metric("nv_inference_compute_infer_duration_us", ""));
    assert!(metric("nv_model_load_duration_secs", "").unwrap() > 0.0);

    let gpus = render_gpus(&[whole_gpu()], GpuNames::Triton).unwrap();
    let text = server.admin("/metrics").text().to_owned() + std::str::from_utf8(&gpus).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let exposed: std::collections::BTreeSet<_> = types.filter(|name| name.starts_with("nv_")).collect();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/triton.md");
    let document = fs::read_to_string(document).unwrap();
    let words = document.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    assert_eq!(
        words.filter(|word| word.starts_with("nv_") && word.len() > 3).collect::<std::collections::BTreeSet<_>>(),
        exposed
    );
}
