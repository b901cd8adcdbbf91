use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::controller::{Controller, Means};
use super::threads::{Obtained, Workshop};
use super::{Description, ModelSpec, NotLoaded, Settings, Source, Wanted, WantedDeployment};
use crate::config::{ExtraColumns, NonFiniteOutput, NullInput};
use crate::deployment::{Dice, Endpoint, EndpointSettings, JoinVerdict, Routing, State};
use crate::engine::Buckets;
use crate::engine::fake::FakeEngine;
use crate::name::Name;
use crate::provider::{Provider, ProviderOptions};
use crate::registry::{ModelRef, Share};
use crate::schedule::{Cores, Limits, Watchdog, WatchdogHandle, Wishes};
use crate::telemetry::Metrics;
use crate::tensor::{Tensor, Value};

const MINUTE: Duration = Duration::from_secs(60);

/// A controller without threads: every step is taken by the test.
struct Bench {
    controller: Controller,
    workshop: Workshop,
    routing: Arc<Routing>,
    drained: Receiver<u64>,
    settings: Settings,
    now: Instant,
    _watchdog: WatchdogHandle,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn bundled(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join("1/model.onnx")
}

/// `ridge:1` and the like are the bundled model of that name; what is not bundled cannot be had for now.
fn obtain(model: &ModelRef) -> Result<Obtained, NotLoaded> {
    let path = bundled(model.name.as_str());
    if !path.is_file() {
        return Err(NotLoaded { reason: "the store is away".to_owned(), is_transient: true });
    }
    let (name, version) = (model.name.clone(), model.version);
    let spec = ModelSpec { name, path, version, earlier: BTreeMap::new(), description: Description::None };
    Ok(Obtained { spec, sample: None, cached: None })
}

impl Bench {
    fn new() -> Bench {
        let metrics = Arc::new(Metrics::new("test").unwrap());
        let routing = Arc::new(Routing::default());
        let watchdog = Watchdog::start(|| {}).unwrap();
        let (tell, drained) = channel();
        let means = Means {
            metrics: Arc::clone(&metrics),
            routing: Arc::clone(&routing),
            default_endpoint: None,
            dice: Arc::new(Dice::new(1)),
            drained: Arc::new(move |serial| tell.send(serial).unwrap_or_default()),
        };
        let endpoint = EndpointSettings {
            null_input: NullInput::Reject,
            extra_columns: ExtraColumns::Refuse,
            non_finite_output: NonFiniteOutput::Null,
            max_elements: 1 << 20,
            max_rank: 8,
            max_json_depth: 8,
            max_body_bytes: 1 << 20,
            body_timeout: MINUTE,
            min_transfer_bytes_per_s: 0,
            scoring_timeout: MINUTE,
        };
        let settings = Settings {
            providers: vec!["cpu".to_owned()],
            provider_options: ProviderOptions::default(),
            external_data_folders: Vec::new(),
            wishes: Wishes { workers: 1, intra_op_threads: 1, max_batch: 1, ..Wishes::default() },
            allow_rows_to_mix: false,
            queue: Limits { queue_max_length: 16, queue_max_wait: None },
            cores: Arc::new(Cores::new(1)),
            endpoint,
        };
        let workshop = Workshop {
            engine: Arc::new(FakeEngine::echo()),
            metrics,
            watchdog: Arc::clone(watchdog.watchdog()),
            obtain: Arc::new(obtain),
            engine_cache: None,
        };
        let now = Instant::now();
        Bench { controller: Controller::new(means), workshop, routing, drained, settings, now, _watchdog: watchdog }
    }

    /// Wants deployments of endpoint `e`, by name and `model:version`; the first is the default one.
    fn want(&mut self, deployments: &[(&str, &str)], traffic: &[(&str, f64)]) {
        let wanted = self.wanted(deployments, traffic);
        self.controller.want(wanted);
    }

    fn wanted(&self, deployments: &[(&str, &str)], traffic: &[(&str, f64)]) -> Wanted {
        let deployment = |model: &str| {
            let (model, version) = model.split_once(':').unwrap();
            let source = Source::Published(ModelRef { name: name(model), version: version.parse().unwrap() });
            WantedDeployment { source, settings: self.settings.clone() }
        };
        let share = |(text, percent): &(&str, f64)| (name(text), Share::from_percent(*percent).unwrap());
        Wanted {
            name: name("e"),
            revision: Some(1),
            keys: None,
            settings: self.settings.endpoint,
            deployments: deployments.iter().map(|(text, model)| (name(text), deployment(model))).collect(),
            traffic: traffic.iter().map(share).collect(),
            default: Some(name(deployments[0].0)),
            mirror: BTreeMap::new(),
            answer_tolerance: 0.0,
            sticky: None,
        }
    }

    /// Loads what is in line; gives how many models that were.
    fn load(&mut self) -> usize {
        let mut loaded = 0;
        while let Some(job) = self.controller.next_job(self.now) {
            let done = self.workshop.carry_out(job);
            self.controller.loaded(done, self.now);
            loaded += 1;
        }
        loaded
    }

    fn endpoint(&self) -> Arc<Endpoint> {
        self.routing.table().find("e").and_then(|entry| entry.endpoint.clone()).expect("it is served")
    }

    fn versions(&self) -> Vec<(String, u64)> {
        let deployments = self.endpoint().deployments.clone();
        deployments.iter().map(|deployment| (deployment.name.to_string(), deployment.model.version)).collect()
    }

    /// `blue ridge:1 ready` for each deployment.
    fn states(&self) -> Vec<String> {
        let table = self.routing.table();
        let standings = table.find("e").map(|entry| entry.deployments.clone()).unwrap_or_default();
        standings.iter().map(|it| format!("{} {} {}", it.name, it.model, it.state.name())).collect()
    }

    fn reason(&self) -> String {
        let table = self.routing.table();
        let standings = table.find("e").map(|entry| entry.deployments.clone()).unwrap_or_default();
        let failed = standings
            .into_iter()
            .find_map(|it| if let State::Failed { reason } = it.state { Some(reason) } else { None });
        failed.expect("something has failed")
    }
}

#[test]
fn the_old_one_serves_until_the_new_one_is_warm_and_lives_until_its_last_request() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1")], &[]);
    assert_eq!(bench.states(), ["blue ridge:1 loading"]);
    assert_eq!(bench.load(), 1);
    let request = bench.endpoint();

    bench.want(&[("blue", "ridge:2")], &[]);
    let job = bench.controller.next_job(bench.now).expect("there is a model to be loaded");
    assert_eq!(bench.states(), ["blue ridge:1 ready", "blue ridge:2 loading"]);
    assert_eq!(bench.versions(), [("blue".to_owned(), 1)]);
    let done = bench.workshop.carry_out(job);
    bench.controller.loaded(done, bench.now);
    assert_eq!(bench.states(), ["blue ridge:2 ready", "blue ridge:1 draining"]);
    assert_eq!(bench.versions(), [("blue".to_owned(), 2)]);

    assert!(bench.drained.try_recv().is_err(), "a request holds it");
    drop(request);
    let serial = bench.drained.try_recv().expect("nobody uses it any more");
    bench.controller.drained(serial);
    assert_eq!(bench.states(), ["blue ridge:2 ready"]);
}

#[test]
fn what_changes_no_model_loads_none() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1"), ("green", "ridge:2")], &[]);
    assert_eq!(bench.load(), 2);
    let before = bench.endpoint();
    assert_eq!(before.traffic.lengths(2), [10_000, 0]);
    bench.want(&[("blue", "ridge:1"), ("green", "ridge:2")], &[("green", 30.0)]);
    bench.settings.queue.queue_max_length = 3;
    bench.settings.endpoint.scoring_timeout = Duration::from_millis(7);
    bench.want(&[("blue", "ridge:1"), ("green", "ridge:2")], &[("green", 30.0)]);
    assert_eq!(bench.load(), 0);
    let after = bench.endpoint();
    assert_eq!(after.traffic.lengths(2), [7_000, 3_000]);
    assert!(Arc::ptr_eq(&before.deployments[0].scheduler, &after.deployments[0].scheduler));
    assert_eq!(after.deployments[0].scoring_timeout, Duration::from_millis(7));
    assert_eq!(bench.states(), ["blue ridge:1 ready", "green ridge:2 ready"], "nothing drains");
    // What is applied when a model is loaded has it loaded again, beside the old one.
    bench.settings.wishes.max_batch = 4;
    bench.want(&[("blue", "ridge:1"), ("green", "ridge:2")], &[("green", 30.0)]);
    assert_eq!(bench.load(), 2);
}

#[test]
fn a_share_of_what_is_not_there_goes_to_the_default() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    bench.want(&[("blue", "ridge:1"), ("green", "ridge:2")], &[("green", 100.0)]);
    let endpoint = bench.endpoint();
    assert_eq!((endpoint.traffic.lengths(1), endpoint.absent.clone()), (vec![10_000], vec![name("green")]));
    bench.load();
    assert_eq!(bench.endpoint().traffic.lengths(2), [0, 10_000]);
}

#[test]
fn what_is_no_longer_wanted_is_not_put_in_place() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    bench.want(&[("blue", "ridge:2")], &[]);
    let job = bench.controller.next_job(bench.now).unwrap();
    bench.want(&[("blue", "ridge:1")], &[]);
    let done = bench.workshop.carry_out(job);
    bench.controller.loaded(done, bench.now);
    assert_eq!((bench.versions(), bench.load()), (vec![("blue".to_owned(), 1)], 0));
    assert_eq!(bench.states(), ["blue ridge:1 ready"]);

    bench.controller.forget(&name("e"));
    assert!(bench.routing.table().find("e").is_none());
    assert!(bench.drained.try_recv().is_ok());
}

#[test]
fn another_contract_is_refused_and_the_reason_told() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1"), ("green", "digits:1")], &[("green", 50.0)]);
    bench.load();
    assert_eq!(bench.states(), ["blue ridge:1 ready", "green digits:1 failed"]);
    assert!(bench.reason().contains("all deployments of an endpoint share one contract"), "{}", bench.reason());
    assert_eq!(bench.versions(), [("blue".to_owned(), 1)]);
    // By itself it may take another contract on: nobody else has to share it.
    bench.want(&[("blue", "digits:1")], &[]);
    bench.load();
    assert_eq!(bench.states().first().map(String::as_str), Some("blue digits:1 ready"));
}

#[test]
fn what_cannot_be_had_is_tried_again_later_and_later() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    bench.want(&[("blue", "missing:1")], &[]);
    assert_eq!(bench.load(), 1);
    assert_eq!(bench.states(), ["blue ridge:1 ready", "blue missing:1 failed"]);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let at = bench.controller.next_try().expect("it is tried again");
        waits.push((at - bench.now).as_secs());
        bench.now = at;
        assert_eq!(bench.load(), 1);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(bench.versions(), [("blue".to_owned(), 1)]);
    assert!(bench.controller.is_settled(), "waiting is no work");
}

#[test]
fn the_beginning_is_over_once() {
    let mut bench = Bench::new();
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.controller.begin();
    assert!(!bench.controller.has_just_begun());
    bench.load();
    assert!(bench.controller.has_just_begun() && !bench.controller.has_just_begun());
}

#[test]
fn a_model_on_gpus_has_two_sessions_on_each_which_know_their_sizes() {
    let engine = FakeEngine::echo().on_devices(2);
    let mut bench = Bench::new();
    bench.workshop.engine = Arc::new(engine.clone());
    bench.settings.wishes = Wishes { max_batch: 12, ..Wishes::default() };
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    let endpoint = bench.endpoint();
    let plan = endpoint.deployments[0].plan;
    assert_eq!((plan.workers, plan.intra_op_threads, plan.max_batch), (4, 1, 12));
    assert_eq!((engine.padding(), engine.sizes()), (vec![Buckets::up_to(12); 4], vec![]));
    assert_eq!(plan.sizes, Some(Buckets::up_to(12)));

    // Without a GPU nothing is padded.
    let engine = FakeEngine::echo();
    bench.workshop.engine = Arc::new(engine.clone());
    bench.want(&[("green", "ridge:1")], &[]);
    bench.load();
    assert!(engine.runs() > 0);
    assert_eq!(engine.padding(), []);
}

#[test]
fn runs_of_a_model_whose_rows_may_mix_are_not_padded() {
    // Each row less the greatest of all.
    let engine = FakeEngine::new(|call| {
        let Ok(outputs) = call.echo() else { return call.echo() };
        let lessened = outputs.into_iter().map(|output| match output {
            Value::Tensor(Tensor::F32(rows)) => {
                let most = rows.iter().copied().fold(f32::MIN, f32::max);
                Value::Tensor(Tensor::F32(rows - most))
            }
            other => other,
        });
        Ok(lessened.collect())
    });
    let engine = engine.on_devices(2);
    let mut bench = Bench::new();
    bench.workshop.engine = Arc::new(engine.clone());
    bench.settings.wishes = Wishes { max_batch: 12, ..Wishes::default() };
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    let endpoint = bench.endpoint();
    let deployment = &endpoint.deployments[0];
    assert_eq!((deployment.plan.max_batch, deployment.plan.sizes), (1, None));
    assert_eq!(deployment.row_joining.verdict, JoinVerdict::Alone);
    assert!(deployment.row_joining.reason.contains("differs"), "{}", deployment.row_joining.reason);
    assert_eq!(engine.padding(), []);
}

#[test]
fn where_a_change_of_size_is_dear_each_size_is_loaded_for_itself() {
    let last = AtomicUsize::new(0);
    let engine = FakeEngine::new(move |call| {
        let elements = call.inputs.iter().map(Tensor::len).sum();
        if last.swap(elements, Ordering::Relaxed) != elements {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(2) {}
        }
        call.echo()
    });
    let engine = engine.on_devices(1);
    let mut bench = Bench::new();
    bench.workshop.engine = Arc::new(engine.clone());
    bench.settings.wishes = Wishes { max_batch: 8, ..Wishes::default() };
    bench.want(&[("blue", "ridge:1")], &[]);
    bench.load();
    assert_eq!((engine.sizes(), engine.padding()), (vec![Buckets::up_to(8)], vec![Buckets::up_to(8); 2]));

    // With a bound on the memory there is one model within it.
    let before = engine.sizes().len();
    bench.settings.provider_options = ProviderOptions::parse("cuda.gpu_mem_limit=1000000000").expect("an option");
    bench.want(&[("green", "ridge:1")], &[]);
    bench.load();
    assert_eq!((engine.sizes().len(), engine.padding().len()), (before, 4));
}

impl Bench {
    /// With an engine whose TensorRT builds for long, and in the end can be had or not.
    fn building(providers: &[&str], outcome: Result<(), &str>) -> Bench {
        let mut bench = Bench::new();
        bench.workshop.engine = Arc::new(FakeEngine::echo().building(Provider::TensorRt, outcome));
        bench.settings.providers = providers.iter().map(|name| name.to_string()).collect();
        bench.want(&[("blue", "ridge:1")], &[]);
        assert_eq!(bench.load(), 1);
        bench
    }

    /// The providers that compute, and what is told of those that do not yet.
    fn providers(&self) -> (Vec<String>, Option<String>) {
        let table = self.routing.table();
        let note = table.find("e").and_then(|entry| entry.deployments[0].note.clone());
        (self.endpoint().deployments[0].model.providers_got.clone(), note)
    }

    fn build(&mut self) {
        let job = self.controller.next_improvement().expect("there is one to be built");
        let done = self.workshop.carry_out(job);
        self.controller.loaded(done, self.now);
    }
}

#[test]
fn what_builds_for_long_is_served_without_meanwhile_and_then_swapped() {
    let mut bench = Bench::building(&["tensorrt", "cpu"], Ok(()));
    let waiting = "in line to be built for tensorrt; computed by cpu meanwhile";
    assert_eq!(bench.providers(), (vec!["cpu".to_owned()], Some(waiting.to_owned())));
    let request = bench.endpoint();
    let model = &request.deployments[0].model;
    assert_eq!(
        (&model.providers_asked, &model.providers_pending),
        (&bench.settings.providers, &vec!["tensorrt".to_owned()])
    );
    assert!(bench.controller.is_settled(), "a server is ready before that");

    let job = bench.controller.next_improvement().expect("there is one to be built");
    assert!(bench.controller.next_improvement().is_none() && bench.controller.next_job(bench.now).is_none());
    let building = "being built for tensorrt; computed by cpu meanwhile";
    assert_eq!(bench.providers().1.as_deref(), Some(building));
    // What needs no loading does not disturb it.
    bench.want(&[("blue", "ridge:1")], &[("blue", 100.0)]);
    assert_eq!(bench.providers().1.as_deref(), Some(building));
    let done = bench.workshop.carry_out(job);
    bench.controller.loaded(done, bench.now);
    assert_eq!(bench.providers(), (vec!["tensorrt".to_owned(), "cpu".to_owned()], None));
    assert_eq!(bench.states(), ["blue ridge:1 ready", "blue ridge:1 draining"]);
    drop(request);
    let serial = bench.drained.recv().expect("the last request has let go");
    bench.controller.drained(serial);
    assert_eq!(bench.states(), ["blue ridge:1 ready"]);
    assert!(bench.controller.next_improvement().is_none());
}

#[test]
fn what_cannot_be_built_leaves_what_answers_with_the_reason_and_is_tried_with_the_next_revision() {
    let mut bench = Bench::building(&["tensorrt", "cpu"], Err("libnvinfer.so.10 is missing"));
    let before = bench.endpoint();
    bench.build();
    let note = "not built for tensorrt: libnvinfer.so.10 is missing; computed by cpu";
    assert_eq!(bench.providers(), (vec!["cpu".to_owned()], Some(note.to_owned())));
    assert!(Arc::ptr_eq(&before.deployments[0], &bench.endpoint().deployments[0]));
    assert!(bench.controller.next_improvement().is_none());
    bench.want(&[("blue", "ridge:1")], &[]);
    assert!(bench.controller.next_improvement().is_some());
}

#[test]
fn what_is_built_for_a_model_that_is_not_wanted_any_more_is_let_go() {
    let mut bench = Bench::building(&["tensorrt", "cpu"], Ok(()));
    let job = bench.controller.next_improvement().expect("there is one to be built");
    bench.want(&[("blue", "ridge:2")], &[]);
    let late = bench.workshop.carry_out(job);
    bench.controller.loaded(late, bench.now);
    assert_eq!(bench.versions(), [("blue".to_owned(), 1)]);
    assert_eq!(bench.providers().1, None);
    bench.load();
    bench.build();
    assert_eq!(bench.versions(), [("blue".to_owned(), 2)]);
    assert_eq!(bench.providers().0, ["tensorrt", "cpu"]);
}

#[test]
fn without_another_provider_there_is_nothing_to_serve_meanwhile() {
    let mut bench = Bench::building(&["tensorrt"], Ok(()));
    assert_eq!(bench.providers().0[0], "tensorrt");
    assert!(bench.controller.next_improvement().is_none());
}
