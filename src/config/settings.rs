//! The table of settings. Everything with a limit has its unit in its name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator};

use super::value::{
    Auth, EngineChoice, ExecutionChoice, ExtraColumns, Form, List, LogFormat, LogLevel, NonFiniteOutput, NullInput,
    RepositoryMode, SettingValue, TlsVersion,
};
use super::{ConfigError, Origin};
use crate::name::Name;
use crate::provider::{Provider, ProviderOptions};

/// What a setting holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Server,
    /// The server, and single endpoints otherwise, by a table of the file.
    Endpoint,
}

/// One setting, as the command line, the file and the reference present it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key in the file: `max_body_bytes`. The flag is `--max-body-bytes`, the variable `SCORIA_MAX_BODY_BYTES`.
    pub key: &'static str,
    /// What it does, as Markdown.
    pub doc: &'static str,
    /// The type, in words.
    pub kind: &'static str,
    /// The default's text; empty when there is none.
    pub default: fn() -> String,
    /// How the file writes it.
    pub form: Form,
    /// The least number, or the shortest list.
    pub at_least: u64,
    /// The largest number.
    pub at_most: u64,
    /// What it can be set for.
    pub scope: Scope,
    /// What the file may hold, but for the bounds.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Setting {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("SCORIA_{}", self.key.to_ascii_uppercase())
    }

    /// The long flag, without its dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether the flag can stand alone, as `--strict-readiness` for `--strict-readiness=true`.
    pub fn is_switch(&self) -> bool {
        self.form == Form::Switch
    }

    fn check_size(&self, size: Option<u64>) -> Result<(), ConfigError> {
        let Some(size) = size else { return Ok(()) };
        let verb = if self.form == Form::List { "name" } else { "be" };
        let bound = if size < self.at_least {
            format!("at least {}", self.at_least)
        } else if size > self.at_most {
            format!("at most {}", self.at_most)
        } else {
            return Ok(());
        };
        Err(ConfigError::Conflict(format!("{} must {verb} {bound}", self.key)))
    }
}

/// What a setting has, else what any of its type has.
macro_rules! bound {
    ($any:expr) => {
        $any
    };
    ($any:expr, $own:expr) => {
        $own
    };
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident: $t:ty = $default:expr $(, at_least $least:expr)? $(, at_most $most:expr)?
        $(, scope $scope:ident)?;)*) => {
        /// Every setting, checked.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $key: $t,)*
            /// The same for endpoints that the file has a table for, see [`Config::of_endpoint`].
            pub endpoints: BTreeMap<Name, Config>,
            /// What these tables say themselves.
            pub endpoint_keys: BTreeMap<Name, Vec<&'static str>>,
        }

        /// Every setting, in the order of the reference.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: stringify!($key),
            doc: concat!($($doc, "\n"),+),
            kind: <$t as SettingValue>::KIND,
            default: || -> String {
                let default: $t = $default;
                default.to_text()
            },
            form: <$t as SettingValue>::FORM,
            at_least: bound!(0 $(, $least)?),
            at_most: bound!(u64::MAX $(, $most)?),
            scope: bound!(Scope::Server $(, Scope::$scope)?),
            schema: <$t as SettingValue>::schema,
        }),*];

        impl Config {
            /// Takes each setting's text from `layers`, or its default, and checks it.
            pub fn resolve(
                layers: &dyn Fn(&Setting) -> Option<(String, Origin)>,
            ) -> Result<Config, ConfigError> {
                let mut settings = SETTINGS.iter();
                let config = Config {
                    $($key: {
                        let setting = settings.next().expect("the table and the struct come from one list");
                        let value: $t = match layers(setting) {
                            Some((text, origin)) => <$t>::from_text(&text).map_err(|reason| {
                                ConfigError::Invalid { key: setting.key, text, origin, reason }
                            })?,
                            None => $default,
                        };
                        setting.check_size(value.size())?;
                        value
                    },)*
                    endpoints: BTreeMap::new(),
                    endpoint_keys: BTreeMap::new(),
                };
                config.check()?;
                Ok(config)
            }

            /// A setting's text, from which it would be read again.
            pub fn text(&self, key: &str) -> Option<String> {
                match key {
                    $(stringify!($key) => Some(self.$key.to_text()),)*
                    _ => None,
                }
            }
        }
    };
}

/// More than any machine has cores, and few enough to be started.
const THREADS_MAX: u64 = 1_024;

/// A time that is added to the clock has to fit into it.
const YEAR_MS: u64 = 365 * 24 * 3600 * 1_000;

settings! {
    /// Where scoring is served: HTTP/1.1 and HTTP/2, chosen by ALPN with TLS, by prior knowledge without. `localhost:8080` is this
    /// machine alone (127.0.0.1, or ::1 where that is all there is); `:8080` and `*:8080` are every IPv4 interface (0.0.0.0), and
    /// `[::]:8080` every one. Other host names are not looked up.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
    /// Where metrics, health and the admin API are served, by a thread of their own. Written like `listen`.
    admin_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8081));
    /// Whether scoring needs a key: `key` or `none`.
    auth: Auth = Auth::Key;
    /// Names by which the admin port may be called, besides `localhost` and addresses: a request for another `Host` is
    /// answered 421, so that no web page can reach the port through a name of its own (DNS rebinding). Probes are exempt.
    admin_hosts: List = List::default();
    /// Allow `auth = "none"` on an address other than loopback. Whoever reaches the port can then score, or administer.
    insecure_no_auth: bool = false;
    /// The scoring port's certificate chain, the server's own certificate first, as PEM. With it and `tls_key` the port
    /// speaks TLS only. Changes of the files are noticed (see `tls_reload_interval_ms`).
    tls_cert: Option<PathBuf> = None;
    /// The private key of `tls_cert`, as PEM without a passphrase.
    tls_key: Option<PathBuf> = None;
    /// The admin port's certificate chain. Default: `tls_cert`, if `admin_listen` is not on loopback or `admin_client_ca` is
    /// set; on loopback the admin port speaks plain HTTP otherwise.
    admin_tls_cert: Option<PathBuf> = None;
    /// The private key of `admin_tls_cert`.
    admin_tls_key: Option<PathBuf> = None;
    /// Certificate authorities, as PEM. If set, clients of the admin port have to show a certificate that one of these has
    /// issued, for metrics and probes too.
    admin_client_ca: Option<PathBuf> = None;
    /// The oldest version of TLS that is spoken: `1.2` (with authenticated ciphers only) or `1.3`.
    tls_min_version: TlsVersion = TlsVersion::V1_2;
    /// The time a client may take for its TLS handshake; then the connection is closed.
    tls_handshake_timeout_ms: u64 = 10_000, at_least 1, at_most YEAR_MS;
    /// How often the certificate files are looked at. SIGHUP has them read at once.
    tls_reload_interval_ms: u64 = 5_000, at_least 1, at_most YEAR_MS;
    /// Where keys are kept. Default: `$XDG_STATE_HOME/scoria`, else `~/.local/state/scoria`.
    state_dir: Option<PathBuf> = None;
    /// Where models are registered and endpoints are described: a folder, `s3://bucket/…`, `az://container/…` or `gs://bucket/…`
    /// ([registry.md](registry.md)). Credentials and endpoints of the service come from its usual `AWS_…`, `AZURE_…` and
    /// `GOOGLE_…` variables. Default: the folder `registry` in `state_dir`.
    registry: Option<String> = None;
    /// How long one thing that is asked of the registry may take, with all attempts at it; then it counts as away.
    registry_timeout_ms: u64 = 30_000, at_least 1, at_most YEAR_MS;
    /// How often a server looks for changes in its registry. Each look lists the endpoints and asks for the next revision of each.
    registry_poll_interval_ms: u64 = 500, at_least 10, at_most YEAR_MS;
    /// How often a server of a registry writes what it has counted into it (`status/`), and looks whether a rollout goes on.
    status_interval_ms: u64 = 2_000, at_least 100, at_most YEAR_MS;
    /// Addresses that are told what happens in the registry ([webhooks.md](webhooks.md)).
    webhook_urls: List = List::default();
    /// Where the secret is that signs what they are told: `env:NAME` or `file:/path`. Never the secret itself.
    webhook_secret: Option<String> = None;
    /// What they are told of: `ModelRegistered`, `ModelDeployed`, `RolledBack`.
    webhook_events: List = List(vec!["ModelRegistered".to_owned(), "ModelDeployed".to_owned(), "RolledBack".to_owned()]);
    /// The time that such an address has to answer; then it is tried again later.
    webhook_timeout_ms: u64 = 10_000, at_least 1, at_most YEAR_MS;
    /// What models from a registry may take on this machine's disk, in `state_dir`; beyond, those that have not been used for the
    /// longest time are removed, but none in use.
    cache_max_bytes: u64 = 32 * 1024 * 1024 * 1024;
    /// The endpoint that `POST /score` means. Default: the only one, or the one named `default`.
    default_endpoint: Option<String> = None;
    /// Origins whose pages may score, by any of the protocols, and read what models are; or `*`. Empty: no CORS headers at all.
    cors_origins: List = List::default();
    /// Whether clients that have the admin key may load and unload models (`/v2/repository`): `explicit`, or `none`.
    repository_mode: RepositoryMode = RepositoryMode::None;
    /// The folder of the models that can be loaded so, laid out like those that `scoria serve` takes. None of them is loaded at
    /// start unless it is named as well.
    model_repository: Option<PathBuf> = None;
    /// Whether request bodies on `/v2` may be compressed (`Content-Encoding: gzip` or `deflate`). What they unpack to is bounded
    /// by `max_body_bytes`, and costs the processor more than it saves on most networks.
    request_compression: bool = false;
    /// JSON answers on `/v2` of at least so many bytes are compressed for clients whose `Accept-Encoding` asks for it, which is
    /// most of them, whether they gain from it or not. 0: none is.
    response_compression_min_bytes: usize = 0;
    /// Whether the scoring port has a page that shows the OpenAPI documents and tries them out, at `/docs` (Swagger UI, from
    /// the binary). The documents themselves are served either way.
    docs: bool = true;
    /// Folders that a model's external weights may lie in besides its own: symbolic links in a model's folder may lead into these,
    /// and nowhere else, as in the cache of the Hugging Face hub (`.cache/huggingface/hub` of a user; written whole, as nobody
    /// expands `~` in a file). Files in them may have several hard
    /// links. Empty: weights are plain files of the model's folder.
    external_data_folders: List = List::default();
    /// Which engine runs the models: `ort`, `tract`, or `auto` (ONNX Runtime where its library is found, tract otherwise).
    engine: EngineChoice = EngineChoice::Auto;
    /// The ONNX Runtime library. Default: searched beside the executable, in `../lib`, in the Python environment the
    /// executable is installed in, then in the system's library folders.
    ort_lib: Option<PathBuf> = None;
    /// Accept an ONNX Runtime older than 1.31. Older ones leak memory or crash on hostile requests.
    allow_old_ort: bool = false;
    /// Execution providers in order of preference: `tensorrt`, `cuda`, `cpu`. One that cannot be had is passed over, with the
    /// reason in the deployment's state; one that is not in the list is never fallen back to.
    providers: List = List(vec!["cpu".to_owned()]), at_least 1, scope Endpoint;
    /// Options of these, by ONNX Runtime's own names: `cuda.gpu_mem_limit=8589934592`, `cuda.use_tf32=0`,
    /// `tensorrt.trt_fp16_enable=1` ([CUDA](https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html),
    /// [TensorRT](https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html)). `device_id` may name several
    /// GPUs, `cuda.device_id=0,1`: sessions are spread over them. Sizes are in bytes, switches `1` or `0`. Those that name a place on
    /// this machine's disk cannot be set by a specification in a registry.
    provider_options: ProviderOptions = ProviderOptions::default(), scope Endpoint;
    /// On which threads a model is run: `combining` (those that serve connections, each running at once all that waits; for
    /// short runs), `pooled` (workers; for long ones), or `auto`: request by request, by what runs have cost lately.
    execution: ExecutionChoice = ExecutionChoice::Auto, scope Endpoint;
    /// Sessions per model: so many runs at the same time. 0: chosen by measurement when the model is loaded.
    workers: usize = 0, at_most THREADS_MAX, scope Endpoint;
    /// Threads that one run may use inside an operator. 0: chosen by measurement when the model is loaded. Where that is one session
    /// on all cores, and neither this nor `workers` is set nor `max_batch` 1, a model of at most 256 MiB is loaded a second time with
    /// one thread: while enough waits for all cores, each runs a batch of its own.
    intra_op_threads: usize = 0, at_most THREADS_MAX, scope Endpoint;
    /// The most rows of one run, when requests are joined. 1: never join them; each answer then has the very bits of a run by
    /// itself. 0: chosen by measurement when the model is loaded. Whatever it is, only requests to models whose operators
    /// keep rows apart are joined (`scoria doctor` and `/services` say whether they do), and only requests of one shape but for
    /// their rows.
    max_batch: usize = 0, scope Endpoint;
    /// Joins requests to a model although its operators are not known to keep rows apart, as long as rows that are tried give
    /// together what they give apart. **Answers may then depend on other clients' rows**, and nothing tells when they do: for a model
    /// of which you know that it keeps rows apart.
    allow_rows_to_mix: bool = false, scope Endpoint;
    /// How long a worker waits for a batch to be full, counted from its first request. 0: it takes what is there. More makes
    /// every request wait, and has workers run the model whatever it costs (`execution`).
    max_batch_delay_us: u64 = 0, at_most 60_000_000, scope Endpoint;
    /// How long a model may take to be tried out in a process of its own (`scoria doctor`); then it is ended.
    probe_timeout_ms: u64 = 120_000, at_least 1, at_most YEAR_MS;
    /// The address space that such a process may take, at least 4 GiB. 0: three quarters of the memory that is available.
    probe_max_memory_bytes: u64 = 0;
    /// Requests that may wait for a model; more are answered 429.
    queue_max_length: usize = 4_096, at_least 1, scope Endpoint;
    /// A request that would wait longer than this for its run, or has, is answered 429. 0: 100 ms, or sixteen runs if that is
    /// longer; and once that has been reached, 5 ms or one run (of a full batch) until nobody waits any more, so that under a
    /// lasting overload those who are served are served soon. Then one who waits alone waits for as long as its deadline allows.
    queue_max_wait_ms: u64 = 0, at_most YEAR_MS, scope Endpoint;
    /// The deadline of a request, from the end of its headers. A client may shorten it with `x-scoria-timeout-ms`.
    scoring_timeout_ms: u64 = 60_000, at_least 1, at_most YEAR_MS, scope Endpoint;
    /// What a JSON `null` means in a float input: `reject` (400) or `nan`.
    null_input: NullInput = NullInput::Reject;
    /// What becomes of the columns of a frame or a CSV table that are none of the model's inputs: `refuse` (400), or `drop` as MLflow
    /// does. Only for models with an input for each column: a matrix takes its columns by position, whatever their names.
    extra_columns: ExtraColumns = ExtraColumns::Refuse, scope Endpoint;
    /// What NaN and infinities in an output become in a JSON answer: `null`, or an `error` (406).
    non_finite_output: NonFiniteOutput = NonFiniteOutput::Null;
    /// The longest body that is read; longer ones are answered 413.
    max_body_bytes: usize = 16 * 1024 * 1024, at_least 1;
    /// The time a body may take to arrive; then 408.
    body_timeout_ms: u64 = 30_000, at_least 1, at_most YEAR_MS;
    /// A client that sends its body more slowly than this, after a first 5 s, gets 408; one that takes its answer more slowly,
    /// pauses up to `write_timeout_ms` aside, is disconnected. 0: as slow as it likes.
    min_transfer_bytes_per_s: u64 = 1_024;
    /// The most elements that all inputs of one request may have together, and all outputs.
    max_elements: usize = 16 * 1024 * 1024, at_least 1;
    // The readers of JSON recurse, and a thread's stack is 2 MiB.
    /// The deepest nesting of arrays and objects in a JSON body; deeper ones are answered 400.
    max_json_depth: usize = 64, at_least 1, at_most 1_000;
    /// The most dimensions that a tensor in a body may have; more are answered 400.
    max_rank: usize = 64, at_least 1;
    /// Requests in progress at once, over all endpoints; more are answered 429 before their body is read.
    max_in_flight: usize = 4_096, at_least 1;
    /// Bytes of request bodies held at once, over all endpoints; beyond, 429. Bodies of more than 64 KiB leave a quarter to
    /// smaller ones.
    max_in_flight_bytes: usize = 1024 * 1024 * 1024, at_least 1;
    /// Connections open at once on the scoring port. For further ones, those that are idle or have not sent a whole request
    /// are closed, the longest waiting first; while every connection has a request in progress, further ones wait.
    /// Never more than the process has file descriptors for (`ulimit -n`).
    max_connections: usize = 10_000, at_least 1;
    /// The same for the admin port, whose file descriptors are kept free of scoring connections.
    max_admin_connections: usize = 64, at_least 1;
    /// The time a client may take to send a request's headers; then the connection is closed.
    header_timeout_ms: u64 = 10_000, at_least 1, at_most YEAR_MS;
    /// The time a client may pause between requests; then the connection is closed. Keep it above that of a load balancer in
    /// front (often 60 s), so that it is the one to close.
    keep_alive_timeout_ms: u64 = 75_000, at_least 1, at_most YEAR_MS;
    /// The time a client may take none of an answer that is ready; then the connection is closed.
    write_timeout_ms: u64 = 30_000, at_least 1, at_most YEAR_MS;
    // hyper refuses smaller read buffers (`http1::Builder::max_buf_size`).
    /// The longest request head; longer ones are answered 431.
    max_header_bytes: usize = 32 * 1024, at_least 8192;
    /// The most headers of a request; more are answered 431.
    max_headers: usize = 100, at_least 1;
    /// Streams that one HTTP/2 connection may have open.
    http2_max_streams: u64 = 100, at_least 1, at_most u32::MAX as u64;
    /// How long a thread that has answered a request looks out for the client's next one before it sleeps: a client that asks again
    /// at once is answered some 20 us sooner. One connection at a time is waited for so, and rarely if that is in vain. 0: none.
    busy_poll_us: u64 = 50, at_most 1_000_000;
    /// After SIGTERM: how long connections are still accepted while readiness already says 503, so that load balancers
    /// notice. SIGINT skips it.
    drain_delay_ms: u64 = 5_000, at_most YEAR_MS;
    /// After the drain delay: how long requests in flight may take to finish.
    drain_timeout_ms: u64 = 20_000, at_most YEAR_MS;
    /// Whether `/readyz` waits for models that could not be loaded, too.
    strict_readiness: bool = false;
    /// Whether `/metrics` has Triton's metrics too (`nv_…`), for dashboards that were made for it.
    triton_metrics: bool = false;
    /// Whether clients on this machine may have tensors read from, and written to, POSIX shared memory that they have registered
    /// (`/v2/systemsharedmemory`). Whoever may score can then have the server read and write any object below `/dev/shm` that
    /// its user may: leave it off unless every client is trusted with those.
    system_shared_memory: bool = false;
    /// Regions of shared memory that may be registered at once.
    max_shared_memory_regions: usize = 1_024, at_least 1;
    /// The size of these regions together.
    max_shared_memory_bytes: u64 = 1024 * 1024 * 1024, at_least 1;
    /// How log lines look: `human`, `json`, or `auto` (human on a terminal).
    log_format: LogFormat = LogFormat::Auto;
    /// The least important line that is logged: `error`, `warn`, `info` or `debug`.
    log_level: LogLevel = LogLevel::Info;
    /// Requests slower than this are logged, every one of them.
    log_slow_ms: u64 = 1_000, at_most YEAR_MS;
    /// Of the other successful requests, how many are logged in each second. What was left out is counted in the next line.
    log_sample_per_second: u64 = 1;
}

impl Config {
    /// Rules between settings.
    fn check(&self) -> Result<(), ConfigError> {
        self.check_exposure()?;
        self.check_providers()?;
        if self.is_one_port_taken_twice() {
            return Err(ConfigError::Conflict(format!(
                "listen ({}) and admin_listen ({}) take the same port of one address: give them different ports",
                self.listen, self.admin_listen
            )));
        }
        let problem = match (self.repository_mode, &self.model_repository) {
            (RepositoryMode::Explicit, None) => "repository_mode is explicit: name the folder in model_repository",
            (RepositoryMode::None, Some(_)) => "model_repository is for repository_mode = \"explicit\"",
            (RepositoryMode::Explicit, Some(_)) | (RepositoryMode::None, None) => return Ok(()),
        };
        Err(ConfigError::Conflict(problem.to_owned()))
    }

    /// Whether both ports would be one; the address that stands for all holds every other.
    fn is_one_port_taken_twice(&self) -> bool {
        let (one, other) = (self.listen, self.admin_listen);
        let is_all = |ip: IpAddr, other: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4());
        let is_shared = one.ip() == other.ip() || is_all(one.ip(), other.ip()) || is_all(other.ip(), one.ip());
        is_shared && one.port() == other.port() && one.port() != 0
    }

    fn check_providers(&self) -> Result<(), ConfigError> {
        let refused = |key: &str, reason: String| ConfigError::Conflict(format!("{key}: {reason}"));
        for (index, name) in self.providers.0.iter().enumerate() {
            Provider::parse(name).map_err(|reason| refused("providers", reason))?;
            if self.providers.0[..index].contains(name) {
                return Err(refused("providers", format!("{name} is named twice; name each once, the best first")));
            }
        }
        let options = &self.provider_options;
        options.check_listed(&self.providers.0).map_err(|reason| refused("provider_options", reason))
    }

    /// The folders that links to weights may lead into.
    pub fn weights_folders(&self) -> Vec<PathBuf> {
        self.external_data_folders.0.iter().map(PathBuf::from).collect()
    }

    /// Whether there may be endpoints that are not there yet.
    pub fn has_repository(&self) -> bool {
        self.repository_mode == RepositoryMode::Explicit
    }
}
