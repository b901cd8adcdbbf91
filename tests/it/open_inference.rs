//! The Open Inference Protocol over a real server: routes, bodies, keys, compression, statistics.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use scoria::engine::fake::FakeEngine;
use scoria::engine::tract::TractEngine;
use serde_json::json;

use crate::client::Answer;
use crate::server::{Server, Start, bundled, identity};

const JSON_LENGTH: &str = "inference-header-content-length";

fn echo() -> Server {
    Start::with(FakeEngine::echo()).model("echo", &identity()).ready()
}

fn get(server: &Server, path: &str) -> Answer {
    server.request("GET", path, &[], b"")
}

fn error(answer: &Answer) -> String {
    let json = answer.json();
    let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["error"], "the protocol's errors have nothing else");
    json["error"].as_str().expect("a text").to_owned()
}

/// A request for two rows of two numbers, in binary form.
fn binary(parameters: &str) -> (String, Vec<u8>) {
    let json = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"parameters\":{{\"binary_data_size\":16}}}}]{parameters}}}"
    );
    let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    (json.len().to_string(), [json.as_bytes(), &bytes].concat())
}

const JSON_REQUEST: &str = r#"{"id":"7","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2.5]}]}"#;

#[test]
fn what_clients_read_before_they_infer() {
    let server = Start::with(TractEngine).argument(bundled("ridge").display().to_string()).ready();
    let metadata = get(&server, "/v2").json();
    assert_eq!(metadata["name"], "scoria");
    let extensions = metadata["extensions"].as_array().unwrap();
    assert!(extensions.contains(&json!("binary_tensor_data")) && !extensions.contains(&json!("model_repository")));
    assert_eq!(get(&server, "/v2/health/live").json(), json!({ "live": true }));
    assert_eq!(get(&server, "/v2/health/ready").json(), json!({ "ready": true }));
    for path in ["/v2/models/ridge", "/v2/models/ridge/versions/1"] {
        let model = get(&server, path).json();
        assert_eq!((&model["name"], &model["versions"]), (&json!("ridge"), &json!(["1"])));
        assert_eq!(model["inputs"], json!([{ "name": "features", "datatype": "FP32", "shape": [-1, 10] }]));
    }
    assert_eq!(get(&server, "/v2/models/ridge/ready").json(), json!({ "name": "ridge", "ready": true }));
    let config = get(&server, "/v2/models/ridge/config").json();
    assert_eq!((&config["input"][0]["dims"], &config["input"][0]["data_type"]), (&json!([10]), &json!("TYPE_FP32")));
    assert!(config["max_batch_size"].as_i64().unwrap() > 0);
    let index = server.post("/v2/repository/index", "").json();
    assert_eq!(index, json!([{ "name": "ridge", "version": "1", "state": "READY", "reason": "" }]));
    assert_eq!(get(&server, "/v2/trace/setting").json()["trace_level"], json!(["OFF"]));
    for path in ["/v2/models/nobody", "/v2/models/ridge/versions/9", "/v2/models/ridge/versions/9/ready"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 404);
        assert!(error(&answer).starts_with("Request for unknown model: '"), "{path}");
    }
    let wrong = get(&server, "/v2/models/ridge/infer");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(get(&server, "/v2/nothing").status, 404);
}

#[test]
fn json_in_json_out_by_any_spelling_of_the_name() {
    let server = echo();
    for path in ["/v2/models/echo/infer", "/v2/models/ECHO/versions/1/infer"] {
        let name = path.split('/').nth(3).unwrap();
        let answer = server.post(path, JSON_REQUEST);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json(),
            json!({
                "model_name": name, "model_version": "1", "id": "7",
                "outputs": [{ "name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.5] }],
            })
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header(JSON_LENGTH), None);
        assert!(answer.header("server-timing").unwrap().contains("decode;dur="));
        assert!(answer.header("x-request-id").is_some());
    }
    // As the C++ client posts it.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(server.request("POST", "/v2/models/echo/infer", &form, JSON_REQUEST.as_bytes()).status, 200);
    assert_eq!(server.post("/v2/models/echo/versions/2/infer", JSON_REQUEST).status, 404);
}

#[test]
fn bytes_in_bytes_out() {
    let server = echo();
    let (length, body) = binary(",\"parameters\":{\"binary_data_output\":true}");
    let answer = server.request("POST", "/v2/models/echo/infer", &[(JSON_LENGTH, &length)], &body);
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let json: usize = answer.header(JSON_LENGTH).unwrap().parse().unwrap();
    let head: serde_json::Value = serde_json::from_slice(&answer.body[..json]).unwrap();
    assert_eq!(head["outputs"][0]["parameters"], json!({ "binary_data_size": 16 }));
    assert_eq!(answer.body[json..], body[body.len() - 16..]);

    // A raw request is nothing but the elements.
    let answer = server.request("POST", "/v2/models/echo/infer", &[(JSON_LENGTH, "0")], &body[body.len() - 16..]);
    let json: usize = answer.header(JSON_LENGTH).unwrap().parse().unwrap();
    assert_eq!(answer.body[json..], body[body.len() - 16..]);
}

#[test]
fn what_cannot_be_is_refused_in_the_protocols_form_with_an_example_that_can() {
    let server = echo();
    let infer = |headers: &[(&str, &str)], body: &[u8]| server.request("POST", "/v2/models/echo/infer", headers, body);
    let (length, body) = binary("");
    for (headers, body) in [
        (&[][..], &b"{"[..]),
        (&[], b""),
        (&[(JSON_LENGTH, "x")], JSON_REQUEST.as_bytes()),
        (&[(JSON_LENGTH, "-1")], JSON_REQUEST.as_bytes()),
        (&[(JSON_LENGTH, "81"), (JSON_LENGTH, "81")], JSON_REQUEST.as_bytes()),
        (&[(JSON_LENGTH, "999999")], JSON_REQUEST.as_bytes()),
        (&[(JSON_LENGTH, &length)], &body[..body.len() - 1]),
        (&[], &body),
    ] {
        let answer = infer(headers, body);
        assert_eq!(answer.status, 400, "{headers:?}");
        error(&answer);
    }
    let message = error(&infer(&[], br#"{"inputs":[{"name":"z","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#));
    assert!(message.contains("no input 'z'") && message.contains("$.inputs[0]"), "{message}");
    let example = message.split_once("valid here: ").expect("an example").1;
    assert_eq!(infer(&[], example.as_bytes()).status, 200, "{example}");
    let answer = infer(&[("content-encoding", "gzip")], JSON_REQUEST.as_bytes());
    assert_eq!(answer.status, 415);
    assert!(error(&answer).contains("request_compression"));
    assert_eq!(infer(&[("x-scoria-timeout-ms", "0")], JSON_REQUEST.as_bytes()).status, 400);
    let small = Start::with(FakeEngine::echo()).model("echo", &identity()).set("max_body_bytes", "40").ready();
    assert_eq!(small.post("/v2/models/echo/infer", JSON_REQUEST).status, 413);
}

#[test]
fn models_have_their_keys_and_the_server_the_operators() {
    let start = Start::with(FakeEngine::echo()).model("a", &identity()).model("b", &identity());
    let server = start.set("auth", "key").ready();
    let ask = |method: &str, path: &str, key: Option<&str>, body: &str| {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        server.request(method, path, &headers, body.as_bytes())
    };
    let (a, b, admin) = (server.key("a"), server.key("b"), server.admin_key());
    for path in ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/a/ready"] {
        assert_eq!(ask("GET", path, None, "").status, 200, "{path}");
    }
    for path in ["/v2/models/a", "/v2/models/a/config", "/v2/models/a/stats"] {
        for (key, status) in
            [(None, 401), (Some("scoria_x"), 401), (Some(&b[..]), 403), (Some(&a), 200), (Some(&admin), 200)]
        {
            let answer = ask("GET", path, key, "");
            assert_eq!(answer.status, status, "{path} {key:?}");
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        }
    }
    for (key, status) in [(None, 401), (Some(&b[..]), 403), (Some(&admin), 401), (Some(&a), 200)] {
        assert_eq!(ask("POST", "/v2/models/a/infer", key, JSON_REQUEST).status, status);
    }
    // Everybody sees what is theirs.
    let listed = |key: Option<&str>| {
        let index = ask("POST", "/v2/repository/index", key, "").json().as_array().unwrap().len();
        let statistics = ask("GET", "/v2/models/stats", key, "").json()["model_stats"].as_array().unwrap().len();
        (index, statistics)
    };
    assert_eq!((listed(None), listed(Some(&a)), listed(Some(&admin))), ((0, 0), (1, 1), (2, 2)));
    for (path, body) in [
        ("/v2/logging", "{}"),
        ("/v2/trace/setting", "{}"),
        ("/v2/repository/models/a/load", ""),
        ("/v2/repository/models/a/unload", ""),
    ] {
        assert_eq!(ask("POST", path, None, body).status, 401, "{path}");
        assert_eq!(ask("POST", path, Some("scoria_x"), body).status, 401, "{path}");
        assert_eq!(ask("POST", path, Some(&a), body).status, 403, "{path}");
    }
    assert_eq!(ask("POST", "/v2/trace/setting", Some(&admin), "{}").status, 200);
    let closed = ask("POST", "/v2/repository/models/a/unload", Some(&admin), "");
    assert_eq!(closed.status, 503);
    assert!(error(&closed).contains("repository_mode"));
    assert_eq!(ask("GET", "/v2/models/a", Some(&a), "").status, 200, "it is still there");
}

#[test]
fn packed_bodies_are_unpacked_where_allowed_and_no_bomb_goes_off() {
    let start = Start::with(FakeEngine::echo()).model("echo", &identity()).set("max_body_bytes", "65536");
    let server = start.set("request_compression", "true").ready();
    let gzip = |plain: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    };
    let zlib = |plain: &[u8]| {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    };
    let (length, body) = binary("");
    let infer = |coding: &str, packed: &[u8]| {
        let headers = [("content-encoding", coding), (JSON_LENGTH, &length[..])];
        server.request("POST", "/v2/models/echo/infer", &headers, packed)
    };
    for (coding, packed) in [("gzip", gzip(&body)), ("deflate", zlib(&body)), ("identity", body.clone())] {
        let answer = infer(coding, &packed);
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        assert_eq!(answer.json()["outputs"][0]["data"], json!([1.0, 2.0, 3.0, 4.0]));
    }
    let bomb = gzip(&vec![b' '; 30 << 20]);
    assert!(bomb.len() < 60_000);
    let answer = server.request("POST", "/v2/models/echo/infer", &[("content-encoding", "gzip")], &bomb);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let packed = gzip(&body);
    assert_eq!(infer("gzip", &packed[..packed.len() - 4]).status, 400);
    assert_eq!(infer("gzip", &body).status, 400);
    assert_eq!(infer("br", &body).status, 415);
    assert_eq!(infer("gzip", &packed).status, 200, "it is none the worse");
}

#[test]
fn answers_are_packed_for_those_who_ask_where_it_is_worth_it() {
    let start = Start::with(FakeEngine::echo()).model("echo", &identity());
    let server = start.set("response_compression_min_bytes", "1000").ready();
    let rows = 500;
    let long = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"shape\":[{rows},2],\"datatype\":\"FP32\",\"data\":[{}]}}]}}",
        vec!["0.5"; 2 * rows].join(",")
    );
    let infer = |accepted: &str, body: &str| {
        server.request("POST", "/v2/models/echo/infer", &[("accept-encoding", accepted)], body.as_bytes())
    };
    let answer = infer("gzip, deflate", &long);
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    let mut text = String::new();
    GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, infer("identity", &long).text());
    assert_eq!(infer("gzip;q=0", &long).header("content-encoding"), None);
    assert_eq!(infer("gzip", JSON_REQUEST).header("content-encoding"), None, "too short");
    let (length, body) = binary(",\"parameters\":{\"binary_data_output\":true}");
    let headers = [("accept-encoding", "gzip"), (JSON_LENGTH, &length[..])];
    let answer = server.request("POST", "/v2/models/echo/infer", &headers, &body);
    assert_eq!(answer.header("content-encoding"), None, "binary answers are sent as they are");
}

#[test]
fn statistics_count_what_happened() {
    let server = echo();
    let (length, body) = binary("");
    for _ in 0..3 {
        assert_eq!(server.request("POST", "/v2/models/echo/infer", &[(JSON_LENGTH, &length)], &body).status, 200);
    }
    assert_eq!(server.post("/v2/models/echo/infer", "{").status, 400);
    // A request is counted before its answer is sent, so that what is read next knows of it.
    let statistics = get(&server, "/v2/models/echo/versions/1/stats").json();
    let model = &statistics["model_stats"][0];
    assert_eq!((&model["name"], &model["version"]), (&json!("echo"), &json!("1")));
    assert_eq!((&model["inference_count"], &model["execution_count"]), (&json!(6), &json!(3)));
    assert!(model["last_inference"].as_u64().unwrap() > 1_600_000_000_000);
    let stages = &model["inference_stats"];
    for (stage, count) in
        [("success", 3), ("fail", 1), ("queue", 3), ("compute_input", 3), ("compute_infer", 3), ("compute_output", 3)]
    {
        assert_eq!(stages[stage]["count"], json!(count), "{stage}: {stages}");
    }
    assert!(stages["compute_input"]["ns"].as_u64().unwrap() > 0);
    assert_eq!(model["batch_stats"][0]["batch_size"], json!(2));
    assert_eq!(model["batch_stats"][0]["compute_infer"]["count"], json!(3));
    assert_eq!(get(&server, "/v2/models/stats").json(), statistics);
}
