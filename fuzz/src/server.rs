//! A server without a network: both ports' services behind connections in memory, and a model that echoes.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Request, Response};
use scoria::app;
use scoria::auth::{KeyDigest, KeyRing};
use scoria::config::{Config, File, Origin, Setting};
use scoria::control::{Controller, Description, Means, ModelSpec, NotLoaded, Wanted, Workshop};
use scoria::deployment::{Admission, Dice, Routing};
use scoria::engine::fake::FakeEngine;
use scoria::grpc::Grpc;
use scoria::http::server::{BusyPolling, Phase, Port, Service, Stopping, serve_stream, stopping};
use scoria::http::{Admin, AllowedHosts, Body, Lifecycle, Scoring};
use scoria::name::Name;
use scoria::registry::ModelRef;
use scoria::schedule::{Cores, Watchdog, WatchdogHandle};
use scoria::telemetry::{ConnectionMetrics, Gpus, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

/// `y = x` for float32 of two columns.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/onnx/identity");

/// The keys of the endpoint `kept` and of administration; that of `open` is nobody's.
const KEY: &str = "scoria_kept";
const ADMIN_KEY: &str = "scoria_admin";

/// A conversation that takes longer has not ended. Nothing waits for a client that has said all it has to say, so this, and
/// the server's own limits of `SERVER_MS`, are there to be found out, and long enough for a busy machine.
const END: Duration = Duration::from_secs(8);
const SERVER_MS: u64 = 5_000;

const MAX_BODY_BYTES: usize = 32 << 10;

/// A client's magic, which comes before its first frame (RFC 9113, section 3.4), and its empty SETTINGS.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The server.
pub struct Server {
    runtime: Runtime,
    scoring: Arc<Port<Checked<Grpc>>>,
    admin: Arc<Port<Checked<Admin>>>,
    stopping: Stopping,
    _stop: watch::Sender<Phase>,
    _watchdog: WatchdogHandle,
}

/// One server for the whole run.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Server {
        let config = config();
        let metrics = Arc::new(Metrics::new("fuzz").expect("the metrics' names differ"));
        let routing = Arc::new(Routing::default());
        let lifecycle = Arc::new(Lifecycle::default());
        let watchdog = Watchdog::start(|| {}).expect("a thread can be started");
        let means = Means {
            metrics: Arc::clone(&metrics),
            routing: Arc::clone(&routing),
            default_endpoint: None,
            dice: Arc::new(Dice::new(0)),
            drained: Arc::new(|_| {}),
        };
        let no_registry = |_: &ModelRef| Err(NotLoaded { reason: "none is served".to_owned(), is_transient: false });
        let workshop = Workshop {
            engine: Arc::new(FakeEngine::echo()),
            metrics: Arc::clone(&metrics),
            watchdog: Arc::clone(watchdog.watchdog()),
            obtain: Arc::new(no_registry),
            engine_cache: None,
        };
        let mut controller = Controller::new(means);
        let ring = |key| KeyRing { primary: KeyDigest::of(key), secondary: KeyDigest::of("scoria_second") };
        for (name, keys) in [("open", None), ("kept", Some(ring(KEY)))] {
            let name = Name::parse(name).expect("a name");
            let path = Path::new(MODEL).to_owned();
            let spec =
                ModelSpec { name, path, version: 1, earlier: Default::default(), description: Description::None };
            controller.want(Wanted::alone(spec, app::settings(&config, &Arc::new(Cores::new(1))), keys));
        }
        controller.begin();
        let now = Instant::now();
        while let Some(job) = controller.next_job(now) {
            controller.loaded(workshop.carry_out(job), now);
        }
        assert!(controller.has_just_begun(), "{MODEL}");
        assert_eq!(routing.table().entries().filter(|(_, entry)| entry.endpoint.is_some()).count(), 2, "{MODEL}");
        let admin = Admin {
            routing: Arc::clone(&routing),
            lifecycle: Arc::clone(&lifecycle),
            metrics: Arc::clone(&metrics),
            keys: Some(ring(ADMIN_KEY)),
            hosts: AllowedHosts::new(&["a".to_owned()]),
            strict_readiness: true,
            desk: None,
            triton_metrics: true,
            gpus: Gpus::of_machine().expect("a thread starts"),
        };
        let admission = Admission::new(config.max_in_flight, config.max_in_flight_bytes);
        let scoring = Scoring::new(routing, admission, lifecycle, metrics, app::scoring_settings(&config));
        let (stop, stopping) = stopping();
        let scoring = scoring.expect("the system has random numbers");
        let scoring = Grpc::beside(scoring, app::grpc_settings(&config), stopping.clone());
        Server {
            runtime: Builder::new_current_thread().enable_all().build().expect("a runtime can be made"),
            scoring: port(scoring, &config),
            admin: port(admin, &config),
            stopping,
            _stop: stop,
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
                let stopping = self.stopping.clone();
                if admin {
                    serve_stream(io, Arc::clone(&self.admin), stopping).await;
                } else {
                    serve_stream(io, Arc::clone(&self.scoring), stopping).await;
                }
            };
            let sent = if http2 { [HTTP2_PREFACE, bytes].concat() } else { bytes.to_vec() };
            let ((), answers) = tokio::join!(connection, talk(client, &sent, piece_bytes));
            let asked_http2 = sent.starts_with(&HTTP2_PREFACE[..24]);
            assert!(asked_http2 || answers.is_empty() || answers.starts_with(b"HTTP/1."), "{answers:?}");
            // Streams of HTTP/2 are tasks of their own.
            while self.runtime.metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        };
        self.runtime.block_on(async { timeout(END, conversation).await.expect("the conversation ends") });
    }
}

fn port<S>(service: S, config: &Config) -> Arc<Port<Checked<S>>> {
    let limits = Arc::new(app::connection_limits(config));
    Arc::new(Port {
        service: Arc::new(Checked(service)),
        tls: None,
        max_connections: 1,
        limits,
        busy_polling: BusyPolling::new(Duration::ZERO),
    })
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

/// A port's service, whose answers never blame the server, but for a deadline that the client set.
struct Checked<S>(S);

impl<S: Service> Service for Checked<S> {
    async fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> Response<Body> {
        let has_deadline = request.headers().contains_key("x-scoria-timeout-ms");
        let response = self.0.serve(request, linger).await;
        let status = response.status().as_u16();
        assert!(status < 500 || status == 504 && has_deadline, "{response:?}");
        response
    }

    fn connections(&self) -> &Arc<ConnectionMetrics> {
        self.0.connections()
    }
}

/// The default configuration, with what makes the bounds come near.
fn config() -> Config {
    let text = format!(
        "max_body_bytes = {MAX_BODY_BYTES}\nmax_elements = {MAX_BODY_BYTES}\nmax_in_flight = 64\nworkers = 1\n\
         intra_op_threads = 1\nheader_timeout_ms = {SERVER_MS}\nbody_timeout_ms = {SERVER_MS}\nscoring_timeout_ms = {SERVER_MS}\n\
         cors_origins = [\"https://a.example\"]\n"
    );
    let file = File::parse(&text, Path::new("fuzz")).expect("a configuration");
    let resolve = |setting: &Setting| Some((file.text(setting.key)?.to_owned(), Origin::Default));
    Config::resolve(&resolve).expect("a valid configuration")
}
