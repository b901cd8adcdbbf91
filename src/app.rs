//! The composition root: a checked configuration becomes a running server, and a running server ends in order.

mod company;
mod ending;
mod offer;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::auth::{KeyRing, KeyStore, KeyStoreError, Ring, Slot};
use crate::config::{Auth, Config, EngineChoice, ExecutionChoice, Origin, TlsFiles, env};
use crate::control::{
    self, Description, EngineCache, Means, ModelSpec, Order, Prepare, Repository, Running, Settings, Wanted, Workshop,
};
use crate::deployment::{Admission, Dice, EndpointSettings, Routing};
use crate::engine::{Engine, library, ort};
use crate::follow::{Accompanied, IdentityError};
use crate::grpc::{Grpc, GrpcSettings};
use crate::http::server::{BusyPolling, Limits as ConnectionLimits, Phase, Port, Stopping, serve, stopping};
use crate::http::tls::{Occasion, Tls, TlsError, TlsSettings, Watch};
use crate::http::{Admin, AdminAccess, AllowedHosts, Lifecycle, Room, Scoring, ScoringSettings};
use crate::name::{InvalidName, Name};
use crate::registry::RegistryError;
use crate::schedule::{Cores, Execution, Limits, Watchdog, WatchdogHandle, Wishes};
use crate::shared_memory::{self, SharedMemory};
use crate::telemetry::{Gpus, Metrics};

pub use self::ending::{AtWork, Ending};
pub use self::offer::{Offer, RegistryOffer};
use self::offer::{Opened, no_registry};

/// Connections of clients that have not been accepted yet. The standard library's 128 make a client of a larger burst try again after
/// a second; the kernel has a limit of its own (`net.core.somaxconn`).
const CONNECTING_MAX: u32 = 4_096;

/// How long requests to the admin port may take to finish when all others have.
const ADMIN_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A running server.
pub struct App {
    /// Where scoring and administration listen; the ports are real ones even if 0 was asked for.
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub routing: Arc<Routing>,
    /// `None` when the server runs without keys.
    pub keys: Option<Arc<KeyStore>>,
    /// `None` where a port speaks plain HTTP.
    pub scoring_tls: Option<Arc<Tls>>,
    pub admin_tls: Option<Arc<Tls>>,
    /// Whether the scoring port has the page at `/docs`.
    pub has_docs: bool,
    lifecycle: Arc<Lifecycle>,
    runtime: Runtime,
    scoring: tokio::task::JoinHandle<()>,
    stop_scoring: watch::Sender<Phase>,
    admin: JoinHandle<()>,
    stop_admin: watch::Sender<Phase>,
    controls: Running,
    /// What goes beside a server of a registry.
    company: Option<Accompanied>,
    /// Kept for their threads, which end with them.
    _watchdog: WatchdogHandle,
    certificates: Option<Watch>,
}

/// Why the server could not start. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("this server has no name among the replicas of the registry: {0}")]
    Identity(#[from] IdentityError),
    #[error("{reason}")]
    Webhooks { reason: String },
    #[error("the registry cannot be served: {0}")]
    Registry(#[from] RegistryError),
    #[error("there is no folder to keep state in: set state_dir (--state-dir), or HOME")]
    NoStateDir,
    #[error("default_endpoint: {0}")]
    DefaultEndpoint(#[from] InvalidName),
    #[error("default_endpoint is '{0}', but no model of this name is served")]
    UnknownDefaultEndpoint(Name),
    #[error("the configuration has [endpoints.{unknown}], but no model of this name is served; served are {served}")]
    UnknownEndpoint { unknown: Name, served: String },
    #[error("cannot start {what}: {source}")]
    Start { what: &'static str, source: io::Error },
    #[error("metrics could not be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl App {
    /// Binds both ports, answers probes at once, and loads `models` meanwhile; see [`App::loaded`].
    pub fn start(config: &Config, offer: impl Into<Offer>, engine: Arc<dyn Engine>) -> Result<App, StartError> {
        let offer = offer.into();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let default_endpoint = default_endpoint(config, &offer)?;
        check_endpoints(config, &offer)?;
        let keys = match config.auth {
            Auth::Key => Some(Arc::new(KeyStore::open(&state_dir(config)?)?)),
            Auth::None => None,
        };
        let ring = |ring: Ring<'_>| keys.as_ref().map(|keys| keys.load_or_create(ring)).transpose();
        let admin_ring = ring(Ring::Admin)?;
        let budget = Arc::new(Cores::new(cores));
        let wanted: Vec<Wanted> = offer
            .files()
            .iter()
            .map(|spec| {
                let (mut spec, config) = described(config, spec.clone());
                let settings = settings(&config, &budget);
                // An endpoint whose keys cannot be had is open to nobody, and the others are served.
                let ring = ring(Ring::Endpoint(&spec.name)).unwrap_or_else(|error| {
                    spec.description = Description::Faulty(error.to_string());
                    Some(KeyRing::of_nobody())
                });
                Wanted::alone(spec, settings, ring)
            })
            .collect();

        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))?);
        let tls = |port, files| open_tls(config, port, files, &metrics);
        let (scoring_tls, admin_tls) = (tls("scoring", config.scoring_tls())?, tls("admin", config.admin_tls())?);
        warn_of_clear_text(config);

        let start = |what| move |source| StartError::Start { what, source };
        let runtime = Builder::new_multi_thread()
            // One more than there can be inline runs, so that somebody is left to accept, refuse and answer probes.
            .worker_threads(cores + 1)
            .thread_name("scoria-http")
            .enable_all()
            .build()
            .map_err(start("the runtime"))?;
        let listener = bind(&runtime, config.listen)?;
        let admin_listener = std_listener(config.admin_listen)?;
        let addresses =
            (address_of(&listener, config.listen), admin_listener.local_addr().unwrap_or(config.admin_listen));

        let routing = Arc::new(Routing::default());
        let lifecycle = Arc::new(Lifecycle::default());
        // A thread that runs a model inline polls no sockets, and the runtime's other threads do not notice that nobody does.
        // Any task makes one of them wake up and take over.
        let handle = runtime.handle().clone();
        let watchdog = Watchdog::start(move || drop(handle.spawn(async {}))).map_err(start("the watchdog"))?;
        let dice = Arc::new(Dice::new(getrandom::u64().map_err(|error| start("the dice")(error.into()))?));
        let means = |drained| Means {
            metrics: Arc::clone(&metrics),
            routing: Arc::clone(&routing),
            default_endpoint,
            dice,
            drained,
        };
        let registry = match &offer {
            Offer::Files(_) => None,
            Offer::Registry(registry) => Some(registry.open(config, engine.info(), runtime.handle().clone())?),
        };
        let workshop = Workshop {
            engine,
            metrics: Arc::clone(&metrics),
            watchdog: Arc::clone(watchdog.watchdog()),
            obtain: registry.as_ref().map_or_else(|| Arc::new(no_registry) as _, Opened::obtain),
            engine_cache: state_dir(config).ok().map(|state| EngineCache::new(state.join("engines"))),
        };
        let controls = control::start(means, wanted, workshop).map_err(start("the control threads"))?;
        let company = match &registry {
            None => {
                controls.orders.give(Order::Complete);
                None
            }
            Some(registry) => {
                drop(runtime.spawn(registry.replica(config, &budget, controls.orders.clone()).watch()));
                Some(company::accompany(
                    config,
                    registry.desk(config),
                    Arc::clone(&routing),
                    &metrics,
                    registry.profile(),
                )?)
            }
        };

        let room = room(config);
        let (stop_admin, admin_stopping) = stopping();
        let admin = Admin {
            routing: Arc::clone(&routing),
            lifecycle: Arc::clone(&lifecycle),
            metrics: Arc::clone(&metrics),
            keys: admin_ring,
            strict_readiness: config.strict_readiness,
            triton_metrics: config.triton_metrics,
            gpus: Gpus::of_machine().map_err(start("the thread that reads GPUs"))?,
            hosts: AllowedHosts::new(&config.admin_hosts.0),
            desk: registry.as_ref().map(|registry| registry.desk(config)),
        };
        let limits = Arc::new(connection_limits(config));
        let admin = Port {
            service: Arc::new(admin),
            tls: admin_tls.clone(),
            max_connections: room.admin,
            limits: Arc::clone(&limits),
            busy_polling: BusyPolling::new(Duration::ZERO),
        };
        let admin = spawn_admin(admin_listener, admin, admin_stopping).map_err(start("the admin thread"))?;

        let (stop_scoring, scoring_stopping) = stopping();
        let drain_timeout = Duration::from_millis(config.drain_timeout_ms);
        let admission = Admission::new(config.max_in_flight, config.max_in_flight_bytes);
        let mut scoring =
            Scoring::new(Arc::clone(&routing), admission, Arc::clone(&lifecycle), metrics, scoring_settings(config))
                .map_err(|error| StartError::Start { what: "the request ids", source: error.into() })?;
        scoring.admin_access = admin_ring.map_or(AdminAccess::Everyone, AdminAccess::Keys);
        scoring.repository = config.model_repository.clone().map(|folder| {
            let prepare = prepare(config, &budget, keys.as_ref());
            Arc::new(Repository::new(folder, prepare, controls.orders.clone(), Arc::clone(&routing)))
        });
        scoring.shared_memory = shared_memory(config);
        let service = Arc::new(Grpc::beside(scoring, grpc_settings(config), scoring_stopping.clone()));
        let scoring = Port {
            service,
            tls: scoring_tls.clone(),
            max_connections: room.scoring,
            limits,
            busy_polling: BusyPolling::new(Duration::from_micros(config.busy_poll_us)),
        };
        let scoring = runtime.spawn(serve(listener, scoring, scoring_stopping, drain_timeout));
        let certificates: Vec<_> = [&scoring_tls, &admin_tls].into_iter().flatten().cloned().collect();
        let watch = || Watch::start(certificates.clone(), Duration::from_millis(config.tls_reload_interval_ms));
        let certificates =
            (!certificates.is_empty()).then(watch).transpose().map_err(start("the watch over certificates"))?;

        Ok(App {
            listen: addresses.0,
            admin_listen: addresses.1,
            routing,
            keys,
            scoring_tls,
            admin_tls,
            has_docs: config.docs,
            lifecycle,
            runtime,
            scoring,
            stop_scoring,
            admin,
            stop_admin,
            controls,
            company,
            _watchdog: watchdog,
            certificates,
        })
    }

    /// Waits until every model has been loaded or has failed.
    pub async fn loaded(&self) {
        // A controller that is gone without a word has panicked outside of any model, and will load no more.
        drop(self.controls.settled.clone().wait_for(|settled| *settled).await);
    }

    /// The server's runtime, for tasks that run beside it.
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Runs `future` on the server's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Where the key for administration was handed over, if the server runs with keys.
    pub fn admin_key_path(&self) -> Option<PathBuf> {
        self.keys.as_ref().map(|keys| keys.key_path(Ring::Admin, Slot::Primary))
    }

    /// Where a key was handed over, if the server runs with keys.
    pub fn key_path(&self, endpoint: &Name) -> Option<PathBuf> {
        self.keys.as_ref().map(|keys| keys.key_path(Ring::Endpoint(endpoint), Slot::Primary))
    }

    /// Reads the certificate files again, whether they seem to have changed or not. Waits for their disk.
    pub fn reload_certificates(&self) {
        for tls in [&self.scoring_tls, &self.admin_tls].into_iter().flatten() {
            tls.reload(Occasion::Asked);
        }
    }

    /// Has a thread of its own do so.
    pub fn ask_for_certificates(&self) {
        self.certificates.iter().for_each(Watch::ask);
    }

    /// Ends in order: readiness says 503 at once, connections are accepted for `delay` more, requests in flight finish.
    pub fn drain(self, delay: Duration) {
        self.end(delay, &Ending::default());
    }

    /// The same, telling `ending` how far it has come: whatever hangs, somebody else has to end the process.
    pub fn end(self, delay: Duration, ending: &Ending) {
        self.lifecycle.drain();
        ending.reach(AtWork::Requests);
        self.runtime.block_on(async {
            tokio::time::sleep(delay).await;
            self.stop_scoring.send_replace(Phase::Stop);
            drop(self.scoring.await);
        });
        // Everything that is going to be counted has been.
        ending.reach(AtWork::LastReport);
        drop(self.company);
        ending.reach(AtWork::AdminPort);
        self.stop_admin.send_replace(Phase::Stop);
        drop(self.admin.join());
        ending.reach(AtWork::Release);
        // What is still busy now has had its time: neither a request nor a model being loaded is waited for any longer.
        self.runtime.shutdown_background();
    }
}

/// The engine that the configuration asks for, and why it is not ONNX Runtime where it could have been.
pub fn choose_engine(config: &Config) -> Result<(Arc<dyn Engine>, Option<String>), String> {
    let start_ort = || {
        let executable = std::env::current_exe().unwrap_or_default();
        let candidates = library::candidates(config.ort_lib.as_deref(), &executable);
        let old = if config.allow_old_ort { ort::OldRuntime::Allow } else { ort::OldRuntime::Refuse };
        let telemetry = ort::TelemetryOff::from_variable(env::raw(ort::TelemetryOff::VARIABLE).as_deref());
        telemetry.and_then(|telemetry| ort::start(&candidates, old, telemetry)).map_err(|error| error.to_string())
    };
    match config.engine {
        EngineChoice::Ort => Ok((Arc::new(start_ort()?), None)),
        EngineChoice::Tract => Ok((embedded_engine()?, None)),
        // A library that the operator named is meant; falling back from it would hide the mistake.
        EngineChoice::Auto if config.ort_lib.is_some() => Ok((Arc::new(start_ort()?), None)),
        EngineChoice::Auto => match start_ort() {
            Ok(engine) => Ok((Arc::new(engine), None)),
            Err(reason) => Ok((embedded_engine().map_err(|_| reason.clone())?, Some(reason))),
        },
    }
}

#[cfg(feature = "tract")]
fn embedded_engine() -> Result<Arc<dyn Engine>, String> {
    Ok(Arc::new(crate::engine::tract::TractEngine))
}

#[cfg(not(feature = "tract"))]
fn embedded_engine() -> Result<Arc<dyn Engine>, String> {
    Err("this build has no embedded engine; build it with the feature `tract`, or use --engine ort".to_owned())
}

fn default_endpoint(config: &Config, offer: &Offer) -> Result<Option<Name>, StartError> {
    let Some(text) = &config.default_endpoint else { return Ok(None) };
    let name = Name::parse(text)?;
    // What a registry will say is not known yet.
    if matches!(offer, Offer::Registry(_))
        || config.has_repository()
        || offer.files().iter().any(|spec| spec.name == name)
    {
        Ok(Some(name))
    } else {
        Err(StartError::UnknownDefaultEndpoint(name))
    }
}

/// The settings of a model's endpoint, with those that lie beside the model; a model whose own cannot be used will not load.
pub fn described(config: &Config, mut spec: ModelSpec) -> (ModelSpec, Cow<'_, Config>) {
    let Some(model) = spec.description.config().filter(|model| !model.settings.is_empty()) else {
        let config = Cow::Borrowed(config.of_endpoint(&spec.name));
        return (spec, config);
    };
    let own: Vec<_> = model.settings.iter().map(|setting| (setting.key, setting.text.clone())).collect();
    match config.with_model(&spec.name, &own, &Origin::File(model.path())) {
        Ok(config) => (spec, Cow::Owned(config)),
        Err(error) => {
            spec.description = Description::Faulty(error.to_string());
            let config = Cow::Borrowed(config.of_endpoint(&spec.name));
            (spec, config)
        }
    }
}

/// Settings for an endpoint that is not there are a slip of the pen, or meant for another server.
fn check_endpoints(config: &Config, offer: &Offer) -> Result<(), StartError> {
    let Offer::Files(models) = offer else { return Ok(()) };
    let is_served = |name: &&Name| models.iter().any(|spec| spec.name == **name);
    if config.has_repository() {
        return Ok(());
    }
    let Some(unknown) = config.endpoints.keys().find(|name| !is_served(name)) else { return Ok(()) };
    let served: Vec<_> = models.iter().map(|spec| spec.name.as_str()).collect();
    Err(StartError::UnknownEndpoint { unknown: unknown.clone(), served: served.join(", ") })
}

/// The folder for state: keys, the default registry, the cache.
pub fn state_dir(config: &Config) -> Result<PathBuf, StartError> {
    let folder = config.state_dir.clone().or_else(env::default_state_dir).ok_or(StartError::NoStateDir)?;
    // Key files are shown to people, who may be in another folder when they use them.
    Ok(std::path::absolute(&folder).unwrap_or(folder))
}

fn open_tls(
    config: &Config,
    port: &'static str,
    files: Option<TlsFiles>,
    metrics: &Metrics,
) -> Result<Option<Arc<Tls>>, TlsError> {
    let Some(files) = files else { return Ok(None) };
    let handshake_timeout = Duration::from_millis(config.tls_handshake_timeout_ms);
    let settings = TlsSettings { port, files, min_version: config.tls_min_version, handshake_timeout };
    Tls::open(settings, metrics.tls(port)).map(|tls| Some(Arc::new(tls)))
}

/// Keys in clear text are the operator's choice, as behind a proxy that ends TLS. They are told what they chose.
fn warn_of_clear_text(config: &Config) {
    for (setting, address) in config.addresses_in_clear() {
        tracing::warn!(
            setting,
            %address,
            "keys and data travel unencrypted to this address; set tls_cert and tls_key, or have a proxy end TLS in front"
        );
    }
}

fn std_listener(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let listener = std::net::TcpListener::bind(address);
    let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|source| StartError::Listen { address, source })
}

fn bind(runtime: &Runtime, address: SocketAddr) -> Result<TcpListener, StartError> {
    let _context = runtime.enter();
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As the standard library does, so that a server can be started again at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(CONNECTING_MAX)
    };
    listen().map_err(|source| StartError::Listen { address, source })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// The admin port has a thread and a runtime of its own, so that it answers even when every core scores.
fn spawn_admin(listener: std::net::TcpListener, admin: Port<Admin>, stopping: Stopping) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("scoria-admin".to_owned()).spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, admin, stopping, ADMIN_DRAIN_TIMEOUT).await,
                Err(error) => tracing::error!(%error, "the admin port cannot be served"),
            }
        });
        // A store's address that is being looked up, or a disk, may take its time.
        runtime.shutdown_background();
    })
}

/// What applies to the deployments of the endpoint whose settings these are; `cores` is the whole server's.
pub fn settings(config: &Config, cores: &Arc<Cores>) -> Settings {
    Settings {
        providers: config.providers.0.clone(),
        provider_options: config.provider_options.clone(),
        external_data_folders: config.weights_folders(),
        wishes: Wishes {
            execution: match config.execution {
                ExecutionChoice::Auto => None,
                ExecutionChoice::Combining => Some(Execution::Combining),
                ExecutionChoice::Pooled => Some(Execution::Pooled),
            },
            workers: config.workers,
            intra_op_threads: config.intra_op_threads,
            max_batch: config.max_batch,
            max_batch_delay: Duration::from_micros(config.max_batch_delay_us),
        },
        allow_rows_to_mix: config.allow_rows_to_mix,
        queue: Limits {
            queue_max_length: config.queue_max_length,
            queue_max_wait: Some(config.queue_max_wait_ms).filter(|ms| *ms > 0).map(Duration::from_millis),
        },
        cores: Arc::clone(cores),
        endpoint: EndpointSettings {
            null_input: config.null_input,
            extra_columns: config.extra_columns,
            non_finite_output: config.non_finite_output,
            max_elements: config.max_elements,
            max_rank: config.max_rank,
            max_json_depth: config.max_json_depth,
            max_body_bytes: config.max_body_bytes,
            body_timeout: Duration::from_millis(config.body_timeout_ms),
            min_transfer_bytes_per_s: config.min_transfer_bytes_per_s,
            scoring_timeout: Duration::from_millis(config.scoring_timeout_ms),
        },
    }
}

/// What the endpoint of a model needs that is loaded later.
fn prepare(config: &Config, cores: &Arc<Cores>, keys: Option<&Arc<KeyStore>>) -> Arc<Prepare> {
    let (config, cores, keys) = (config.clone(), Arc::clone(cores), keys.cloned());
    Arc::new(move |spec: ModelSpec| {
        let ring = keys.as_ref().map(|keys| keys.load_or_create(Ring::Endpoint(&spec.name))).transpose();
        let ring = ring.map_err(|error| error.to_string())?;
        let (spec, config) = described(&config, spec);
        Ok((spec, settings(&config, &cores), ring))
    })
}

/// Where clients register shared memory, if they may.
fn shared_memory(config: &Config) -> Option<Arc<SharedMemory>> {
    let limits = shared_memory::Limits {
        max_regions: config.max_shared_memory_regions,
        max_bytes: config.max_shared_memory_bytes,
    };
    config.system_shared_memory.then(|| Arc::new(SharedMemory::new(limits)))
}

/// What applies to every request.
pub fn scoring_settings(config: &Config) -> ScoringSettings {
    ScoringSettings {
        cors_origins: config.cors_origins.0.clone(),
        strict_readiness: config.strict_readiness,
        docs: config.docs,
        log_slow: Duration::from_millis(config.log_slow_ms),
        log_sample_per_second: config.log_sample_per_second,
        request_compression: config.request_compression,
        response_compression_min_bytes: config.response_compression_min_bytes,
    }
}

/// What applies to every call of gRPC.
pub fn grpc_settings(config: &Config) -> GrpcSettings {
    GrpcSettings {
        max_body_bytes: config.max_body_bytes,
        body_timeout: Duration::from_millis(config.body_timeout_ms),
        min_transfer_bytes_per_s: config.min_transfer_bytes_per_s,
        keep_alive_timeout: Duration::from_millis(config.keep_alive_timeout_ms),
    }
}

/// How many connections each port may have, of those that are asked for.
fn room(config: &Config) -> Room {
    let asked = Room { scoring: config.max_connections, admin: config.max_admin_connections };
    let room = Room::for_process(asked);
    if room != asked {
        tracing::warn!(
            max_connections = room.scoring,
            max_admin_connections = room.admin,
            "the process may not open enough files for the connections asked for; raise `ulimit -n`"
        );
    }
    room
}

/// What applies to every connection.
pub fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        header_timeout: Duration::from_millis(config.header_timeout_ms),
        keep_alive_timeout: Duration::from_millis(config.keep_alive_timeout_ms),
        write_timeout: Duration::from_millis(config.write_timeout_ms),
        min_transfer_bytes_per_s: config.min_transfer_bytes_per_s,
        max_header_bytes: config.max_header_bytes,
        max_headers: config.max_headers,
        http2_max_streams: u32::try_from(config.http2_max_streams).unwrap_or(u32::MAX),
    }
}
