//! Measurements of the real thing: a model loaded as a server would, behind the scheduler that it would have.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::candidate::Candidate;
use super::measurement::Measurement;
use super::open_loop::{Offer, drive};
use super::search::{Bench, Stop};
use crate::codec::Policy;
use crate::control::{Loader, ModelSpec, Seat, Settings, sample_path};
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::memory;
use crate::objective::Objective;
use crate::probe::{decode_sample, typical_inputs};
use crate::schedule::{Plan, Priority, ScheduleError, Watchdog, WatchdogHandle};
use crate::telemetry::Metrics;
use crate::tensor::Tensor;

/// How long a trial takes at least: shorter ones see too little of what comes now and then.
const TRIAL_MIN: Duration = Duration::from_millis(300);

/// The part of all the time that a trial takes, if it is more.
const TRIAL_SHARE: u32 = 40;

/// The part that it may take when no number of requests is needed.
const TRIAL_SHARE_MAX: u32 = 10;

/// Runs of a request that is alone, and how long they may take.
const ALONE_RUNS: usize = 500;
const ALONE_TIME_MAX: Duration = Duration::from_millis(500);

/// How long a request may take in a trial whose objective says less.
const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// What is to be profiled.
pub struct Subject {
    pub spec: ModelSpec,
    pub engine: Arc<dyn Engine>,
    pub settings: Settings,
    pub policy: Policy,
    /// A body of the JSON route, from a file that the operator named.
    pub sample: Option<Vec<u8>>,
    /// How long all of it may take.
    pub time: Duration,
}

/// Something worth telling while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    Loading(&'a Candidate),
    Offering(&'a Candidate, f64),
    Measured(&'a Candidate, &'a Measurement),
}

/// Makes measurements until the time is up, or `stop` is set.
pub struct LiveBench<'a> {
    subject: Subject,
    inputs: Arc<Vec<Tensor>>,
    open: Option<(Candidate, Arc<Deployment>)>,
    alone: Duration,
    begun: Instant,
    stop: Arc<AtomicBool>,
    tell: &'a dyn Fn(Progress<'_>),
    watchdog: WatchdogHandle,
    runtime: Runtime,
}

impl<'a> LiveBench<'a> {
    /// Loads the model as it is planned by itself, and gives that plan and whether its rows may be joined. The error is for the operator.
    pub fn start(
        subject: Subject,
        stop: Arc<AtomicBool>,
        tell: &'a dyn Fn(Progress<'_>),
    ) -> Result<(LiveBench<'a>, Plan, bool), String> {
        // As many threads as a server has.
        let runtime = Builder::new_multi_thread()
            .worker_threads(subject.settings.cores.total() + 1)
            .thread_name("scoria-http")
            .enable_all()
            .build()
            .map_err(|error| format!("the runtime cannot be started: {error}"))?;
        let handle = runtime.handle().clone();
        let watchdog = Watchdog::start(move || drop(handle.spawn(async {})))
            .map_err(|error| format!("the watchdog cannot be started: {error}"))?;
        let begun = Instant::now();
        let (inputs, alone) = (Arc::default(), Duration::ZERO);
        let mut bench = LiveBench { subject, inputs, open: None, alone, begun, stop, tell, watchdog, runtime };
        let deployment = bench.load(&bench.subject.settings)?;
        bench.inputs = Arc::new(bench.read_inputs(&deployment)?);
        let (plan, can_join) = (deployment.plan, deployment.row_joining.is_possible());
        bench.open = Some((Candidate::of(plan), deployment));
        Ok((bench, plan, can_join))
    }

    /// The runtime, for tasks that go on beside.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn load(&self, settings: &Settings) -> Result<Arc<Deployment>, String> {
        // Metrics of their own: what candidates share would be counted together.
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())?;
        let loader = Loader {
            engine: Arc::clone(&self.subject.engine),
            settings: settings.clone(),
            metrics: Arc::new(metrics),
            watchdog: Arc::clone(self.watchdog.watchdog()),
            sample: None,
            engine_cache: None,
        };
        let seat = Seat::only(self.subject.spec.name.clone());
        loader.load(&self.subject.spec, &seat).map(Arc::new).map_err(|error| error.to_string())
    }

    /// The sample that was named, else the one beside the model, else a made-up one: of common size if the model runs on it.
    fn read_inputs(&self, deployment: &Deployment) -> Result<Vec<Tensor>, String> {
        let signature = &deployment.signature;
        let decode = |body: &[u8]| decode_sample(body, signature, self.subject.policy);
        if let Some(body) = &self.subject.sample {
            return decode(body)
                .map_err(|error| format!("--sample-input is not a valid request for the model: {error}"));
        }
        let beside: &Path = &sample_path(&self.subject.spec.path);
        if let Some(inputs) = std::fs::read(beside).ok().and_then(|body| decode(&body).ok()) {
            return Ok(inputs);
        }
        let max_elements = self.subject.policy.max_elements;
        if let Some(inputs) = typical_inputs(signature, max_elements)
            && self.run(deployment, inputs.clone()).is_ok()
        {
            return Ok(inputs);
        }
        let made_up = signature.example_inputs(max_elements);
        made_up.ok_or_else(|| "no request can be made up for the model; name one with --sample-input".to_owned())
    }

    fn deployment(&self) -> Result<(Candidate, Arc<Deployment>), Stop> {
        let open = self.open.as_ref().ok_or_else(|| Stop::Unusable("nothing is loaded".to_owned()))?;
        Ok((open.0, Arc::clone(&open.1)))
    }

    fn check_time(&self) -> Result<(), Stop> {
        if self.stop.load(Ordering::Relaxed) || self.time_left() <= 0.0 { Err(Stop::TimeIsUp) } else { Ok(()) }
    }

    fn run(&self, deployment: &Deployment, inputs: Vec<Tensor>) -> Result<(), ScheduleError> {
        let deadline = Instant::now() + self.subject.settings.endpoint.scoring_timeout;
        self.runtime.block_on(deployment.run(inputs, deadline, Priority::Normal)).map(drop)
    }

    /// Half of the requests that are alone take longer than this.
    fn measure_alone(&self, deployment: &Deployment) -> Result<Duration, Stop> {
        let begun = Instant::now();
        let mut times = Vec::with_capacity(ALONE_RUNS);
        while times.len() < ALONE_RUNS && (times.is_empty() || begun.elapsed() < ALONE_TIME_MAX) {
            self.check_time()?;
            let inputs = self.inputs.as_ref().clone();
            let started = Instant::now();
            let outcome = self.run(deployment, inputs);
            outcome.map_err(|error| Stop::Unusable(format!("the model does not run on its sample: {error}")))?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }
}

impl Bench for LiveBench<'_> {
    fn open(&mut self, candidate: &Candidate) -> Result<Duration, Stop> {
        self.check_time()?;
        if self.open.as_ref().is_none_or(|(open, _)| open != candidate) {
            (self.tell)(Progress::Loading(candidate));
            self.open = None;
            memory::give_back();
            let mut settings = self.subject.settings.clone();
            settings.wishes = candidate.wishes(settings.wishes);
            let deployment = self.load(&settings).map_err(Stop::Unusable)?;
            let got = deployment.plan.max_batch;
            self.open = Some((*candidate, deployment));
            if got != candidate.max_batch {
                return Err(Stop::NotJoined);
            }
        }
        let (_, deployment) = self.deployment()?;
        self.alone = self.measure_alone(&deployment)?;
        Ok(self.alone)
    }

    fn offer(&mut self, rate: f64, objective: &Objective) -> Result<Measurement, Stop> {
        self.check_time()?;
        let (candidate, deployment) = self.deployment()?;
        let left = self.subject.time.saturating_sub(self.begun.elapsed());
        let needed = Duration::from_secs_f64(objective.samples_needed() as f64 / rate);
        let most = if objective.bounds.is_empty() { left.min(self.subject.time / TRIAL_SHARE_MAX) } else { left };
        let takes = needed.max(TRIAL_MIN).max(self.subject.time / TRIAL_SHARE);
        let requests = ((takes.as_secs_f64() * rate).round() as usize).max(1);
        let longest = objective.longest().unwrap_or_default().max(self.alone);
        let patience = (10 * longest).max(PATIENCE_MIN).min(self.subject.settings.endpoint.scoring_timeout);
        (self.tell)(Progress::Offering(&candidate, rate));
        // Arrivals are random: so many may take a little longer than on average.
        let end = Instant::now() + most.min(takes * 3 / 2);
        let offer = Offer { rate, requests, patience, end, objective, stop: &self.stop };
        let measurement = drive(self.runtime.handle(), &deployment, &self.inputs, offer);
        if self.stop.load(Ordering::Relaxed) {
            return Err(Stop::TimeIsUp);
        }
        (self.tell)(Progress::Measured(&candidate, &measurement));
        Ok(measurement)
    }

    fn time_left(&self) -> f64 {
        let part = self.begun.elapsed().as_secs_f64() / self.subject.time.as_secs_f64().max(1e-9);
        if self.stop.load(Ordering::Relaxed) { 0.0 } else { (1.0 - part).max(0.0) }
    }
}

impl Drop for LiveBench<'_> {
    fn drop(&mut self) {
        // Workers and the watchdog end by themselves; the scheduler first, which feeds them.
        self.open = None;
    }
}
