//! The threads of the control plane: one that decides and publishes, one that loads, so that a model which takes long to load holds
//! up no other change, and one that builds for minutes what answers meanwhile.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::controller::{Controller, Done, Job, Means, NotLoaded, Part};
use super::engine_cache::EngineCache;
use super::loader::Loader;
use super::{ModelSpec, Settings, Source, Wanted};
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::memory;
use crate::name::Name;
use crate::provider::Provider;
use crate::registry::{CachedModel, ModelRef};
use crate::schedule::Watchdog;
use crate::telemetry::Metrics;

/// What the controller is told. Few ever wait: one for each change that is wanted, and each deployment that ends.
#[derive(Debug)]
pub enum Order {
    /// An endpoint is to be so.
    Want(Box<Wanted>),
    /// An endpoint is to be no more.
    Forget(Name),
    /// All that is wanted at first has been told.
    Complete,
    /// Nobody uses the deployment of this serial number any more.
    Drained(u64),
    Done(Box<Done>),
    /// Somebody wants to know that the orders before this one have been taken over.
    Tell(oneshot::Sender<()>),
    /// Serve on as it is, and take no more orders.
    Stop,
}

/// Where orders are given. Clones give them to the same controller.
#[derive(Clone, Debug)]
pub struct Orders(Sender<Order>);

impl Orders {
    pub fn give(&self, order: Order) {
        // A controller that is gone needs none.
        drop(self.0.send(order));
    }
}

/// A model on this machine, fit to be loaded.
#[derive(Clone, Debug)]
pub struct Obtained {
    pub spec: ModelSpec,
    /// Its sample, if it is not beside it.
    pub sample: Option<PathBuf>,
    /// Keeps it there.
    pub cached: Option<Arc<CachedModel>>,
}

/// Has a version of the registry on this machine and fit to be loaded, or says why not. Blocks.
pub type Obtain = dyn Fn(&ModelRef) -> Result<Obtained, NotLoaded> + Send + Sync;

/// What models are loaded with.
#[derive(Clone)]
pub struct Workshop {
    pub engine: Arc<dyn Engine>,
    pub metrics: Arc<Metrics>,
    pub watchdog: Arc<Watchdog>,
    pub obtain: Arc<Obtain>,
    /// Where what providers build is kept, if it is.
    pub engine_cache: Option<EngineCache>,
}

/// A controller's threads, and how to talk to them.
#[derive(Debug)]
pub struct Running {
    pub orders: Orders,
    /// Becomes true when all that was wanted at first has been loaded, or has failed.
    pub settled: watch::Receiver<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.orders.give(Order::Stop);
    }
}

/// Starts the threads. They end with what this gives, a load in progress first.
pub fn start(
    means: impl FnOnce(Arc<dyn Fn(u64) + Send + Sync>) -> Means,
    first: Vec<Wanted>,
    workshop: Workshop,
) -> io::Result<Running> {
    let (send, orders) = channel();
    let told = send.clone();
    let mut controller = Controller::new(means(Arc::new(move |serial| drop(told.send(Order::Drained(serial))))));
    // Before anything is loaded, so that probes and clients are told meanwhile.
    first.into_iter().for_each(|wanted| controller.want(wanted));
    // One at a time: what a model costs cannot be measured while others are being loaded.
    let (jobs, to_do) = sync_channel(1);
    let done = send.clone();
    let (builds, to_build) = sync_channel(1);
    let builder = (workshop.clone(), done.clone());
    thread::Builder::new().name("scoria-loader".to_owned()).spawn(move || load_all(&workshop, &to_do, &done))?;
    let build = move || load_all(&builder.0, &to_build, &builder.1);
    thread::Builder::new().name("scoria-builder".to_owned()).spawn(build)?;
    let (tell_settled, settled) = watch::channel(false);
    let driver = Driver { controller, orders, jobs, is_loading: false, builds, is_building: false, tell_settled };
    thread::Builder::new().name("scoria-control".to_owned()).spawn(move || driver.run())?;
    Ok(Running { orders: Orders(send), settled })
}

/// The deciding thread's own.
struct Driver {
    controller: Controller,
    orders: Receiver<Order>,
    jobs: SyncSender<Job>,
    is_loading: bool,
    builds: SyncSender<Job>,
    is_building: bool,
    tell_settled: watch::Sender<bool>,
}

impl Driver {
    fn run(mut self) {
        loop {
            self.hand_out();
            let order = match self.controller.next_try().filter(|_| !self.is_loading) {
                Some(at) => match self.orders.recv_timeout(at.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => continue,
                    order => order.ok(),
                },
                None => self.orders.recv().ok(),
            };
            let Some(order) = order else { return };
            match order {
                Order::Want(wanted) => self.controller.want(*wanted),
                Order::Forget(name) => self.controller.forget(&name),
                Order::Complete => self.controller.begin(),
                Order::Stop => return,
                // Whoever asked may have left.
                Order::Tell(asker) => drop(asker.send(())),
                Order::Drained(serial) => self.controller.drained(serial),
                Order::Done(done) => {
                    match done.part {
                        Part::AtOnce => self.is_loading = false,
                        Part::Whole => self.is_building = false,
                    }
                    self.controller.loaded(*done, Instant::now());
                }
            }
            if self.controller.has_just_begun() {
                memory::forget_code();
                self.tell_settled.send_replace(true);
            }
        }
    }

    fn hand_out(&mut self) {
        if !self.is_loading
            && let Some(job) = self.controller.next_job(Instant::now())
        {
            self.is_loading = self.jobs.send(job).is_ok();
        }
        // What cannot answer yet goes first: building takes all of a GPU.
        if !self.is_loading
            && !self.is_building
            && let Some(job) = self.controller.next_improvement()
        {
            self.is_building = self.builds.send(job).is_ok();
        }
    }
}

/// The life of a thread that loads.
fn load_all(workshop: &Workshop, jobs: &Receiver<Job>, done: &Sender<Order>) {
    for job in jobs {
        let outcome = workshop.carry_out(job);
        if done.send(Order::Done(Box::new(outcome))).is_err() {
            return;
        }
    }
}

impl Workshop {
    /// Loads one model. Blocks for as long as that takes. A panic of the engine fails this load only.
    pub fn carry_out(&self, job: Job) -> Done {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.load(&job))).unwrap_or_else(|_| {
            Err(NotLoaded { reason: "the engine panicked while loading".to_owned(), is_transient: false })
        });
        Done { serial: job.serial, seat: job.seat, part: job.part, took: started.elapsed(), outcome }
    }

    fn load(&self, job: &Job) -> Result<Deployment, NotLoaded> {
        let Obtained { spec, sample, cached } = match &job.wanted.source {
            Source::File(spec) => Obtained { spec: spec.clone(), sample: None, cached: None },
            Source::Published(model) => (self.obtain)(model)?,
            Source::Unusable { reason } => return Err(NotLoaded { reason: reason.clone(), is_transient: false }),
        };
        let asked = &job.wanted.settings.providers;
        let (long, short): (Vec<_>, Vec<_>) = asked.iter().cloned().partition(|name| self.builds_long(name));
        let is_put_off = job.part == Part::AtOnce && !short.is_empty();
        let providers = if is_put_off { short } else { asked.clone() };
        let loader = Loader {
            engine: Arc::clone(&self.engine),
            settings: Settings { providers, ..job.wanted.settings.clone() },
            engine_cache: self.engine_cache.clone(),
            metrics: Arc::clone(&self.metrics),
            watchdog: Arc::clone(&self.watchdog),
            sample,
        };
        let loaded = loader.load(&spec, &job.seat);
        let mut deployment = loaded.map_err(|error| NotLoaded { reason: error.to_string(), is_transient: false })?;
        let model = &mut deployment.model;
        if job.part == Part::Whole && !long.iter().any(|name| model.providers_got.contains(name)) {
            let missing = model.providers_missing.iter().filter(|(name, _)| long.contains(name));
            let reasons: Vec<_> = missing.map(|(_, reason)| reason.as_str()).collect();
            return Err(NotLoaded { reason: reasons.join("; "), is_transient: false });
        }
        model.registered = cached.is_some().then_some(spec.name);
        model.providers_asked.clone_from(asked);
        model.providers_pending = if is_put_off { long } else { Vec::new() };
        deployment.cached = cached;
        Ok(deployment)
    }

    fn builds_long(&self, provider: &str) -> bool {
        Provider::parse(provider).is_ok_and(|provider| self.engine.builds_long(provider))
    }
}
