//! ONNX Runtime, loaded as a shared library: the main engine.
//!
//! The process has one environment, with one pool of threads and one source of memory for all models (`allocator`). A model is
//! loaded once for each GPU it computes on (`fleet`), or once for the processor, into one session of the runtime (`graph`) that any
//! number of our sessions run (`session`). Which providers it is loaded with is found out by trying (`providers`).
//!
//! This folder is the only place that names the `ort` crate. [`start`] must be its first call: any other one made before a
//! library is in place panics, and one made after a failed start would too, so a caller whose start failed goes on without
//! this engine. Where libraries may lie is [`library`](super::library)'s business; reading the environment is
//! `config`'s, hence [`TelemetryOff`].

mod absence;
mod allocator;
mod buffers;
mod copies;
mod cuda;
mod device;
mod failure;
mod fleet;
mod graph;
mod providers;
mod recent;
mod recorder;
mod session;
mod texts;
mod value;
mod view;

use std::error::Error as _;
use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::logging::LogLevel;
use ort::session::Session as RuntimeSession;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};
use parking_lot::Mutex;

use self::fleet::{Fleet, Graphs};
use self::graph::LoadedGraph;
use self::providers::{Candidates, Made, Refusal};
use self::session::{Contract, OrtSession};
use super::environment::{self, Lack};
use super::library::Version;
use super::{Buckets, Engine, EngineInfo, LoadError, LoadOptions, Loaded, Staging};
use crate::provider::Provider;
use crate::tensor::{DType, Signature, ValueType};

const NAME: &str = "ort";

/// Below this, requests can crash the runtime or make it leak.
const OLDEST_TRUSTED: Version = Version { major: 1, minor: 31 };

/// Below this the C API lacks functions that are called (the crate's feature `api-24`).
const OLDEST_USABLE: Version = Version { major: 1, minor: ort::MINOR_VERSION };

/// Threads wait for the next node of a graph awake, and sleep as soon as no run is under way: a pool that may spin at any time burns
/// a core per thread for as long as requests keep coming, however seldom, and one that never may wakes a thread for each node
/// (measured: `docs/performance.md`). The key is one of `onnxruntime_session_options_config_keys.h`.
const SPINNING_ENDS_WITH_THE_RUN: (&str, &str) = ("session.force_spinning_stop", "1");

/// What to do with a runtime whose version is known to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldRuntime {
    Refuse,
    Allow,
}

/// Proof that the runtime's telemetry was switched off before the library is opened.
///
/// The official builds since 1.30 write a device id and a database below the user's cache folder and send them home. Only
/// the environment variable prevents that, and it is read as the environment is created: `with_telemetry(false)` comes too
/// late.
#[derive(Clone, Copy, Debug)]
pub struct TelemetryOff(());

impl TelemetryOff {
    /// The variable that has to be `1` in the process environment.
    pub const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

    /// Accepts the value that [`Self::VARIABLE`] has now.
    pub fn from_variable(value: Option<&OsStr>) -> Result<TelemetryOff, StartError> {
        match value {
            Some(value) if value == "1" => Ok(TelemetryOff(())),
            _ => Err(StartError::Telemetry),
        }
    }
}

/// Why ONNX Runtime cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "no ONNX Runtime library was found; run `make` for a pinned copy, install the Python package onnxruntime beside \
         scoria, name a library with --ort-lib, or choose the embedded engine with --engine tract"
    )]
    NotFound,
    #[error(
        "ONNX Runtime {found} at {} is refused: versions before {OLDEST_TRUSTED} leak memory or crash on hostile requests; \
         run `make` for a pinned copy, name a newer library with --ort-lib, or override with --allow-old-ort",
        path.display()
    )]
    TooOld { found: Version, path: PathBuf },
    #[error("ONNX Runtime at {} cannot be used: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("ONNX Runtime is not started while {} is not set to 1", TelemetryOff::VARIABLE)]
    Telemetry,
}

/// The engine. Cheap to clone: the library and its environment are the process's.
#[derive(Clone)]
pub struct OrtEngine {
    environment: Environment,
    /// How many threads a run has that shares the process's pool: that of its caller, and those of the pool.
    pool_threads: usize,
    info: EngineInfo,
}

/// ONNX Runtime takes one environment per process, and a second one fails even after the first is gone.
static STARTED: Mutex<Option<OrtEngine>> = Mutex::new(None);

/// Opens the first library of `candidates` that can be used.
///
/// Once it has succeeded, later calls give the same engine, whatever their arguments. After a failure it may be called again.
/// The error is that of the first candidate, which is the one that was meant.
pub fn start(candidates: &[PathBuf], old: OldRuntime, _telemetry: TelemetryOff) -> Result<OrtEngine, StartError> {
    let mut started = STARTED.lock();
    if let Some(engine) = &*started {
        return Ok(engine.clone());
    }
    let mut first_error = None;
    for path in candidates {
        match open(path, old) {
            Ok(engine) => return Ok(started.insert(engine).clone()),
            Err(error) => {
                tracing::debug!(%error, "library passed over");
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or(StartError::NotFound))
}

fn open(path: &Path, old: OldRuntime) -> Result<OrtEngine, StartError> {
    let unusable = |mut reason: String| {
        if let Some(Lack { what, remedy }) = environment::lacking(&reason) {
            reason = format!("{what}; {remedy} ({reason})");
        }
        StartError::Unusable { path: path.to_owned(), reason }
    };
    // The version is looked at before `init_from`, which would bind the process to this library for good.
    let Some(minor) = ort::util::probe(path) else {
        return Err(unusable(why_not_probed(path)));
    };
    let found = Version { major: 1, minor };
    check_version(found, old, path)?;
    let builder = ort::init_from(path).map_err(|error| unusable(error.to_string()))?;
    let pool_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let environment = thread_pool(pool_threads)
        .and_then(|pool| {
            let builder = builder.with_name("scoria").with_telemetry(false).with_logger(Arc::new(log));
            builder.with_global_thread_pool(pool).build()
        })
        .map_err(|error| unusable(error.to_string()))?;
    // The builder asks for every message there is, down to one per node and run.
    environment.set_log_level(LogLevel::Warning);
    allocator::register(&environment).map_err(|error| unusable(error.to_string()))?;
    let version = super::library::file_version(path, found).unwrap_or_else(|| found.to_string());
    let info = EngineInfo { name: NAME, version, loaded_from: Some(path.to_owned()) };
    Ok(OrtEngine { environment, pool_threads, info })
}

/// The threads that all models share whose runs may use the whole machine, so that a hundred of them have no more threads
/// than one.
fn thread_pool(threads: usize) -> ort::Result<GlobalThreadPoolOptions> {
    GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // While a session runs: see `SPINNING_ENDS_WITH_THE_RUN`.
        .with_spin_control(true)
}

fn check_version(found: Version, old: OldRuntime, path: &Path) -> Result<(), StartError> {
    if found < OLDEST_USABLE {
        let reason = format!("it is version {found}, and {OLDEST_USABLE} is the oldest that Scoria can call");
        return Err(StartError::Unusable { path: path.to_owned(), reason });
    }
    if found < OLDEST_TRUSTED && old == OldRuntime::Refuse {
        return Err(StartError::TooOld { found, path: path.to_owned() });
    }
    Ok(())
}

fn why_not_probed(path: &Path) -> String {
    match ort::util::preload_dylib(path) {
        // The error's own text is "dlopen failed"; the system's reason is its source.
        Err(error) => error.source().map_or_else(|| error.to_string(), ToString::to_string),
        Ok(()) => "it is not an ONNX Runtime 1.x library".to_owned(),
    }
}

/// What the runtime says of itself. Failures come back as errors and are reported by whoever asked, so none of it is louder
/// than a warning here.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        // What cuDNN cannot do one way is done another.
        LogLevel::Error if location.starts_with("cudnn_fe_call.cc") => {
            tracing::debug!(location, "onnxruntime: {message}");
        }
        LogLevel::Fatal | LogLevel::Error => tracing::warn!(location, "onnxruntime: {message}"),
        _ => tracing::debug!(location, "onnxruntime: {message}"),
    }
}

impl Engine for OrtEngine {
    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn builds_long(&self, provider: Provider) -> bool {
        provider == Provider::TensorRt
    }

    fn load(&self, path: &Path, graph: &super::Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let signature = &graph.signature;
        check_outputs(signature)?;
        let candidates = Candidates::new(&options.providers)?;
        let mut options = options.clone();
        if let Some(reason) = graph.recording_obstacle.as_ref().filter(|_| options.provider_options.records_runs()) {
            tracing::warn!(path = %path.display(), reason, "runs of this model are not recorded");
            options.provider_options = options.provider_options.without_recording();
        }
        let options = &options;
        let Made { session: opened, providers, missing } =
            candidates.make(|left| self.open_all(path, left, options))?;
        let devices = opened.iter().filter(|opened| opened.device.is_some()).count();
        let is_on_cuda = providers.contains(&Provider::Cuda);
        let is_recorded = match options.staging {
            Staging::Replayed => true,
            _ => is_on_cuda && options.provider_options.records_runs(),
        };
        let members = opened.into_iter().map(|opened| opened.graphs(signature, is_recorded).map(Arc::new));
        let fleet = Arc::new(Fleet::new(members.collect::<Result<_, _>>()?));
        let contract = Contract {
            signature: signature.clone(),
            lookups: graph.lookups.clone(),
            max_output_elements: options.max_output_elements,
            staging: options.staging,
            is_recorded,
        };
        let first = OrtSession::new(fleet, Arc::new(contract))?;
        Ok(Loaded {
            sessions: super::sessions(Box::new(first), options.sessions)?,
            devices,
            providers: providers.iter().map(Provider::to_string).collect(),
            missing_providers: missing.into_iter().map(|(name, reason)| (name.to_string(), reason)).collect(),
        })
    }
}

/// The runtime's sessions on one device.
struct Opened {
    /// The GPU; `None` for the processor.
    device: Option<u32>,
    any: RuntimeSession,
    sized: Vec<(usize, RuntimeSession)>,
}

impl Opened {
    fn graphs(self, signature: &Signature, is_recorded: bool) -> Result<Graphs, LoadError> {
        let graph = |session| LoadedGraph::new(session, signature, self.device, is_recorded);
        let sized = self.sized.into_iter().map(|(rows, session)| Ok((rows, graph(session)?)));
        Ok(Graphs { sized: sized.collect::<Result<_, LoadError>>()?, any: graph(self.any)? })
    }
}

impl OrtEngine {
    /// Sessions of the runtime on each GPU, or on the processor.
    fn open_all(&self, path: &Path, providers: &[Provider], options: &LoadOptions) -> Result<Vec<Opened>, Refusal> {
        let is_on_gpu = providers.first() != Some(&Provider::Cpu);
        let devices = options.provider_options.devices().into_iter().map(Some);
        let devices: Vec<_> = if is_on_gpu { devices.collect() } else { vec![None] };
        let exact = options.provider_options.clone().with_exact_memory();
        let open = |device: Option<u32>, provider_options| {
            if device.is_some() {
                cuda::ignore_recordings_of_others();
            }
            let builder = self.builder(options.intra_op_threads)?;
            providers::make(builder, path, (providers, provider_options, device.unwrap_or(0)))
        };
        let opened = devices.into_iter().map(|device| {
            let any = open(device, &options.provider_options)?;
            let mut sized = Vec::new();
            for rows in options.sizes.into_iter().flat_map(Buckets::sizes) {
                match open(device, &exact) {
                    Ok(session) => sized.push((rows, session)),
                    Err(Refusal::Of(_, reason) | Refusal::OfAll(reason)) => {
                        tracing::warn!(reason, rows, "from this size on, runs share what the model has for any");
                        break;
                    }
                }
            }
            Ok(Opened { device, any, sized })
        });
        opened.collect()
    }

    fn builder(&self, threads: usize) -> ort::Result<SessionBuilder> {
        let builder = RuntimeSession::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_env_allocators()?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_config_entry(SPINNING_ENDS_WITH_THE_RUN.0, SPINNING_ENDS_WITH_THE_RUN.1)?
            // The binding would otherwise prefer an NPU where the library knows of one.
            .with_auto_device(AutoDevicePolicy::PreferCPU)?;
        if threads > 1 && threads == self.pool_threads {
            return Ok(builder);
        }
        // A pool of its own, which has one thread less than this, and so often none.
        Ok(builder.with_independent_thread_pool()?.with_intra_threads(threads)?)
    }
}

fn failed(reason: String) -> LoadError {
    match environment::lacking(&reason) {
        Some(Lack { what, remedy }) => LoadError::Environment { engine: NAME, what, remedy, reason },
        None => LoadError::Failed { engine: NAME, reason },
    }
}

/// The outputs that the C API can give us: all but maps to strings, which no operator makes.
fn check_outputs(signature: &Signature) -> Result<(), LoadError> {
    fn readable(value: &ValueType) -> bool {
        match value {
            ValueType::Tensor { .. } => true,
            ValueType::Sequence(item) => readable(item),
            ValueType::Map { value, .. } => {
                matches!(&**value, ValueType::Tensor { dtype: DType::F32 | DType::F64 | DType::I64, .. })
            }
        }
    }
    match signature.outputs.iter().find(|output| !readable(&output.value)) {
        None => Ok(()),
        Some(output) => Err(LoadError::Unsupported {
            engine: NAME,
            what: format!("output '{}' is a {}", output.name, output.value),
            remedy: "export the model with plain tensor outputs".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_runtime_is_refused_with_version_path_reason_and_remedy() {
        let old = Version { major: 1, minor: 30 };
        let path = Path::new("/opt/libonnxruntime.so.1.30.0");
        let text = check_version(old, OldRuntime::Refuse, path).expect_err("1.30 is too old").to_string();
        for part in ["1.30 at /opt/libonnxruntime.so.1.30.0", "crash", "make", "--ort-lib", "--allow-old-ort"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        check_version(old, OldRuntime::Allow, path).expect("allowed");
        for minor in [31, 32, 100] {
            check_version(Version { major: 1, minor }, OldRuntime::Refuse, path).expect("new enough");
        }
    }

    #[test]
    fn a_runtime_older_than_the_api_is_refused_even_when_old_ones_are_allowed() {
        let error = check_version(Version { major: 1, minor: 23 }, OldRuntime::Allow, Path::new("x"));
        assert!(matches!(error, Err(StartError::Unusable { .. })), "{error:?}");
    }

    #[test]
    fn telemetry_must_have_been_switched_off() {
        TelemetryOff::from_variable(Some(OsStr::new("1"))).expect("off");
        for value in [None, Some(""), Some("0"), Some("true")] {
            let refused = TelemetryOff::from_variable(value.map(OsStr::new));
            assert!(matches!(refused, Err(StartError::Telemetry)), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_library_is_refused_and_the_next_candidate_is_tried() {
        let telemetry = TelemetryOff::from_variable(Some(OsStr::new("1"))).expect("off");
        assert!(matches!(start(&[], OldRuntime::Refuse, telemetry), Err(StartError::NotFound)));
        let candidates = [PathBuf::from("/nowhere/libonnxruntime.so"), PathBuf::from("/dev/null")];
        let error = start(&candidates, OldRuntime::Refuse, telemetry).err().expect("no library").to_string();
        assert!(error.contains("/nowhere/libonnxruntime.so") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn maps_to_strings_are_refused() {
        let value = Box::new(ValueType::Tensor { dtype: DType::String, dims: None });
        let value = ValueType::Sequence(Box::new(ValueType::Map { key: DType::I64, value }));
        let output = crate::tensor::OutputSpec { name: "names".to_owned(), value };
        let signature = Signature { inputs: Vec::new(), outputs: vec![output] };
        let text = check_outputs(&signature).expect_err("a map to strings").to_string();
        assert!(text.contains("'names'") && text.contains("map(int64, string"), "{text}");
    }
}
