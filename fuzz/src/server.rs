//! A server without a network: both ports' services behind connections in memory, and a model that echoes.

use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use scoria::auth::{KeyDigest, KeyRing};
use scoria::control::{Controller, ModelSpec, Settings};
use scoria::deployment::{Admission, EndpointSettings, Routing};
use scoria::engine::fake::FakeEngine;
use scoria::http::server::Service;
use scoria::http::{Admin, Body, Lifecycle, Scoring, ScoringSettings};
use scoria::name::Name;
use scoria::schedule::{Limits, Watchdog, WatchdogHandle, Wishes};
use scoria::telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// `y = x` for float32 of two columns.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/onnx/identity");

/// The keys of the endpoint `kept` and of administration; that of `open` is nobody's.
const KEY: &str = "scoria_kept";
const ADMIN_KEY: &str = "scoria_admin";

/// A conversation that takes longer has not ended.
const END: Duration = Duration::from_millis(900);

const MAX_BODY_BYTES: usize = 32 << 10;

/// A client's magic, which comes before its first frame (RFC 9113, section 3.4), and its empty SETTINGS.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The server.
pub struct Server {
    runtime: Runtime,
    scoring: Arc<Scoring>,
    admin: Arc<Admin>,
    _watchdog: WatchdogHandle,
}

/// One server for the whole run.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Server {
        let metrics = Arc::new(Metrics::new("fuzz").expect("the metrics' names differ"));
        let routing = Arc::new(Routing::default());
        let lifecycle = Arc::new(Lifecycle::default());
        let watchdog = Watchdog::start(|| {}).expect("a thread can be started");
        let mut controller = Controller::new(
            Arc::new(FakeEngine::echo()),
            settings(),
            Arc::clone(&metrics),
            Arc::clone(watchdog.watchdog()),
            Arc::clone(&routing),
            None,
        );
        let ring = |key| KeyRing { primary: KeyDigest::of(key), secondary: KeyDigest::of("scoria_second") };
        for (name, keys) in [("open", None), ("kept", Some(ring(KEY)))] {
            let name = Name::parse(name).expect("a name");
            controller.load(&ModelSpec { name, path: Path::new(MODEL).to_owned(), version: 1 }, keys);
        }
        assert_eq!(routing.table().entries().filter(|(_, entry)| entry.endpoint.is_some()).count(), 2, "{MODEL}");
        let admin = Admin {
            routing: Arc::clone(&routing),
            lifecycle: Arc::clone(&lifecycle),
            metrics: Arc::clone(&metrics),
            keys: Some(ring(ADMIN_KEY)),
            strict_readiness: true,
        };
        let admission = Admission::new(64, 8 * MAX_BODY_BYTES);
        let settings = ScoringSettings {
            cors_origins: vec!["https://a.example".to_owned()],
            strict_readiness: false,
            log_slow: END,
            log_sample_per_second: 1,
        };
        let scoring = Scoring::new(routing, admission, lifecycle, metrics, settings).expect("random numbers");
        Server {
            runtime: Builder::new_current_thread().enable_all().build().expect("a runtime can be made"),
            scoring: Arc::new(scoring),
            admin: Arc::new(admin),
            _watchdog: watchdog,
        }
    }

    /// Sends `bytes`, then the end, on a connection of its own, and reads to the end of the answers. The lowest bits of
    /// `choice` tell the protocol and the port, the others into which pieces the bytes are cut.
    pub fn converse(&self, choice: u8, bytes: &[u8]) {
        let (http2, admin, piece_bytes) = (choice & 1 != 0, choice & 2 != 0, 1 + usize::from(choice >> 2) * 8);
        let conversation = async {
            let (client, io) = tokio::io::duplex(16 << 10);
            let connection = async {
                match admin {
                    true => serve(Arc::clone(&self.admin), io, http2).await,
                    false => serve(Arc::clone(&self.scoring), io, http2).await,
                }
            };
            let sent = if http2 { [HTTP2_PREFACE, bytes].concat() } else { bytes.to_vec() };
            let ((), answers) = tokio::join!(connection, talk(client, &sent, piece_bytes));
            assert!(http2 || answers.is_empty() || answers.starts_with(b"HTTP/1."), "{answers:?}");
            // Streams of HTTP/2 are tasks of their own.
            while self.runtime.metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        };
        self.runtime.block_on(async { timeout(END, conversation).await.expect("the conversation ends") });
    }
}

/// A client: sends piece by piece, and reads meanwhile.
async fn talk(client: DuplexStream, bytes: &[u8], piece_bytes: usize) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let send = async {
        for piece in bytes.chunks(piece_bytes) {
            // A server that has closed has read enough.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        drop(writer.shutdown().await);
    };
    let mut answers = Vec::new();
    let ((), read) = tokio::join!(send, reader.read_to_end(&mut answers));
    read.expect("memory can be read");
    answers
}

/// Serves one connection as `scoria::http::server` does. No answer blames the server, but for a deadline that its client set.
async fn serve(service: Arc<impl Service>, io: DuplexStream, http2: bool) {
    let service = service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let has_deadline = request.headers().contains_key("x-scoria-timeout-ms");
            let response: Response<Body> = service.serve(request, &AtomicBool::new(false)).await;
            let status = response.status().as_u16();
            assert!(status < 500 || status == 504 && has_deadline, "{response:?}");
            Ok::<_, Infallible>(response)
        }
    });
    // Clients' mistakes end connections with errors, which is as it should be.
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(100).max_header_list_size(32 << 10);
        drop(builder.serve_connection(TokioIo::new(io), service).await);
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(END).max_header_size(32 << 10);
        drop(builder.serve_connection(TokioIo::new(io), service).await);
    }
}

fn settings() -> Settings {
    Settings {
        providers: vec!["cpu".to_owned()],
        wishes: Wishes { workers: 1, intra_op_threads: 1 },
        queue: Limits { queue_max_length: 64, queue_max_wait: END },
        cores: 1,
        endpoint: EndpointSettings {
            null_input: scoria::config::NullInput::Reject,
            non_finite_output: scoria::config::NonFiniteOutput::Null,
            max_elements: MAX_BODY_BYTES,
            max_body_bytes: MAX_BODY_BYTES,
            body_timeout: END,
            scoring_timeout: END,
        },
    }
}
