//! Deployments that ask for GPUs, as far as a machine without one can tell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scoria::engine::fake::FakeEngine;
use scoria::provider::Provider;
use serde_json::{Value, json};

use crate::fleet::{self, Fleet};
use crate::server::{Server, Start, bundled, identity};
use crate::support;

/// Looks until the status of an endpoint is as it is to be: it has no other event to be waited for from outside.
fn wait_for(server: &Server, endpoint: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let told = server.admin(&format!("/api/v1/service/{endpoint}")).json();
        if is_so(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{endpoint} never came so far: {told}");
        thread::yield_now();
    }
}

#[test]
fn no_request_is_lost_when_what_was_built_takes_over() {
    let engine = FakeEngine::echo().building(Provider::TensorRt, Ok(()));
    let server = Start::with(engine).model("echo", &identity()).set("providers", "tensorrt,cpu").ready();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let mut answers = 0;
                    while !is_over.load(Ordering::Acquire) {
                        let path = "/api/v1/service/echo/score";
                        let answer = connection.request("POST", path, &[], br#"{"data": [[1, 2]]}"#);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        let told = wait_for(&server, "echo", |told| told["deployments"][0]["providers"]["got"][0] == "tensorrt");
        let providers = &told["deployments"][0]["providers"];
        assert_eq!(providers, &json!({ "asked": ["tensorrt", "cpu"], "got": ["tensorrt", "cpu"], "missing": {} }));
        is_over.store(true, Ordering::Release);
        assert!(clients.into_iter().map(|client| client.join().expect("no answer was wrong")).sum::<usize>() > 0);
    });
}

/// ONNX Runtime's library for the processor has neither.
#[test]
fn what_cannot_be_had_is_told_with_a_remedy_and_the_rest_serves() {
    let start = Start::with(support::ort()).argument(bundled("ridge").display().to_string());
    let options = "tensorrt.trt_fp16_enable=1,cuda.device_id=0";
    let server = start.set("providers", "tensorrt,cuda,cpu").set("provider_options", options).ready();
    let told = wait_for(&server, "ridge", |told| {
        told["states"][0]["reason"].as_str().is_some_and(|reason| reason.starts_with("not built for tensorrt"))
    });
    assert_eq!(told["states"][0]["state"], "ready");
    let providers = &told["deployments"][0]["providers"];
    assert_eq!((&providers["got"], &providers["pending"]), (&json!(["cpu"]), &json!(["tensorrt"])));
    for reason in [&told["states"][0]["reason"], &providers["missing"]["cuda"]] {
        let reason = reason.as_str().expect("a reason");
        assert!(reason.contains("is built without ") && reason.contains("make gpu"), "{reason}");
    }
    let answer = server.post("/score", r#"{"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_specification_names_providers_and_their_options_but_no_places_on_disk() {
    let fleet = Fleet::of_two_versions();
    let server = fleet.start().ready();
    let deploy = |settings: Value| {
        let body = json!({ "model": "m:1", "settings": settings }).to_string();
        let headers = [("content-type", "application/json")];
        server.connect_admin().request("POST", "/api/v1/endpoints/e/deploy", &headers, body.as_bytes())
    };
    let answer = deploy(json!({ "providers": ["cuda", "cpu"], "provider_options": ["cuda.device_id=0,1"] }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    fleet::wait_for(&server, "e", "blue", "m:1");
    let told = server.admin("/api/v1/service/e").json();
    assert_eq!(told["deployments"][0]["providers"]["asked"], json!(["cuda", "cpu"]));
    for (settings, expected) in [
        (json!({ "providers": "cuda" }), "expected a list"),
        (json!({ "providers": ["cuda"], "provider_options": ["cuda.tf32=1"] }), "did you mean 'use_tf32'?"),
        (json!({ "provider_options": ["cuda.use_tf32=1"] }), "cuda is not among the providers"),
        (
            json!({ "providers": ["tensorrt"], "provider_options": ["tensorrt.trt_engine_cache_path=/etc"] }),
            "a place on the server's disk",
        ),
    ] {
        let answer = deploy(settings);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}
