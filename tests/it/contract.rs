//! What a scoring client sees: routes, dialects, headers, keys, errors.

use scoria::engine::RunError;
use scoria::engine::fake::FakeEngine;
use scoria::engine::tract::TractEngine;
use scoria::tensor::DType;
use serde_json::json;

use crate::server::{Server, Start, bundled, identity};
use crate::support::onnx::{Model, Node, tensor};

fn ridge() -> Server {
    Start::with(TractEngine).argument(bundled("ridge").display().to_string()).set("auth", "key").ready()
}

fn echo() -> Server {
    Start::with(FakeEngine::echo()).model("echo", &identity()).ready()
}

#[test]
fn the_seeds_request_is_answered() {
    let server = ridge();
    let authorization = format!("Bearer {}", server.key("ridge"));
    // As Python's requests sends `data=json.dumps(…)`: no content type.
    let body = br#"{"data": [[1,2,3,4,5,6,7,8,9,10], [10,9,8,7,6,5,4,3,2,1]]}"#;
    for path in ["/score", "/api/v1/service/ridge/score"] {
        let answer = server.request("POST", path, &[("Authorization", &authorization)], body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let scores: Vec<[f64; 1]> = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(scores.len(), 2);
        assert!((scores[1][0] - -307.948_67).abs() < 1e-2, "{scores:?}");
    }
}

#[test]
fn a_key_is_required_and_only_the_right_one_will_do() {
    let start = Start::with(FakeEngine::echo()).model("a", &identity()).model("b", &identity());
    let server = start.set("auth", "key").ready();
    let body = br#"{"data": [[1, 2]]}"#;
    let score = |authorization: Option<String>| {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        server.request("POST", "/api/v1/service/a/score", &headers, body)
    };
    for (authorization, status, code) in [
        (None, 401, "key_required"),
        (Some("Basic Zm9v".to_owned()), 401, "key_required"),
        (Some("Bearer".to_owned()), 401, "key_required"),
        (Some("Bearer scoria_wrong".to_owned()), 401, "unknown_key"),
        (Some(format!("Bearer {}", server.key("b"))), 403, "wrong_endpoint"),
        (Some(format!("Bearer {}", server.admin_key())), 401, "unknown_key"),
    ] {
        let answer = score(authorization.clone());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{authorization:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    let good = format!("Bearer {}", server.key("a"));
    let twice = [("authorization", good.as_str()), ("authorization", "Bearer other")];
    assert_eq!(server.request("POST", "/api/v1/service/a/score", &twice, body).code(), "key_required");
    let secondary = crate::server::read_key(&server.folder().join("state/keys/a.secondary.key"));
    for key in [server.key("a"), secondary] {
        assert_eq!(score(Some(format!("Bearer {key}"))).status, 200);
        assert_eq!(score(Some(format!("bearer  {key} "))).status, 200, "the scheme's case and spaces do not matter");
    }
}

#[test]
fn a_bad_body_is_told_where_what_and_how_to_do_it_right() {
    let server = echo();
    let answer = server.post("/score", r#"{"data": [[1, 2], [3, "four"]]}"#);
    assert_eq!(answer.status, 400);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "wrong_type");
    assert_eq!(error["path"], "$.data[1][1]");
    assert!(error["expected"].as_str().unwrap().contains("float32"), "{error}");
    assert!(error["got"].as_str().unwrap().contains("four"), "{error}");
    assert_eq!(answer.json()["message"], error["message"]);
    let example = error["example"].to_string();
    assert_eq!(server.post("/score", &example).status, 200, "the example is valid: {example}");
}

#[test]
fn replies_come_in_the_dialect_of_the_request() {
    let server = echo();
    for (body, reply) in [
        (r#"{"data": [[1, 2]]}"#, json!([[1.0, 2.0]])),
        (r#"{"x": [[1, 2]]}"#, json!([[1.0, 2.0]])),
        (r#"{"input_data": {"columns": ["a", "b"], "index": [0], "data": [[1, 2]]}}"#, json!([[1.0, 2.0]])),
        (r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}"#, json!({"predictions": [[1.0, 2.0]]})),
        (r#"{"dataframe_records": [{"a": 1, "b": 2}]}"#, json!({"predictions": [[1.0, 2.0]]})),
        (r#"{"instances": [[1, 2]]}"#, json!({"predictions": [[1.0, 2.0]]})),
        (r#"{"inputs": [[1, 2]]}"#, json!({"outputs": [[1.0, 2.0]]})),
        (r#"{"Inputs": {"data": [{"a": 1, "b": 2}]}, "GlobalParameters": 1}"#, json!({"Results": [[1.0, 2.0]]})),
    ] {
        let answer = server.post("/score", body);
        assert_eq!((answer.status, answer.json()), (200, reply), "{body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn binary_bodies_are_answered_in_kind_unless_another_is_accepted() {
    let server = echo();
    let raw: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    let octets = ("content-type", "application/octet-stream");
    let answer = server.request("POST", "/score", &[octets], &raw);
    assert_eq!((answer.status, &answer.body), (200, &raw));
    assert_eq!(answer.header("x-scoria-shape"), Some("1,2"));
    assert_eq!(answer.header("x-scoria-dtype"), Some("float32"));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));

    let answer = server.request("POST", "/score", &[octets, ("accept", "text/html, application/json;q=0.9")], &raw);
    assert_eq!((answer.header("content-type"), answer.text()), (Some("application/json"), "[[1.5,-2.0]]"));

    let answer = server.request("POST", "/score", &[("accept", "application/x-npy")], br#"{"data": [[1, 2]]}"#);
    assert_eq!(answer.header("content-type"), Some("application/x-npy"));
    assert!(answer.body.starts_with(b"\x93NUMPY"));
    let again = server.request("POST", "/score", &[("content-type", "application/x-npy")], &answer.body);
    assert_eq!(again.body, answer.body);

    let answer = server.request("POST", "/score", &[("content-type", "image/png")], b"\x89PNG");
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));
}

#[test]
fn a_query_scores_too() {
    let server = echo();
    let answer = server.request("GET", "/score?data=%5B%5B1,2%5D%5D", &[], b"");
    assert_eq!((answer.status, answer.text()), (200, "[[1.0,2.0]]"));
    assert_eq!(server.request("GET", "/score", &[], b"").status, 400);
}

#[test]
fn every_answer_carries_its_ids() {
    let server = echo();
    let ids = [("x-request-id", "mine"), ("x-ms-client-request-id", "cli"), ("traceparent", "00-ab-cd-01")];
    for (method, path, status) in
        [("POST", "/score", 400), ("GET", "/", 200), ("GET", "/nowhere", 404), ("PUT", "/score", 405)]
    {
        let answer = server.request(method, path, &ids, b"");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-request-id"), Some("mine"));
        assert_eq!(answer.header("x-ms-request-id"), Some("cli"));
        assert_eq!(answer.header("x-ms-client-request-id"), Some("cli"));
        assert_eq!(answer.header("traceparent"), Some("00-ab-cd-01"));
        assert!(answer.header("x-ms-server-version").is_some());
    }
    let answer = server.request("POST", "/score", &[("x-request-id", &"x".repeat(101))], br#"{"data": [[1, 2]]}"#);
    assert_eq!((answer.status, answer.code().as_str()), (431, "request_id_too_long"));
    let answer = server.post("/score", r#"{"data": [[1, 2]]}"#);
    let timing = answer.header("server-timing").unwrap();
    for stage in ["auth", "read", "decode", "queue", "run", "encode"] {
        assert!(timing.contains(&format!("{stage};dur=")), "{timing}");
    }
    assert_eq!(answer.header("azureml-model-deployment"), Some("default"));
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
}

#[test]
fn wrong_routes_and_methods_are_told_apart() {
    let server = echo();
    assert_eq!(server.request("GET", "/metrics", &[], b"").code(), "unknown_route");
    assert_eq!(server.post("/api/v1/service/other/score", "{}").code(), "unknown_endpoint");
    assert_eq!(server.post("/api/v1/service/%2e%2e/score", "{}").code(), "unknown_endpoint");
    let answer = server.request("DELETE", "/score", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST, OPTIONS")));
    let pinned = server.request("POST", "/score", &[("azureml-model-deployment", "green")], b"{}");
    assert_eq!((pinned.status, pinned.code().as_str()), (404, "unknown_deployment"));
    let pinned = server.request("POST", "/score", &[("azureml-model-deployment", "default")], br#"{"data": [[1, 2]]}"#);
    assert_eq!(pinned.status, 200);
}

#[test]
fn cors_is_off_unless_configured() {
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    let answer = echo().request("OPTIONS", "/score", &preflight, b"");
    assert_eq!((answer.status, answer.body.len(), answer.header("access-control-allow-origin")), (200, 0, None));

    let start = Start::with(FakeEngine::echo()).model("echo", &identity());
    let server = start.set("cors_origins", "https://app.example").ready();
    let answer = server.request("OPTIONS", "/score", &preflight, b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    for path in ["/v2/models/echo/infer", "/v2/models/echo", "/v1/models/echo:predict", "/invocations"] {
        let answer = server.request("OPTIONS", path, &preflight, b"");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"), "{path}");
        let allowed = answer.header("access-control-allow-headers").unwrap_or_default();
        assert!(allowed.contains("inference-header-content-length"), "{path}: {allowed}");
    }
    let answer = server.request("POST", "/v2/models/echo/infer", &preflight[..1], b"not JSON");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, Some("https://app.example")));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    assert!(exposed.contains("inference-header-content-length"), "{exposed}");
    for path in ["/v2/repository/models/echo/load", "/v2/logging", "/v2/systemsharedmemory/unregister"] {
        let answer = server.request("OPTIONS", path, &preflight, b"");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None), "{path}");
    }
    let answer = server.request("POST", "/score", &preflight[..1], b"not JSON");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"), "errors can be read too");
    assert_eq!(
        server.request("POST", "/score", &[("origin", "https://x.example")], b"").header("access-control-allow-origin"),
        None
    );
}

#[test]
fn several_models_have_no_default_unless_one_is_named() {
    let two = || Start::with(FakeEngine::echo()).model("a", &identity()).model("b", &identity());
    let body = r#"{"data": [[1, 2]]}"#;
    assert_eq!(two().ready().post("/score", body).code(), "no_default_endpoint");
    assert_eq!(two().set("default_endpoint", "b").ready().post("/score", body).status, 200);
    let named = Start::with(FakeEngine::echo()).model("a", &identity()).model("default", &identity());
    assert_eq!(named.ready().post("/score", body).status, 200);
}

#[test]
fn a_failing_run_is_a_500_without_details_and_a_rejected_one_a_400() {
    for (engine, status, code) in [
        (FakeEngine::failing("secret at 0x7f"), 500, "model_failed"),
        (FakeEngine::panicking(), 500, "model_failed"),
        (FakeEngine::rejecting("secret at 0x7f"), 400, "input_rejected"),
    ] {
        let server = Start::with(engine).model("m", &identity()).ready();
        let answer = server.post("/score", r#"{"data": [[1, 2]]}"#);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
}

#[test]
fn a_panic_fails_its_own_request_and_no_other() {
    // Two rows panic, any other number of them is echoed.
    let engine = FakeEngine::new(|call| match call.inputs[0].shape()[0] {
        2 => panic!("the fake engine was asked to panic"),
        _ => call.echo(),
    });
    let server = Start::with(engine).model("m", &identity()).set("workers", "1").ready();
    let (good, bad) = (r#"{"data": [[1, 2]]}"#, r#"{"data": [[1, 2], [3, 4]]}"#);
    let mut connection = server.connect();
    for _ in 0..20 {
        // On the same connection and over others, by the same session.
        let mut others: Vec<_> = (0..4).map(|_| server.connect()).collect();
        let answer = connection.request("POST", "/score", &[], bad.as_bytes());
        assert_eq!((answer.status, answer.code().as_str()), (500, "model_failed"));
        assert_eq!(connection.request("POST", "/score", &[], good.as_bytes()).text(), "[[1.0,2.0]]");
        for other in &mut others {
            assert_eq!(other.request("POST", "/score", &[], good.as_bytes()).text(), "[[1.0,2.0]]");
        }
    }
    assert_eq!(server.metric(r#"scoria_requests_in_flight{deployment="default",endpoint="m"}"#), Some(0.0));
    assert_eq!(server.admin("/readyz").status, 200);
}

#[test]
fn inputs_that_disagree_about_a_named_dimension_are_told_which_when_the_run_fails() {
    let kind = || tensor(DType::F32, "N");
    let model = Model::new().input("a", kind()).input("b", kind()).output("c", kind()).node(Node::new(
        "Add",
        &["a", "b"],
        &["c"],
    ));
    let server = Start::with(crate::support::ort()).model("add", &model).ready();
    let answer = server.post("/score", r#"{"a": [1, 2], "b": [1, 2, 3]}"#);
    assert_eq!((answer.status, answer.code().as_str()), (400, "wrong_shape"));
    assert!(answer.text().contains("dimension 'N' is 2 in input 'a' but 3 in input 'b'"), "{}", answer.text());
}

#[test]
fn numbers_that_a_type_cannot_hold_are_refused() {
    let kind = || tensor(DType::I64, "N");
    let model = Model::new().input("x", kind()).output("y", kind()).node(Node::new("Identity", &["x"], &["y"]));
    let server = Start::with(FakeEngine::echo()).model("m", &model).ready();
    let answer = server.post("/score", r#"{"data": [3.0, -9223372036854775808, 9223372036854775807]}"#);
    assert_eq!(answer.text(), "[3,-9223372036854775808,9223372036854775807]");
    for number in ["0.9", "9223372036854775808", "1e400"] {
        let answer = server.post("/score", format!(r#"{{"data": [{number}]}}"#));
        assert_eq!((answer.status, answer.code().as_str()), (400, "lossy_number"), "{number}");
    }
}

#[test]
fn what_json_cannot_carry_is_null_or_an_error_as_the_endpoint_says() {
    let server = |policy: &str| {
        let start = Start::with(FakeEngine::echo()).model("m", &identity());
        start.set("non_finite_output", policy).set("null_input", "nan").ready()
    };
    let body = r#"{"data": [[null, 1]]}"#;
    assert_eq!(server("null").post("/score", body).text(), "[[null,1.0]]");
    let strict = server("error");
    let answer = strict.post("/score", body);
    assert_eq!((answer.status, answer.code().as_str()), (406, "reply_not_representable"));
    assert_eq!(
        strict.request("POST", "/score", &[("accept", "application/octet-stream")], body.as_bytes()).status,
        200
    );
    assert_eq!(echo().post("/score", body).code(), "wrong_type");
}

#[test]
fn what_the_model_does_not_run_on_is_not_shown_as_an_example() {
    let engine = FakeEngine::new(|call| match call.inputs[0].shape()[0] {
        1 => Err(RunError::Rejected("one row is not enough".to_owned())),
        _ => call.echo(),
    });
    let server = Start::with(engine).model("m", &identity()).ready();
    let answer = server.post("/score", r#"{"data": [[1]]}"#);
    assert_eq!((answer.status, answer.json()["error"].get("example")), (400, None));
    assert_eq!(server.post("/score", r#"{"data": [[1, 2], [3, 4]]}"#).status, 200);
}

#[test]
fn a_shape_that_is_no_text_is_refused() {
    let headers = [("content-type", "application/octet-stream"), ("x-scoria-shape", "\u{661},2")];
    let answer = echo().request("POST", "/score", &headers, &[0; 8]);
    assert_eq!(answer.status, 400, "{}", answer.text());
}
