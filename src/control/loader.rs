//! From a model's file to an endpoint that can answer: read, load, measure, plan, warm.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::aside::aside;
use super::engine_cache::EngineCache;
use super::measure::{Batching, fastest, is_switching_dear, warm_sizes};
use super::{Description, ModelSpec, Settings};
use crate::codec::{self, Policy};
use crate::deployment::{Deployment, JoinVerdict, Labels, Lifeline, ModelInfo, RowJoining};
use crate::engine::{Buckets, Engine, Graph, GraphError, LoadError, LoadOptions, Loaded, RunError};
use crate::name::Name;
use crate::plain_file;
use crate::probe::{decode_sample, typical_inputs};
use crate::provider::{Provider, ProviderOptions};
use crate::schedule::{
    Cost, Crowd, Execution, Lane, Narrow, Parts, Place, Plan, Scheduler, Timed, Watchdog, device_layout, gain, layout,
    plan, threads_to_try,
};
use crate::telemetry::Metrics;
use crate::tensor::{Signature, Tensor};
use crate::triton::{self, ModelConfig};

/// The longest example that is shown in an error message, in bytes.
const EXAMPLE_BYTES_MAX: usize = 4 * 1024;

/// How long the runs that warm and measure a model may take together, and how many there are.
pub(super) const WARM_UP_MAX: Duration = Duration::from_secs(30);
const WARM_UP_RUNS: usize = 4;

/// The same on a GPU, where the first run of a size looks for the fastest of many kernels, or builds an engine.
pub(super) const DEVICE_WARM_UP_MAX: Duration = Duration::from_secs(15 * 60);

/// What a model's copies for single sizes may have of a GPU's memory for weights, together.
const SIZES_WEIGHTS_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The most weights that a model may have to be loaded a second time, for narrow lanes.
const NARROW_WEIGHTS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long the runs may take together that a model's description asks for. Building an engine for a GPU takes minutes.
const DESCRIBED_WARM_UP_MAX: Duration = Duration::from_secs(15 * 60);

/// Loads models with one engine.
pub struct Loader {
    pub engine: Arc<dyn Engine>,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    pub watchdog: Arc<Watchdog>,
    /// The model's sample, if it is not beside it.
    pub sample: Option<PathBuf>,
    pub engine_cache: Option<EngineCache>,
}

/// Where a model is going to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub endpoint: Name,
    pub deployment: Name,
}

impl Seat {
    /// Of an endpoint's only deployment.
    pub fn only(endpoint: Name) -> Seat {
        Seat { endpoint, deployment: Name::parse("default").expect("a literal that is a name") }
    }
}

/// A model's sample request, from the file beside the model or made up from the signature.
struct Sample {
    /// A body that is valid for the model, if one is short enough to be shown.
    body: Option<String>,
    /// `None` when even the smallest request is larger than a request may be.
    inputs: Option<Vec<Tensor>>,
    /// Another one of common size, if there is no file and the signature leaves sizes open.
    typical: Option<Vec<Tensor>>,
}

/// A model that is loaded as it is going to run.
struct Prepared {
    loaded: Loaded,
    lanes: Vec<Arc<Lane>>,
    narrow: Option<Narrow>,
    plan: Plan,
    row_joining: RowJoining,
    cost: Cost,
    /// Whether the model ran on the sample.
    runs_sample: bool,
}

impl Loader {
    /// Loads a model and warms it. Blocks; may take as long as the model is large.
    pub fn load(&self, spec: &ModelSpec, seat: &Seat) -> Result<Deployment, LoadError> {
        let config = described(spec)?;
        let graph = Graph::read_linked(&spec.path, &self.settings.external_data_folders)?;
        let labels = config.map(|config| check_description(spec, config, &graph.signature)).transpose()?;
        for input in graph.signature.inputs.iter().filter(|input| input.is_always_empty()) {
            tracing::warn!(endpoint = %spec.name, input = input.name, "the file gives it the size 0: requests can give it no value");
        }
        let (digest, _) = digest_file(&spec.path)?;
        let sample = self.sample(spec, &graph.signature);
        let Prepared { loaded, lanes, narrow, plan, row_joining, cost, runs_sample } =
            self.load_as_planned(spec, &graph, &sample, self.provider_options(&digest))?;
        if let Some(config) = config {
            self.run_warm_up(
                spec,
                config,
                &graph.signature,
                lanes.iter().chain(narrow.iter().flat_map(|narrow| &narrow.lanes)),
            )?;
        }

        let metrics = Arc::new(self.metrics.deployment(seat.endpoint.as_str(), seat.deployment.as_str()));
        let scheduler = Scheduler::start(Parts {
            lanes,
            narrow,
            plan,
            limits: self.settings.queue,
            cost,
            cores: Arc::clone(&self.settings.cores),
            metrics: Arc::clone(&metrics),
        })
        .map_err(|error| self.failed(format!("no worker thread could be started: {error}")))?;
        let model = ModelInfo {
            registered: None,
            path: spec.path.clone(),
            version: spec.version,
            digest,
            producer: graph.producer,
            opsets: graph.opsets,
            providers_asked: self.settings.providers.clone(),
            providers_got: loaded.providers,
            providers_missing: loaded.missing_providers,
            providers_pending: Vec::new(),
        };
        Ok(Deployment {
            name: seat.deployment.clone(),
            model,
            engine: self.engine.info(),
            signature: Arc::new(graph.signature),
            // What the model does not run on is no example, even if it is well formed.
            example: sample.body.filter(|_| runs_sample),
            labels: labels.unwrap_or_default(),
            plan,
            row_joining,
            scheduler: Arc::new(scheduler),
            metrics,
            scoring_timeout: self.settings.endpoint.scoring_timeout,
            cached: None,
            lifeline: Arc::new(Lifeline::nobodys()),
        })
    }

    /// Loads once to measure, and again if the measurement asks for other threads.
    fn load_as_planned(
        &self,
        spec: &ModelSpec,
        graph: &Graph,
        sample: &Sample,
        provider_options: ProviderOptions,
    ) -> Result<Prepared, LoadError> {
        let inputs = sample.inputs.as_deref();
        let (wishes, cores) = (self.settings.wishes, self.settings.cores.total());
        let mut options = LoadOptions {
            providers: self.settings.providers.clone(),
            provider_options,
            max_output_elements: self.settings.endpoint.max_elements,
            intra_op_threads: wishes.intra_op_threads.max(1),
            ..LoadOptions::default()
        };
        let mut model = self.load_lane(spec, graph, &options)?;
        let devices = model.0.devices;
        let warm_up_max = if devices > 0 { DEVICE_WARM_UP_MAX } else { WARM_UP_MAX };
        let mut single = self.warm_up(spec, &model.1, inputs, warm_up_max)?;
        let runs_sample = single.is_some();
        // A made-up sample is as small as it may be, which requests are not.
        let typical = sample.typical.as_deref().and_then(|typical| {
            let lane = &model.1;
            single = Some(self.aside(|| fastest(lane, typical, WARM_UP_RUNS, Instant::now() + warm_up_max)).ok()?);
            Some(typical)
        });
        let inputs = typical.or(inputs);
        let (mut parallel, mut narrow) = (None, None);
        if let Some(threads) = threads_to_try(single, wishes, cores).filter(|_| devices == 0) {
            // Otherwise the first session's weights are let go before the next ones are read.
            narrow = self.may_be_narrow(graph).then_some(model);
            options.intra_op_threads = threads;
            model = self.load_lane(spec, graph, &options)?;
            parallel = self.warm_up(spec, &model.1, inputs, warm_up_max)?;
        }
        let (workers, intra_op_threads) = match devices {
            0 => layout(single, parallel, wishes, cores, narrow.is_some()),
            devices => device_layout(devices, wishes),
        };
        if intra_op_threads != options.intra_op_threads {
            drop(model);
            options.intra_op_threads = intra_op_threads;
            model = match narrow.take() {
                Some(first) => first,
                None => {
                    let model = self.load_lane(spec, graph, &options)?;
                    self.warm_up(spec, &model.1, inputs, warm_up_max)?;
                    model
                }
            };
        }
        let inputs = inputs.filter(|_| single.is_some());
        let measured = inputs
            .map(|inputs| self.aside(|| self.batching(spec, graph, (&model.1, devices, intra_op_threads), inputs)));
        let (Batching { runs, max_batch }, row_joining) = measured.unwrap_or_else(|| {
            let reason = self.obstacle(graph).unwrap_or_else(|| "the model has not run on its sample".to_owned());
            (Batching::default(), RowJoining::new(JoinVerdict::Alone, reason))
        });
        self.tell_row_joining(spec, &row_joining);
        let mut plan = plan(single, (workers, intra_op_threads), max_batch, wishes);
        tracing::debug!(endpoint = %spec.name, devices, ?single, ?parallel, ?runs, ?plan, "planned");
        let padded = inputs.filter(|_| devices > 0 && max_batch > 1);
        if let Some(inputs) = padded {
            plan.sizes = Some(Buckets::up_to(max_batch));
            if is_switching_dear(&model.1, inputs, &runs)
                && let Some(sizes) = self.own_sizes(spec, graph, max_batch)
            {
                // What was measured holds memory for every size.
                drop(model);
                options.sizes = Some(sizes);
                plan.sizes = options.sizes;
                model = self.load_lane(spec, graph, &options)?;
            }
        }
        let (mut loaded, mut lanes) = self.with_lanes(model, workers)?;
        if let Some((inputs, sizes)) = padded.zip(plan.sizes)
            && let Err(error) = pad(&lanes, inputs, sizes)
        {
            tracing::warn!(endpoint = %spec.name, %error, "not every size of batch could be run ahead of requests");
            if options.sizes.take().is_some() {
                // Together they need more memory than there is.
                drop((loaded, lanes));
                (loaded, lanes) = self.with_lanes(self.load_lane(spec, graph, &options)?, workers)?;
                allow_padding(&lanes, sizes);
            }
        }
        let narrow = match narrow.filter(|_| plan.execution == Execution::Pooled) {
            Some(model) => {
                let crowd = Crowd::new(cores, max_batch, gain(single, parallel));
                Some(Narrow { lanes: self.with_lanes(model, cores)?.1, crowd })
            }
            None => None,
        };
        Ok(Prepared { loaded, lanes, narrow, plan, row_joining, cost: Cost::new(&runs), runs_sample })
    }

    /// A loaded model's first lane, and as many more as make `workers`.
    fn with_lanes(
        &self,
        (loaded, first): (Loaded, Arc<Lane>),
        workers: usize,
    ) -> Result<(Loaded, Vec<Arc<Lane>>), LoadError> {
        let mut lanes = vec![first];
        while lanes.len() < workers {
            let session = lanes[0].another()?;
            lanes.push(Lane::new(session, &self.watchdog));
        }
        Ok((loaded, lanes))
    }

    /// Whether a model is loaded a second time, with one thread, besides one that uses all cores: unless the operator has decided
    /// how many there are, or wants runs that are all alike (`max_batch = 1`), or it is large.
    fn may_be_narrow(&self, graph: &Graph) -> bool {
        let wishes = self.settings.wishes;
        let is_open = wishes.workers == 0 && wishes.intra_op_threads == 0 && wishes.max_batch != 1;
        is_open && weights(graph) <= NARROW_WEIGHTS_BYTES_MAX
    }

    /// The sizes that the model is loaded for once more each, where a change of size is dear; `None` where it is so large, or its
    /// memory so bounded, that it is better off without.
    fn own_sizes(&self, spec: &ModelSpec, graph: &Graph, max_batch: usize) -> Option<Buckets> {
        let weights = weights(graph);
        let count = usize::try_from(SIZES_WEIGHTS_BYTES_MAX / weights.max(1)).unwrap_or(usize::MAX);
        let is_bounded = self.settings.provider_options.bounds_memory();
        if count < 2 || is_bounded {
            tracing::warn!(
                endpoint = %spec.name,
                weights,
                is_bounded,
                "runs of this model cost far more if the last was of another number of rows, and the GPU's memory is not for a \
                 copy of it for each: clients do better to send requests of one size, or max_batch to be 1"
            );
            return None;
        }
        let sizes = Buckets::at_most(count, max_batch);
        tracing::info!(
            endpoint = %spec.name,
            sizes = ?sizes.sizes().collect::<Vec<_>>(),
            "a change of the number of rows is dear on this GPU: the model is loaded once for each"
        );
        Some(sizes)
    }

    /// What is set of the providers, and where the model's engines are kept if any are built.
    fn provider_options(&self, digest: &str) -> ProviderOptions {
        let options = self.settings.provider_options.clone();
        let cache = self.engine_cache.as_ref().filter(|_| {
            let providers = self.settings.providers.iter().filter_map(|name| Provider::parse(name).ok());
            providers.into_iter().any(|provider| self.engine.builds_long(provider))
        });
        let Some(cache) = cache else { return options };
        match cache.folder(digest, &self.engine.info().version) {
            Ok(folder) => options.with_engine_cache(&folder),
            Err(error) => {
                tracing::warn!(%error, "what is built for a GPU cannot be kept; it is built again after each start");
                options
            }
        }
    }

    /// Loads a model, and makes a lane of its first session.
    pub(super) fn load_lane(
        &self,
        spec: &ModelSpec,
        graph: &Graph,
        options: &LoadOptions,
    ) -> Result<(Loaded, Arc<Lane>), LoadError> {
        let load = || self.engine.load(&spec.path, graph, options);
        // The threads of a session are made as it is loaded, and they serve.
        let mut loaded = if options.intra_op_threads > 1 { load() } else { self.aside(load) }?;
        graph.check_unchanged()?;
        let lane = Lane::new(loaded.sessions.remove(0), &self.watchdog);
        Ok((loaded, lane))
    }

    /// Does work that makes no threads. A provider other than the processor's may make some whenever it likes.
    fn aside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let makes_threads = self.settings.providers.iter().any(|provider| provider != "cpu");
        if makes_threads { work() } else { aside(work) }
    }

    /// Runs the model a few times and gives the fastest; `None` when it does not run on the sample, which a model that is
    /// particular about its values need not. An engine that turns out not to have what the model needs is an error.
    fn warm_up(
        &self,
        spec: &ModelSpec,
        lane: &Lane,
        inputs: Option<&[Tensor]>,
        time_max: Duration,
    ) -> Result<Option<Timed>, LoadError> {
        let Some(inputs) = inputs else { return Ok(None) };
        match self.aside(|| fastest(lane, inputs, WARM_UP_RUNS, Instant::now() + time_max)) {
            Ok(run) => Ok(Some(run)),
            Err(RunError::Unsupported(what)) => {
                let is_recorded = self.settings.provider_options.records_runs();
                let remedy =
                    if is_recorded { "leave out cuda.enable_cuda_graph" } else { "use the other engine (--engine)" };
                let remedy = remedy.to_owned();
                Err(LoadError::Unsupported { engine: self.engine.info().name, what, remedy })
            }
            Err(error) => {
                tracing::warn!(endpoint = %spec.name, %error, "the model did not run on its sample; serving it unmeasured");
                Ok(None)
            }
        }
    }

    /// Runs the samples that the model's description asks for, in each session: what a runtime does at its first run of some
    /// size is not to be done at a client's expense.
    fn run_warm_up<'a>(
        &self,
        spec: &ModelSpec,
        config: &ModelConfig,
        signature: &Signature,
        lanes: impl Iterator<Item = &'a Arc<Lane>> + Clone,
    ) -> Result<(), LoadError> {
        let samples = config.warm_up(signature, self.policy()).map_err(|error| described_badly(&error))?;
        let deadline = Instant::now() + DESCRIBED_WARM_UP_MAX;
        for sample in &samples {
            for lane in lanes.clone() {
                for _ in 0..sample.runs {
                    let ran = lane.hold().run(&sample.inputs, Instant::now(), deadline, Place::Worker);
                    ran.map_err(|error| {
                        let (path, name) = (config.path(), &sample.name);
                        LoadError::Description(format!("{}: model_warmup '{name}': {error}", path.display()))
                    })?;
                }
            }
            tracing::debug!(endpoint = %spec.name, sample = sample.name, runs = sample.runs, "warmed up");
        }
        Ok(())
    }

    /// The sample beside the model if it is valid for it, else a made-up one.
    fn sample(&self, spec: &ModelSpec, signature: &Signature) -> Sample {
        let made_up = codec::json::example_body(signature);
        let path = self.sample.clone().unwrap_or_else(|| sample_path(&spec.path));
        match plain_file::read(&path) {
            Ok(body) => match self.decode(&body, signature) {
                Ok(inputs) => {
                    let body = String::from_utf8(body).ok().map(|text| text.trim().to_owned());
                    let shown = body.filter(|text| text.len() <= EXAMPLE_BYTES_MAX);
                    return Sample { body: shown.or_else(|| short(made_up)), inputs: Some(inputs), typical: None };
                }
                Err(error) => {
                    tracing::warn!(sample = %path.display(), %error, "the sample is not valid for the model; ignoring it");
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(sample = %path.display(), %error, "the sample cannot be read; ignoring it");
            }
        }
        let max_elements = self.settings.endpoint.max_elements;
        Sample {
            inputs: signature.example_inputs(max_elements),
            body: short(made_up),
            typical: typical_inputs(signature, max_elements),
        }
    }

    fn decode(&self, body: &[u8], signature: &Signature) -> Result<Vec<Tensor>, codec::DecodeError> {
        decode_sample(body, signature, self.policy())
    }

    fn policy(&self) -> Policy {
        Policy {
            null_input: self.settings.endpoint.null_input,
            extra_columns: self.settings.endpoint.extra_columns,
            non_finite_output: self.settings.endpoint.non_finite_output,
            max_elements: self.settings.endpoint.max_elements,
            max_rank: self.settings.endpoint.max_rank,
            max_json_depth: self.settings.endpoint.max_json_depth,
        }
    }

    fn failed(&self, reason: String) -> LoadError {
        LoadError::Failed { engine: self.engine.info().name, reason }
    }
}

/// The bytes of all files of a model, nearly all of which are weights.
fn weights(graph: &Graph) -> u64 {
    graph.file.iter().chain(&graph.external_files).map(|file| file.bytes).sum()
}

/// The model's description, if it has one that can be used.
fn described(spec: &ModelSpec) -> Result<Option<&ModelConfig>, LoadError> {
    match &spec.description {
        Description::Faulty(reason) => Err(LoadError::Description(reason.clone())),
        Description::Config(config) => Ok(Some(config)),
        Description::None => Ok(None),
    }
}

/// Compares a description with the model, and gives the names of classes that it brings, by output.
fn check_description(spec: &ModelSpec, config: &ModelConfig, signature: &Signature) -> Result<Labels, LoadError> {
    let notices = config.check(signature).map_err(|error| described_badly(&error))?;
    if let Some((name, place)) = &config.name
        && Name::from_file_stem(name) != spec.name
    {
        let at = format!("{}:{place}", config.path().display());
        tracing::warn!(endpoint = %spec.name, at, name, "the name there is another than the one it is served by");
    }
    for notice in config.notices.iter().chain(&notices) {
        let at = format!("{}:{}", config.path().display(), notice.place);
        tracing::warn!(endpoint = %spec.name, at, field = notice.field, reason = notice.reason, "has no effect here");
    }
    let mut labels = triton::labels(config).map_err(|error| described_badly(&error))?;
    Ok(signature.outputs.iter().map(|output| labels.remove(&output.name)).collect())
}

fn described_badly(error: &impl std::fmt::Display) -> LoadError {
    LoadError::Description(error.to_string())
}

/// Lets the sessions of a model on a GPU, whose rows are independent, bring their runs to few sizes.
fn allow_padding(lanes: &[Arc<Lane>], sizes: Buckets) {
    lanes.iter().for_each(|lane| lane.allow_padding(sizes));
}

/// The same, and runs each size once, as far as all can be run.
fn pad(lanes: &[Arc<Lane>], inputs: &[Tensor], sizes: Buckets) -> Result<(), RunError> {
    allow_padding(lanes, sizes);
    let deadline = Instant::now() + DEVICE_WARM_UP_MAX;
    lanes.iter().try_for_each(|lane| warm_sizes(lane, inputs, sizes.sizes(), deadline))
}

fn short(example: Option<String>) -> Option<String> {
    example.filter(|example| example.len() <= EXAMPLE_BYTES_MAX)
}

/// Where a model's sample is looked for: `sample_input.json` beside a `model.onnx`, `x.sample_input.json` beside an `x.onnx`.
pub fn sample_path(model: &Path) -> PathBuf {
    if model.file_stem().is_some_and(|stem| stem == "model") {
        model.with_file_name("sample_input.json")
    } else {
        model.with_extension("sample_input.json")
    }
}

/// The SHA-256 of a file in hexadecimal, and its length.
pub fn digest_file(path: &Path) -> Result<(String, u64), LoadError> {
    let mut hasher = Sha256::new();
    let length = fs::File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut HashWriter(&mut hasher)))
        .map_err(|source| GraphError::Read { path: path.to_owned(), source })?;
    let digest = hasher.finalize();
    Ok((digest.iter().map(|byte| format!("{byte:02x}")).collect(), length))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
