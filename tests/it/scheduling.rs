//! Deadlines, overload and clients that leave, with an engine that waits until a test lets it pass.

use std::net::Shutdown;

use scoria::engine::fake::{FakeEngine, Gate};

use crate::client::Connection;
use crate::server::{Server, Start, identity};

const GOOD: &[u8] = br#"{"data": [[1, 2]]}"#;

/// A server whose model waits at the gate, once it is loaded and measured.
pub fn gated(settings: &[(&'static str, &str)]) -> (Server, Gate, FakeEngine) {
    let gate = Gate::new();
    let engine = FakeEngine::echo().behind(&gate);
    let mut start = Start::with(engine.clone()).model("echo", &identity()).set("workers", "1");
    for (key, text) in settings {
        start = start.set(key, *text);
    }
    gate.open();
    let server = start.ready();
    gate.close();
    (server, gate, engine)
}

/// Sends a request and does not wait for its answer.
pub fn begin(server: &Server, headers: &str) -> Connection {
    let mut connection = server.connect();
    let length = GOOD.len();
    let head = format!("POST /score HTTP/1.1\r\nhost: test\r\n{headers}content-length: {length}\r\n\r\n");
    connection.send(&[head.as_bytes(), GOOD].concat());
    connection
}

#[test]
fn a_run_beyond_its_deadline_is_stopped_and_the_next_one_is_answered() {
    let (server, gate, _) = gated(&[("scoring_timeout_ms", "100")]);
    let answer = begin(&server, "").answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (504, "deadline_exceeded"));
    gate.open();
    assert_eq!(server.post("/score", GOOD).status, 200);
}

#[test]
fn a_client_may_shorten_the_deadline_and_not_lengthen_it() {
    let (server, gate, _) = gated(&[("scoring_timeout_ms", "200")]);
    assert_eq!(begin(&server, "x-scoria-timeout-ms: 20\r\n").answer().unwrap().status, 504);
    assert_eq!(begin(&server, "x-scoria-timeout-ms: 3600000\r\n").answer().unwrap().status, 504);
    assert_eq!(begin(&server, "x-scoria-timeout-ms: 19032293586589766018477850624\r\n").answer().unwrap().status, 504);
    for bad in ["0", "-1", "soon", "1.5", "+5", ""] {
        let answer = begin(&server, &format!("x-scoria-timeout-ms: {bad}\r\n")).answer().unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_timeout"), "{bad}");
    }
    gate.open();
}

#[test]
fn a_request_may_bound_its_wait_without_bounding_its_run() {
    let (server, gate, _) = gated(&[("max_batch", "1"), ("queue_max_wait_ms", "60000")]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let request = |timeout_us: u64| {
        format!(
            "{{\"parameters\":{{\"timeout\":{timeout_us}}},\
             \"inputs\":[{{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]}}]}}"
        )
    };
    let answer = server.post("/v2/models/echo/infer", request(20_000));
    assert_eq!(answer.status, 429, "{}", answer.text());
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    assert_eq!(server.post("/v2/models/echo/infer", request(20_000)).status, 200, "nobody is before it");
}

#[test]
fn probes_and_metrics_answer_while_the_model_runs() {
    let (server, gate, _) = gated(&[]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    assert_eq!(server.request("GET", "/", &[], b"").text(), "Healthy");
    assert_eq!(server.admin("/readyz").status, 200);
    let in_flight = r#"scoria_requests_in_flight{deployment="default",endpoint="echo"}"#;
    assert_eq!(server.metric(in_flight), Some(1.0));
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    assert_eq!(server.metric(in_flight), Some(0.0));
}

#[test]
fn a_full_queue_is_a_429_with_a_time_to_come_back() {
    let (server, gate, _) = gated(&[("queue_max_length", "1"), ("queue_max_wait_ms", "3600000")]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let mut waiting = begin(&server, "");
    server.wait_for_metric(r#"scoria_queue_depth{deployment="default",endpoint="echo"}"#, 1.0);
    let refused = server.post("/score", GOOD);
    assert_eq!((refused.status, refused.code().as_str()), (429, "queue_full"));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    gate.open();
    assert_eq!((running.answer().unwrap().status, waiting.answer().unwrap().status), (200, 200));
}

#[test]
fn too_many_requests_are_refused_before_their_bodies_are_read() {
    let (server, gate, _) = gated(&[("max_in_flight", "1")]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let refused = server.post("/score", GOOD);
    assert_eq!((refused.status, refused.code().as_str()), (429, "overloaded"));
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    assert_eq!(server.post("/score", GOOD).status, 200);
}

#[test]
fn what_a_client_that_left_was_waiting_for_is_not_run() {
    let (server, gate, engine) = gated(&[]);
    let before = engine.runs();
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let leaving = begin(&server, "");
    server.wait_for_metric(r#"scoria_queue_depth{deployment="default",endpoint="echo"}"#, 1.0);
    drop(leaving);
    server.wait_for_metric(r#"scoria_requests_in_flight{deployment="default",endpoint="echo"}"#, 1.0);
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    assert_eq!(server.post("/score", GOOD).status, 200);
    assert_eq!(engine.runs(), before + 2);
}

#[test]
fn a_run_whose_only_client_has_left_is_ended_and_the_next_one_is_answered() {
    // On the connection's own thread, which reads nothing meanwhile, and on a worker's.
    for execution in ["combining", "pooled"] {
        let (server, gate, engine) = gated(&[("execution", execution)]);
        let interrupted = engine.interrupted();
        let leaving = begin(&server, "");
        gate.wait_for_arrivals(1);
        drop(leaving);
        // Nobody opens the gate.
        server.wait_for_metric(r#"scoria_requests_abandoned_total{deployment="default",endpoint="echo"}"#, 1.0);
        let mut next = begin(&server, "");
        gate.wait_for_arrivals(2);
        assert_eq!(engine.interrupted(), interrupted + 1, "{execution}");
        let expired = server.metric(r#"scoria_requests_total{code="504",deployment="default",endpoint="echo"}"#);
        assert_eq!(expired, None, "{execution}: it is told as what it is");
        gate.open();
        assert_eq!(next.answer().unwrap().status, 200);
    }
}

#[test]
fn a_client_that_stops_sending_after_a_further_request_has_the_one_in_work_answered() {
    let (server, gate, _) = gated(&[("execution", "combining")]);
    let mut client = begin(&server, "");
    gate.wait_for_arrivals(1);
    let head = format!("POST /score HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", GOOD.len());
    client.send(&[head.as_bytes(), GOOD].concat());
    client.stream().shutdown(Shutdown::Write).unwrap();
    gate.open();
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn requests_that_wait_together_share_a_run_and_each_gets_its_own_answer() {
    let (server, gate, engine) = gated(&[("max_batch", "8"), ("execution", "combining")]);
    let before = engine.runs();
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let mut waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for (index, connection) in waiting.iter_mut().enumerate() {
        let body = format!(r#"{{"data": [[{index}, 0]]}}"#);
        let head = format!("POST /score HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.send(&[head.as_bytes(), body.as_bytes()].concat());
    }
    server.wait_for_metric(r#"scoria_queue_depth{deployment="default",endpoint="echo"}"#, 3.0);
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    for (index, connection) in waiting.iter_mut().enumerate() {
        assert_eq!(connection.answer().unwrap().text(), format!("[[{index}.0,0.0]]"));
    }
    assert_eq!(engine.runs(), before + 2);
}

#[test]
fn a_priority_is_one_of_three() {
    let (server, gate, _) = gated(&[]);
    gate.open();
    for good in ["high", "normal", "low"] {
        assert_eq!(server.request("POST", "/score", &[("x-scoria-priority", good)], GOOD).status, 200, "{good}");
    }
    for bad in ["urgent", "HIGH", ""] {
        let refused = server.request("POST", "/score", &[("x-scoria-priority", bad)], GOOD);
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_priority"), "{bad}");
        assert!(refused.text().contains("high, normal, low"), "{}", refused.text());
    }
}

#[test]
fn endpoints_of_one_server_may_have_settings_of_their_own() {
    let tables = "[endpoints.alone]\nmax_batch = 1\nworkers = 2\n[endpoints.together]\nscoring_timeout_ms = 100";
    let gate = Gate::new();
    gate.open();
    let start =
        Start::with(FakeEngine::echo().behind(&gate)).model("alone", &identity()).model("together", &identity());
    let server = start.set("max_batch", "8").set("workers", "1").endpoints(tables).ready();
    let told = |name: &str| {
        let status = server.admin(&format!("/api/v1/service/{name}")).json();
        let deployment = &status["deployments"][0];
        (deployment["max_batch"].clone(), deployment["workers"].clone())
    };
    assert_eq!(told("alone"), (1.into(), 2.into()));
    assert_eq!(told("together"), (8.into(), 1.into()));
    gate.close();
    assert_eq!(server.post("/api/v1/service/together/score", GOOD).status, 504, "its own deadline");
    gate.open();
}

#[test]
fn settings_for_an_endpoint_that_is_not_served_are_an_error_that_lists_those_that_are() {
    let start = Start::with(FakeEngine::echo()).model("ridge", &identity()).model("wine", &identity());
    let error = start.endpoints("[endpoints.rigde]\nworkers = 1").try_now().err().unwrap().to_string();
    assert!(error.contains("[endpoints.rigde]") && error.contains("served are ridge, wine"), "{error}");
}
