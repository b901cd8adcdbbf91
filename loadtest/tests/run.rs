//! Real runs against servers in this process. What a server does next is decided by what has come to it, never by a clock.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod server;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scoria_loadtest::bare::{Reading, serve};
use scoria_loadtest::check::check;
use scoria_loadtest::load::{LoadError, Measured, carry_out};
use scoria_loadtest::resolve::{Job, jobs};
use serde_json::Value;
use tokio::sync::{Barrier, Semaphore};

use server::Server;

/// A run of one phase, without warm-up.
fn job(server: &Server, settings: &str) -> Job {
    let text = format!("url = '{}'\nwarm_up = '0s'\ninput = ['x:float32:1x4']\n{settings}", server.url());
    jobs(&[toml::from_str(&text).unwrap()]).unwrap().remove(0)
}

fn run(server: &Server, settings: &str) -> Measured {
    let job = job(server, settings);
    carry_out(&job.run, job.watch, &mut |_, _| {}).unwrap().remove(0)
}

/// Answers only if as many requests are in flight as there are lanes.
fn all_lanes_fly(settings: &str, lanes: usize) {
    let barrier = Arc::new(Barrier::new(lanes));
    let server = Server::http(move |_| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            200
        }
    });
    let measured = run(&server, &format!("duration = '400ms'\n{settings}"));
    let record = &measured.record;
    assert!(record.ok() >= lanes as u64, "{record:?}");
    assert_eq!((record.refused(), record.failed(), measured.reconnects), (0, 0, 0));
    assert_eq!(record.latency.len(), record.ok());
    assert_eq!(record.timeline[0].ok, record.ok());
    // Bodies come in rotation, so that the first eight differ at least.
    let bodies = server.bodies();
    assert!(bodies.iter().collect::<BTreeSet<_>>().len() >= bodies.len().min(8));
    assert!(bodies.iter().all(|body| body.starts_with(b"{\"data\":[[")));
    // At the end each lane had one in flight, and none is lost.
    assert_eq!(bodies.len() as u64, record.ok() + record.unfinished);
}

#[test]
fn every_connection_has_a_request_in_flight() {
    all_lanes_fly("connections = 4", 4);
}

#[test]
fn threads_share_the_connections() {
    all_lanes_fly("connections = 5\nthreads = 2\nbodies = 1000", 5);
}

#[test]
fn every_stream_of_http2_has_a_request_in_flight() {
    all_lanes_fly("protocol = 'http2'\nconnections = 2\nstreams = 3", 6);
}

#[test]
fn an_open_loop_counts_the_wait_for_a_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::http({
        let gate = Arc::clone(&gate);
        move |_| {
            let gate = Arc::clone(&gate);
            async move {
                drop(gate.acquire().await.unwrap());
                200
            }
        }
    });
    // 50 arrivals, 20 ms apart. The first two take both connections, until the gate opens in the middle of the run.
    let job = job(&server, "connections = 2\nrate = 50.0\narrivals = 'constant'\nduration = '1s'");
    let measured = carry_out(&job.run, job.watch, &mut |passed, _| {
        if passed >= Duration::from_millis(500) {
            gate.add_permits(2);
        }
    });
    let record = measured.unwrap().remove(0).record;
    let unsent = record.failures.unsent;
    assert_eq!(record.ok() + unsent, 50);
    assert_eq!(record.failed(), unsent);
    // Whoever was to be sent in the first 400 ms had 100 ms to wait at least.
    let waited = record.latency.count_between(100_000_000, u64::MAX);
    assert!(waited + unsent >= 21, "{waited} waited");
    assert!(record.service_time.count_between(100_000_000, u64::MAX) >= 2);
    assert!(record.latency.mean() > record.service_time.mean());
}

#[test]
fn phases_follow_each_other_on_the_same_connections() {
    let server = Server::http(|_| async { 200 });
    let step = |extra: &str| {
        let url = server.url();
        let text = format!("url = '{url}'\ninput = ['x:float32:1']\nconnections = 2\narrivals = 'constant'\n{extra}");
        toml::from_str(&text).unwrap()
    };
    let steps = [
        step("rate = 100.0\nwarm_up = '100ms'\nduration = '200ms'"),
        step("rate = 200.0\nwarm_up = '0s'\nduration = '200ms'"),
    ];
    let [job] = &jobs(&steps).unwrap()[..] else { panic!("one run") };
    let measured = carry_out(&job.run, job.watch, &mut |_, _| {}).unwrap();
    let begun: Vec<u64> = measured.iter().map(|m| m.record.ok() + m.record.failed()).collect();
    assert_eq!(begun, [20, 40]);
    assert_eq!(server.connections(), 2);
    assert!(measured.iter().all(|measured| measured.reconnects == 0));
}

#[test]
fn what_a_step_could_not_send_does_not_burden_the_next() {
    // Nothing is answered until the second step has begun, so that the first one keeps its only connection.
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::http({
        let gate = Arc::clone(&gate);
        move |_| {
            let gate = Arc::clone(&gate);
            async move {
                drop(gate.acquire().await.unwrap());
                200
            }
        }
    });
    let url = server.url();
    let step = |settings: &str| {
        let text = format!("url = '{url}'\ninput = ['x:float32:1']\nwarm_up = '0s'\narrivals = 'constant'\n{settings}");
        toml::from_str(&text).unwrap()
    };
    let steps = [step("rate = 100.0\nduration = '300ms'"), step("rate = 10.0\nduration = '1s'")];
    let [job] = &jobs(&steps).unwrap()[..] else { panic!("one run") };
    let measured = carry_out(&job.run, job.watch, &mut |passed, _| {
        if passed >= Duration::from_millis(400) {
            gate.add_permits(1);
        }
    });
    let [first, second] = &measured.unwrap()[..] else { panic!("two steps") };
    assert_eq!((first.record.ok(), first.record.failures.unsent), (1, 29));
    assert_eq!(second.record.ok() + second.record.failures.unsent, 10);
}

#[test]
fn refusals_are_no_successes() {
    let turn = AtomicBool::new(false);
    let server = Server::http(move |_| {
        let status = if turn.fetch_xor(true, Ordering::Relaxed) { 429 } else { 200 };
        async move { status }
    });
    let record = run(&server, "duration = '200ms'").record;
    assert!(record.ok().abs_diff(record.refused()) <= 1, "{:?}", record.by_status);
    assert_eq!((record.latency.len(), record.refused_latency.len()), (record.ok(), record.refused()));
}

#[test]
fn a_connection_that_ends_is_made_anew() {
    // It reads a request and hangs up, every other time.
    let turn = AtomicBool::new(true);
    let server = Server::raw(move |mut conversation| {
        let hangs_up = turn.fetch_xor(true, Ordering::Relaxed);
        async move {
            conversation.read_request().await;
            if !hangs_up {
                conversation.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    let measured = run(&server, "duration = '200ms'");
    let record = &measured.record;
    assert!(record.ok() > 0 && record.failures.disconnected > 0);
    assert!(record.ok().abs_diff(record.failures.disconnected) <= 1, "{record:?}");
    assert!(measured.reconnects >= record.ok());
}

#[test]
fn no_answer_is_a_time_out_and_another_connection() {
    let server = Server::raw(|mut conversation| async move {
        conversation.read_request().await;
        conversation.until_client_leaves().await;
    });
    let measured = run(&server, "duration = '200ms'\ntimeout = '20ms'");
    assert!(measured.record.failures.timeout > 0);
    assert_eq!(measured.record.ok(), 0);
    assert!(measured.reconnects > 0);
}

#[test]
fn what_is_no_http_is_malformed() {
    let server = Server::raw(|mut conversation| async move {
        conversation.read_request().await;
        conversation.write(b"220 ready\r\n").await;
        conversation.until_client_leaves().await;
    });
    let record = run(&server, "duration = '100ms'").record;
    assert!(record.failures.malformed > 0);
    assert_eq!(record.failed(), record.failures.malformed);
}

#[test]
fn a_refusal_is_read_while_the_body_is_still_being_sent() {
    let server = Server::raw(|mut conversation| async move {
        conversation.read_head().await;
        conversation.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno").await;
        conversation.until_client_leaves().await;
    });
    let settings = "input = ['x:float32:4000000']\nkind = 'raw'\nbodies = 1\nduration = '300ms'";
    let text = format!("url = '{}'\nwarm_up = '0s'\n{settings}", server.url());
    let job = jobs(&[toml::from_str(&text).unwrap()]).unwrap().remove(0);
    let record = carry_out(&job.run, job.watch, &mut |_, _| {}).unwrap().remove(0).record;
    assert!(record.refused() > 0, "{record:?}");
    assert_eq!((record.ok(), record.failed()), (0, 0));
}

#[test]
fn a_body_that_is_refused_is_told_before_any_load() {
    let server = Server::http(|_| async { 400 });
    let error = check(&job(&server, "").run.target).unwrap_err().to_string();
    assert_eq!(error, "body 0 is answered with 400: answered 400");
    assert_eq!(server.bodies().len(), 1);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    // The port was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let text = format!("url = 'http://{address}/'\ninput = ['x:float32:1']\nthreads = 2\nconnections = 2");
    let job = jobs(&[toml::from_str(&text).unwrap()]).unwrap().remove(0);
    let error = carry_out(&job.run, job.watch, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, LoadError::Connect { .. }), "{error:?}");
}

/// The command itself, with what it wrote.
fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

fn documented(value: &Value, document: &str) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // Statuses are data.
                let is_data = name.bytes().all(|byte| byte.is_ascii_digit());
                assert!(is_data || document.contains(&format!("`{name}`")), "README.md does not tell of `{name}`");
                documented(value, document);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| documented(item, document)),
        _ => {}
    }
}

#[test]
fn the_command_reports_what_the_bare_server_did_and_draws_it() {
    let server = Server::start(|listener| async move { drop(serve(listener, Reading::Collect).await) });
    let (url, pid) = (server.url(), std::process::id().to_string());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (protocol, more) in [("http1", ["--connections", "3"]), ("http2", ["--rate", "200"])] {
        let common = ["run", "--url", &url, "--server-pid", &pid, "--input", "x:float32:1x10", "--protocol", protocol];
        let times = ["--warm-up", "50ms", "--duration", "300ms", "--name", protocol, "-o", "json"];
        let output = loadtest(&[&common[..], &times, &more].concat());
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        documented(&report, include_str!("../README.md"));
        assert_eq!(report["schema"], "scoria-loadtest/1");
        let outcome = &report["runs"][0];
        let ok = outcome["requests"]["ok"].as_u64().unwrap();
        assert!(ok > 0);
        assert_eq!(outcome["requests"]["begun"].as_u64(), Some(ok));
        assert_eq!(outcome["latency_us"]["count"].as_u64(), Some(ok));
        assert_eq!(outcome["requests"]["received_bytes"].as_u64(), Some(31 * ok));
        assert_eq!(outcome["server"]["pid"].as_u64(), Some(u64::from(std::process::id())));
        assert!(outcome["generator"]["cpu_s"].as_f64().unwrap() > 0.0);
        std::fs::write(folder.join(format!("{protocol}.json")), &output.stdout).unwrap();
    }
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let drawn = loadtest(&["plot", &path("http1.json"), &path("http2.json"), "-o", &path("both.svg")]);
    assert!(drawn.status.success(), "{drawn:?}");
    let picture = std::fs::read_to_string(path("both.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("http1: http1") && picture.contains("99.9 %"));
    let table = loadtest(&["run", "--url", &url, "--input", "x:float32:1", "--duration", "100ms", "-o", "table"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("throughput") && table.contains("p99.9"), "{table}");
}

#[test]
fn the_command_says_what_is_wrong() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let scenario = folder.join("wrong.toml");
    std::fs::write(&scenario, "ulr = 'http://localhost/'").unwrap();
    let scenario = scenario.to_str().unwrap();
    for (arguments, code, said) in [
        (&["run", scenario][..], 2, "did you mean 'url'?"),
        (&["run"], 2, "no URL to send to"),
        (&["run", "--url", "http://127.0.0.1:1/"], 2, "--input NAME:TYPE:SHAPE"),
        (&["run", "--url", "http://127.0.0.1:1/", "--input", "x:float32:1"], 1, "is the server up?"),
        (&["run", "--connections", "many"], 2, "many"),
        (&["plot", scenario, "-o", "unused.svg"], 1, "expected a report"),
    ] {
        let output = loadtest(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}
