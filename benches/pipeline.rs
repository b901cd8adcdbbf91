//! The whole way of a scoring request through the server, from its bytes to the answer's, without a network: connection, head,
//! key, body, tensors, run, answer. The connection is a pipe in memory, client and server take turns on one thread.
//!
//! `engine.rs` times the run alone, `codec.rs` the body alone; the rest is HTTP, keys, metrics and scheduling.

#![allow(clippy::unwrap_used, reason = "a benchmark stops by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scoria::app::{self, App};
use scoria::auth::{Ring, Slot};
use scoria::config::{Config, Origin, Setting};
use scoria::control::resolve_models;
use scoria::deployment::Admission;
use scoria::http::server::{BusyPolling, Port, serve_stream, stopping};
use scoria::http::{Lifecycle, Scoring};
use scoria::telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server of the bundled models on ports that nobody calls, for its endpoints and their keys.
fn server(state: &Path) -> (Config, App) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").display().to_string();
    let state = state.display().to_string();
    let own = |setting: &Setting| match setting.key {
        "listen" | "admin_listen" => Some("127.0.0.1:0".to_owned()),
        "state_dir" => Some(state.clone()),
        _ => None,
    };
    let config = Config::resolve(&|setting| own(setting).map(|text| (text, Origin::Default))).unwrap();
    let app = App::start(&config, resolve_models(&[models]).unwrap(), Arc::new(support::ort())).unwrap();
    app.block_on(app.loaded());
    (config, app)
}

/// The port that the benchmark calls, on the same endpoints.
fn port(config: &Config, app: &App) -> Arc<Port<Scoring>> {
    let admission = Admission::new(config.max_in_flight, config.max_in_flight_bytes);
    let metrics = Arc::new(Metrics::new("bench").unwrap());
    let (routing, lifecycle) = (Arc::clone(&app.routing), Arc::new(Lifecycle::default()));
    let scoring = Scoring::new(routing, admission, lifecycle, metrics, app::scoring_settings(config)).unwrap();
    Arc::new(Port {
        service: Arc::new(scoring),
        tls: None,
        max_connections: 1,
        limits: Arc::new(app::connection_limits(config)),
        busy_polling: BusyPolling::new(Duration::ZERO),
    })
}

fn request(endpoint: &str, key: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/service/{endpoint}/score HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends a request and reads the whole answer.
async fn exchange(client: &mut DuplexStream, request: &[u8], answer: &mut Vec<u8>) {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &str = "content-length: ";
    client.write_all(request).await.unwrap();
    answer.clear();
    loop {
        assert_ne!(client.read_buf(answer).await.unwrap(), 0, "the server has hung up");
        let Some(head) = answer.windows(END.len()).position(|window| window == END) else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix(LENGTH)).unwrap();
        let whole = head + END.len() + length.parse::<usize>().unwrap();
        if answer.len() >= whole {
            return;
        }
    }
}

fn requests(criterion: &mut Criterion) {
    let state = std::env::temp_dir().join(format!("scoria-bench-{}", std::process::id()));
    let (config, app) = server(&state);
    let port = port(&config, &app);
    let key = |endpoint: &str| {
        let name = scoria::name::Name::parse(endpoint).unwrap();
        fs::read_to_string(app.keys.as_ref().unwrap().key_path(Ring::Endpoint(&name), Slot::Primary)).unwrap()
    };
    let row = vec!["0.12345679"; 28].join(",");
    let image = format!("{{\"data\":[[[{}]]]}}", vec![format!("[{row}]"); 28].join(","));
    let bodies: [(&str, &str, Vec<u8>); 4] = [
        ("ridge", "application/json", b"{\"data\": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}".to_vec()),
        ("ridge", "application/octet-stream", vec![0; 40]),
        ("digits", "application/json", image.into_bytes()),
        ("digits", "application/octet-stream", vec![0; 4 * 28 * 28]),
    ];
    // Work on long bodies is told to a runtime of several threads.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("request");
    for (endpoint, media_type, body) in bodies {
        let (client, io) = tokio::io::duplex(64 * 1024);
        let (_stop, stopping) = stopping();
        let connection = runtime.spawn(serve_stream(io, Arc::clone(&port), stopping));
        let request: Arc<[u8]> = request(endpoint, key(endpoint).trim(), media_type, &body).into();
        let mut client = Some(client);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new(endpoint, media_type), |bencher| {
            bencher.iter_custom(|times| {
                let (mut pipe, request) = (client.take().unwrap(), Arc::clone(&request));
                // On the server's thread, so that no exchange waits for another thread to wake up.
                let exchanges = runtime.spawn(async move {
                    let (begun, mut answer) = (Instant::now(), Vec::new());
                    for _ in 0..times {
                        exchange(&mut pipe, &request, &mut answer).await;
                    }
                    (pipe, begun.elapsed())
                });
                let (pipe, took) = runtime.block_on(exchanges).unwrap();
                client = Some(pipe);
                took
            });
        });
        drop(client);
        runtime.block_on(connection).unwrap();
    }
    group.finish();
    app.drain(Duration::ZERO);
    drop(fs::remove_dir_all(state));
}

criterion_group!(benches, requests);
criterion_main!(benches);
