//! Other servers' clients: TensorFlow Serving's and KServe's `/v1/models`, MLflow's `/invocations`, and CSV.

use scoria::engine::fake::FakeEngine;
use scoria::engine::tract::TractEngine;
use scoria::tensor::DType;
use serde_json::json;

use crate::server::{Server, Start, bundled, identity};
use crate::support::onnx::{Model, Node, tensor};

fn echo() -> Server {
    Start::with(FakeEngine::echo()).model("echo", &identity()).ready()
}

/// Two inputs given back as two outputs.
fn pair() -> Server {
    let model = Model::new()
        .input("age", tensor(DType::F32, "N"))
        .input("sex", tensor(DType::String, "N"))
        .output("a", tensor(DType::F32, "N"))
        .output("s", tensor(DType::String, "N"))
        .node(Node::new("Identity", &["age"], &["a"]))
        .node(Node::new("Identity", &["sex"], &["s"]));
    Start::with(FakeEngine::echo()).model("pair", &model).ready()
}

#[test]
fn predictions_are_asked_for_by_rows_and_by_columns() {
    let server = echo();
    for path in ["/v1/models/echo:predict", "/v1/models/echo/versions/1:predict"] {
        let answer = server.post(path, r#"{"instances": [[1, 2], [3, 4.5]]}"#);
        assert_eq!((answer.status, answer.text()), (200, r#"{"predictions":[[1.0,2.0],[3.0,4.5]]}"#), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let answer = server.post("/v1/models/echo:predict", r#"{"inputs": {"x": [[1, 2]]}}"#);
    assert_eq!(answer.text(), r#"{"outputs":[[1.0,2.0]]}"#);
    let rows = pair().post("/v1/models/pair:predict", r#"{"instances": [{"age": 1, "sex": "f"}]}"#);
    assert_eq!(rows.text(), r#"{"predictions":[{"a":1.0,"s":"f"}]}"#);
    assert_eq!(
        server.metric("scoria_requests_total{code=\"200\",deployment=\"default\",endpoint=\"echo\"}"),
        Some(3.0)
    );
}

#[test]
fn the_signature_decides_between_rows_and_columns_and_not_the_sizes_of_an_answer() {
    let model = |boxes: &str, labels: &str| {
        Model::new()
            .input("age", tensor(DType::F32, "N"))
            .input("sex", tensor(DType::String, "N"))
            .output("a", tensor(DType::F32, boxes))
            .output("s", tensor(DType::String, labels))
            .node(Node::new("Identity", &["age"], &["a"]))
            .node(Node::new("Identity", &["sex"], &["s"]))
    };
    let server = Start::with(FakeEngine::echo())
        .model("found", &model("found", "found"))
        .model("mixed", &model("N", "1"))
        .ready();
    for name in ["found", "mixed"] {
        for (path, key, reply) in [
            (format!("/v1/models/{name}:predict"), "instances", "predictions"),
            (format!("/api/v1/service/{name}/score"), "instances", "predictions"),
            (format!("/api/v1/service/{name}/score"), "dataframe_records", "predictions"),
        ] {
            for (rows, columns) in [
                (r#"[{"age": 1, "sex": "f"}]"#, r#"{"a":[1.0],"s":["f"]}"#),
                (r#"[{"age": 1, "sex": "f"}, {"age": 2, "sex": "m"}]"#, r#"{"a":[1.0,2.0],"s":["f","m"]}"#),
            ] {
                let answer = server.post(&path, format!("{{\"{key}\": {rows}}}"));
                assert_eq!(answer.text(), format!("{{\"{reply}\":{columns}}}"), "{path} {key} {rows}");
            }
        }
    }
}

#[test]
fn strings_with_nul_characters_come_back_whole() {
    let texts = Model::new()
        .input("x", tensor(DType::String, "N"))
        .output("y", tensor(DType::String, "N"))
        .node(Node::new("Identity", &["x"], &["y"]));
    let server = Start::with(crate::support::ort()).model("texts", &texts).ready();
    let answer = server.post("/score", r#"{"data": ["a\u0000b", "", "\u0000"]}"#);
    assert_eq!((answer.status, answer.text()), (200, r#"["a\u0000b","","\u0000"]"#));
    let csv = server.request("POST", "/score", &[("content-type", "text/csv")], b"x\na\0b\n\"\"\n");
    assert_eq!((csv.status, csv.text()), (200, "y\na\0b\n\"\"\n"));
    let request = json!({ "inputs": [{ "name": "x", "shape": [1], "datatype": "BYTES", "data": ["a\0b"] }] });
    let answer = server.post("/v2/models/texts/infer", request.to_string());
    assert_eq!(answer.json()["outputs"][0]["data"], json!(["a\0b"]), "{}", answer.text());
}

#[test]
fn another_charset_is_named_where_a_body_is_no_utf_8() {
    let server = echo();
    let latin = [("content-type", "application/json; charset=\"ISO-8859-1\"")];
    let answer = server.request("POST", "/score", &latin, b"{\"data\": \"\xe9\"}");
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_body"), "{message}");
    assert!(message.contains("Latin-1") && message.contains("charset=ISO-8859-1"), "{message}");
    let plain = server.request("POST", "/score", &latin, b"{\"data\": [[1, 2]]}");
    assert_eq!((plain.status, plain.text()), (200, "[[1.0,2.0]]"), "what is ASCII is UTF-8, too");
}

#[test]
fn the_body_that_an_error_shows_is_taken() {
    let server = pair();
    for bad in ["{}", "", "[1]", r#"{"age": [1]}"#, r#"{"age": ["1"], "sex": ["f"]}"#, r#"{"age": 1, "sex": "f"}"#] {
        let answer = server.post("/score", bad);
        assert_eq!(answer.status, 400, "{bad}");
        let example = answer.json()["error"]["example"].to_string();
        assert_eq!(server.post("/score", &example).status, 200, "{bad}: {example}");
    }
}

#[test]
fn errors_of_predictions_are_one_text() {
    let server = echo();
    for (path, body, status, words) in [
        (
            "/v1/models/echo:predict",
            r#"{"instances": [[1, "x"]]}"#,
            400,
            "expected float32, got string \"x\": numbers are written without quotes; at $.instances[0][1]",
        ),
        ("/v1/models/echo:predict", r#"{"data": [[1, 2]]}"#, 400, "send {\"instances\""),
        ("/v1/models/none:predict", "{}", 404, "there is no endpoint of this name"),
        ("/v1/models/echo/versions/2:predict", "{}", 404, "this version of the model is not served"),
    ] {
        let answer = server.post(path, body);
        assert_eq!(answer.status, status, "{}", answer.text());
        let error = answer.json()["error"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(server.request("GET", "/v1/models/echo:predict", &[], b"").header("allow"), Some("POST, OPTIONS"));
    for verb in [":classify", ":regress"] {
        let answer = server.post(&format!("/v1/models/echo{verb}"), r#"{"examples": [{"x": 1}]}"#);
        assert_eq!(answer.status, 400);
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("one signature") && error.contains(":predict"), "{error}");
        assert_eq!(server.post(&format!("/v1/models/none{verb}"), "{}").status, 404);
    }
}

#[test]
fn strings_come_as_base64_where_tensorflows_clients_send_them() {
    let texts = Model::new()
        .input("x", tensor(DType::String, "N"))
        .output("y", tensor(DType::String, "N"))
        .node(Node::new("Identity", &["x"], &["y"]));
    let server = Start::with(FakeEngine::echo()).model("texts", &texts).ready();
    for (body, answer) in [
        (
            r#"{"instances": [{"b64": "aGk="}, "b64", {"b64": "aGk"}, {"b64": ""}]}"#,
            r#"{"predictions":["hi","b64","hi",""]}"#,
        ),
        (r#"{"instances": ["a", {"b64": "w6k="}]}"#, r#"{"predictions":["a","é"]}"#),
        (r#"{"instances": [{"x": {"b64": "aGk="}}]}"#, r#"{"predictions":["hi"]}"#),
        (r#"{"inputs": [{"b64": "aGk="}]}"#, r#"{"outputs":["hi"]}"#),
        (r#"{"inputs": {"x": [{"b64": "aGk="}, "a"]}}"#, r#"{"outputs":["hi","a"]}"#),
    ] {
        let got = server.post("/v1/models/texts:predict", body);
        assert_eq!((got.status, got.text()), (200, answer), "{body}");
    }
    for (body, words) in [
        (r#"{"instances": [{"b64": "a"}]}"#, "not base64"),
        (r#"{"instances": [{"b64": "a GK="}]}"#, "not base64"),
        (r#"{"instances": ["a", {"b64": "/w=="}]}"#, "not UTF-8"),
        (r#"{"instances": ["a", {"b64": 1}]}"#, "$.instances[1].b64"),
        (r#"{"instances": ["a", {"b64": "aGk=", "x": 1}]}"#, "expected string"),
    ] {
        let answer = server.post("/v1/models/texts:predict", body);
        assert!(answer.status == 400 && answer.text().contains(words), "{body}: {}", answer.text());
    }
    let rows = r#"{"instances": [{"age": 1, "sex": {"b64": "Zg=="}}, {"age": 2, "sex": "m"}]}"#;
    let answer = pair().post("/v1/models/pair:predict", rows);
    assert_eq!(answer.text(), r#"{"predictions":[{"a":1.0,"s":"f"},{"a":2.0,"s":"m"}]}"#);
    let number = r#"{"instances": [{"age": {"b64": "MQ=="}, "sex": "m"}]}"#;
    assert!(pair().post("/v1/models/pair:predict", number).text().contains("expected float32"));
    let elsewhere = server.post("/score", r#"{"instances": ["a", {"b64": "aGk="}]}"#);
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (400, "wrong_type"), "the route decides");
}

#[test]
fn a_key_is_asked_for_on_these_routes_too() {
    let server = Start::with(FakeEngine::echo()).model("echo", &identity()).set("auth", "key").ready();
    let body = br#"{"instances": [[1, 2]]}"#;
    for (path, form) in [("/v1/models/echo:predict", "error"), ("/invocations", "message")] {
        let refused = server.request("POST", path, &[], body);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert!(refused.json()[form].as_str().unwrap().contains("needs a key"), "{}", refused.text());
        let key = format!("Bearer {}", server.key("echo"));
        let typed = [("authorization", key.as_str()), ("content-type", "application/json")];
        assert_eq!(server.request("POST", path, &typed, body).status, 200);
    }
}

#[test]
fn a_models_status_and_metadata_are_told() {
    let server = Start::with(TractEngine).argument(bundled("ridge").display().to_string()).ready();
    let get = |path: &str| server.request("GET", path, &[], b"");
    let status = json!({
        "name": "ridge",
        "ready": true,
        "model_version_status": [
            { "version": "1", "state": "AVAILABLE", "status": { "error_code": "OK", "error_message": "" } }
        ],
    });
    assert_eq!(get("/v1/models/ridge").json(), status);
    assert_eq!(get("/v1/models/ridge/versions/1").json(), status);
    assert_eq!(get("/v1/models/ridge/versions/2").status, 404);
    assert_eq!(get("/v1/models/none").status, 404);
    assert_eq!(get("/v1/models").json(), json!({ "models": ["ridge"] }));
    let metadata = get("/v1/models/ridge/metadata").json();
    assert_eq!(metadata["model_spec"], json!({ "name": "ridge", "signature_name": "", "version": "1" }));
    let definition = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(definition["method_name"], "tensorflow/serving/predict");
    let input = definition["inputs"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&input["dtype"], &input["tensor_shape"]["dim"][1]["size"]), (&json!("DT_FLOAT"), &json!("10")));
}

#[test]
fn a_model_that_is_not_there_yet_is_not_ready() {
    let start = Start::with(FakeEngine::echo());
    let broken = start.file("broken.onnx", "no model");
    let server = start.argument(broken).ready();
    let status = server.request("GET", "/v1/models/broken", &[], b"");
    assert_eq!((status.status, &status.json()["ready"]), (503, &json!(false)));
    assert_eq!(status.json()["model_version_status"][0]["state"], "END");
    assert_eq!(server.request("GET", "/ping", &[], b"").status, 503);
}

#[test]
fn mlflows_forms_are_answered_with_predictions() {
    let server = echo();
    let typed = [("content-type", "application/json")];
    let invoke = |body: &str| server.request("POST", "/invocations", &typed, body.as_bytes());
    for body in [
        r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}, "params": {"max": 3}}"#,
        r#"{"dataframe_records": [{"a": 1, "b": 2}]}"#,
        r#"{"instances": [[1, 2]]}"#,
        r#"{"inputs": [[1, 2]]}"#,
        r#"{"inputs": {"x": [[1, 2]]}}"#,
    ] {
        let answer = invoke(body);
        assert_eq!((answer.status, answer.text()), (200, r#"{"predictions":[[1.0,2.0]]}"#), "{body}");
    }
    let refused = invoke(r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}}"#);
    assert_eq!((refused.status, &refused.json()["error_code"]), (400, &json!("BAD_REQUEST")));
    assert!(refused.json()["message"].as_str().unwrap().contains("; at $.dataframe_split.data[0][1]"));
    assert!(refused.json().get("error").is_none());
    assert_eq!(invoke(r#"{"data": [[1, 2]]}"#).status, 400);
    for path in ["/ping", "/health"] {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!((answer.status, answer.text()), (200, "\n"));
    }
    assert!(server.request("GET", "/version", &[], b"").text().starts_with("scoria/"));
}

#[test]
fn a_table_is_taken_as_csv_and_given_where_it_is_asked_for() {
    let server = pair();
    let csv = ("content-type", "text/csv; charset=utf-8");
    let body = b"sex,age\nf,38\n\"m, old\",22.5\n";
    let post = |path: &str, headers: &[(&str, &str)]| server.request("POST", path, headers, body);
    let answer = post("/invocations", &[csv]);
    assert_eq!(answer.text(), r#"{"predictions":[{"a":38.0,"s":"f"},{"a":22.5,"s":"m, old"}]}"#);
    let table = "a,s\n38.0,f\n22.5,\"m, old\"\n";
    for (path, headers) in [("/invocations", vec![csv, ("accept", "text/csv")]), ("/score", vec![csv])] {
        let answer = post(path, &headers);
        assert_eq!((answer.text(), answer.header("content-type")), (table, Some("text/csv")), "{path}");
    }
    let answer = post("/score", &[csv, ("accept", "application/json")]);
    assert_eq!(answer.text(), r#"{"a":[38.0,22.5],"s":["f","m, old"]}"#);
    let refused = server.request("POST", "/score", &[csv], b"age,sex\n1,f\n0x1,m\n");
    assert_eq!((refused.status, refused.code().as_str()), (400, "wrong_type"));
    assert_eq!(refused.json()["error"]["path"], "row 2, column 'age'");
    let json = [("content-type", "application/json"), ("accept", "text/csv")];
    let body = br#"{"age": [1], "sex": ["f"]}"#;
    assert_eq!(server.request("POST", "/score", &json, body).text(), "a,s\n1.0,f\n");
}
