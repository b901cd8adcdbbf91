//! What operators see.

use scoria::engine::RunError;
use scoria::engine::fake::{FakeEngine, Gate};
use scoria::engine::tract::TractEngine;

use crate::server::{Start, bundled, identity};

#[test]
fn readiness_says_what_can_be_served() {
    let gate = Gate::new();
    let start = || Start::with(FakeEngine::echo().behind(&gate)).model("echo", &identity());
    let server = start().now();
    let answer = server.admin("/readyz");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("loading")));
    let loading = server.post("/score", r#"{"data": [[1, 2]]}"#);
    assert_eq!((loading.status, loading.code().as_str()), (503, "model_loading"));
    assert!(loading.header("retry-after").is_some());
    for path in ["/livez", "/healthz", "/"] {
        assert_eq!(server.admin(path).status, 200);
        assert_eq!(server.request("GET", path, &[], b"").status, 200);
    }
    gate.open();
    server.app().block_on(server.app().loaded());
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.request("GET", "/readyz", &[], b"").json()["endpoints"]["echo"], "ready");
}

#[test]
fn a_model_that_does_not_load_is_reported_and_disturbs_nobody() {
    let start = || {
        let start = Start::with(TractEngine).argument(bundled("ridge").display().to_string());
        let broken = std::env::temp_dir().join(format!("scoria-broken-{}.onnx", std::process::id()));
        std::fs::write(&broken, "this is no model").unwrap();
        start.argument(format!("broken={}", broken.display()))
    };
    let server = start().ready();
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.admin("/readyz").json()["endpoints"]["broken"], "failed");
    let answer = server.post("/api/v1/service/broken/score", "{}");
    assert_eq!((answer.status, answer.code().as_str()), (503, "model_not_loaded"));
    assert_eq!(server.post("/api/v1/service/ridge/score", r#"{"data": [[1,2,3,4,5,6,7,8,9,10]]}"#).status, 200);
    let told = server.admin("/api/v1/service/broken").json();
    assert!(told["reason"].as_str().unwrap().contains("is not an ONNX model"), "{told}");

    let strict = start().set("strict_readiness", "true").ready();
    let answer = strict.admin("/readyz");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("degraded")));
}

#[test]
fn a_model_that_the_engine_turns_out_to_lack_is_not_ready() {
    let engine = FakeEngine::new(|_| Err(RunError::Unsupported("no such kernel".to_owned())));
    let server = Start::with(engine).model("m", &identity()).ready();
    assert_eq!(server.admin("/readyz").status, 503);
    let told = server.admin("/api/v1/service/m").json();
    assert!(told["reason"].as_str().unwrap().contains("no such kernel; use the other engine"), "{told}");
}

#[test]
fn nothing_loaded_is_not_ready() {
    let server = Start::with(FakeEngine::unloadable("no")).model("m", &identity()).ready();
    let answer = server.admin("/readyz");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("failed")));
}

#[test]
fn services_are_described_to_the_admin_key_only() {
    let start = Start::with(TractEngine).argument(bundled("ridge").display().to_string());
    let server = start.set("auth", "key").set("providers", "cuda,cpu").ready();
    let ask = |key: Option<&str>| {
        let authorization = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        server.connect_admin().request("GET", "/api/v1/service/ridge", &headers, b"")
    };
    assert_eq!(ask(None).status, 401);
    assert_eq!(ask(Some("scoria_nonsense")).status, 401);
    assert_eq!(ask(Some(&server.key("ridge"))).code(), "admin_key_required");
    let told = ask(Some(&server.admin_key())).json();
    assert_eq!(told["inputs"][0]["type"], "float32[N, 10]");
    let deployment = &told["deployments"][0];
    assert_eq!(deployment["engine"]["name"], "tract");
    assert_eq!(deployment["providers"]["asked"], serde_json::json!(["cuda", "cpu"]));
    assert_eq!(deployment["providers"]["got"], serde_json::json!(["cpu"]));
    assert!(deployment["providers"]["missing"]["cuda"].is_string());
    assert_eq!(deployment["model"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let server = Start::with(FakeEngine::echo()).model("echo", &identity()).ready();
    for body in [r#"{"data": [[1, 2]]}"#, r#"{"data": [[3, 4]]}"#, "nonsense"] {
        server.post("/score", body);
    }
    server.post("/nowhere", "");
    let labels = r#"deployment="default",endpoint="echo""#;
    let counted = |code: u16| server.metric(&format!(r#"scoria_requests_total{{code="{code}",{labels}}}"#));
    assert_eq!((counted(200), counted(400), counted(500)), (Some(2.0), Some(1.0), None));
    assert_eq!(server.metric(r#"scoria_unrouted_requests_total{code="404"}"#), Some(1.0));
    let stage = format!(r#"scoria_stage_duration_seconds_count{{{labels},stage="run"}}"#);
    assert_eq!(server.metric(&stage), Some(2.0));
    assert_eq!(server.metric(&format!("scoria_deployment_ready{{{labels}}}")), Some(1.0));
}

#[test]
fn keys_never_show_in_what_the_server_says() {
    let server = Start::with(FakeEngine::failing("no")).model("echo", &identity()).set("auth", "key").ready();
    let keys = [server.key("echo"), server.admin_key()];
    let authorization = format!("Bearer {}", keys[0]);
    let headers = [("authorization", authorization.as_str())];
    let mut said = String::new();
    for (path, body) in [("/score", "{"), ("/score", r#"{"data": [[1, 2]]}"#), ("/nowhere", "")] {
        let answer = server.request("POST", path, &headers, body.as_bytes());
        said += &format!("{:?}{}", answer.headers, answer.text());
    }
    said += server.admin("/metrics").text();
    let admin = format!("Bearer {}", keys[1]);
    said += server.connect_admin().request("GET", "/api/v1/service", &[("authorization", &admin)], b"").text();
    for key in keys {
        assert!(!said.contains(&key["scoria_".len()..]));
    }
}
