//! A registry in a folder, models that answer their own version, and servers on it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scoria::app::RegistryOffer;
use scoria::config::Config;
use scoria::control::Trial;
use scoria::control::operations::{Addition, Amendment, Deployed, OperationError, Operations};
use scoria::deployment::State;
use scoria::engine::tract::TractEngine;
use scoria::moment::Moment;
use scoria::name::Name;
use scoria::probe::{Probe, ProbeReport, run};
use scoria::registry::{Access, Change, ModelSelector, Presence, Registry, RegistryUrl, Share, StoreLimits};
use scoria::tensor::DType;

use crate::server::{Server, Start};
use crate::support::Folder;
use crate::support::onnx::{Constant, Model, Node, tensor};

/// A body that every version takes.
pub const BODY: &str = r#"{"data": [[1, 2]]}"#;

/// A registry, and what happens in it.
pub struct Fleet {
    folder: Folder,
    runtime: tokio::runtime::Runtime,
}

/// `a` and `b`, both the model's version in every row: an answer of which one half is another's shows.
pub fn versioned(version: f32) -> Model {
    let kind = |dims| tensor(DType::F32, dims);
    let model = Model::new().input("x", kind("N,2")).output("a", kind("N,2")).output("b", kind("N,2"));
    let model =
        model.constant("zero", Constant::f32(&[1], &[0.0])).constant("version", Constant::f32(&[1], &[version]));
    let model = model.node(Node::new("Mul", &["x", "zero"], &["nothing"]));
    let model = model.node(Node::new("Add", &["nothing", "version"], &["a"]));
    model.node(Node::new("Add", &["version", "nothing"], &["b"]))
}

pub fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub fn percent(percent: f64) -> Share {
    Share::from_percent(percent).expect("a percentage")
}

pub fn change(why: &str) -> Change {
    Change { by: "test".to_owned(), why: why.to_owned(), at: Moment::now() }
}

impl Fleet {
    pub fn new() -> Fleet {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Fleet { folder: Folder::new(), runtime }
    }

    /// With versions 1 and 2 of `m`, each of which answers its version.
    pub fn of_two_versions() -> Fleet {
        let fleet = Fleet::new();
        fleet.register("m", &versioned(1.0));
        fleet.register("m", &versioned(2.0));
        fleet
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// Registers a model by the program itself.
    pub fn register(&self, name: &str, model: &Model) {
        let file = self.folder.path().join(format!("{name}.onnx"));
        model.write(&file);
        let output = Command::new(env!("CARGO_BIN_EXE_scoria"))
            .args(["register", name])
            .arg(&file)
            .args(["--engine", "tract", "--registry"])
            .arg(self.path())
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn operations(&self) -> Operations {
        let registry = Registry::open(&self.url(), &access()).expect("the registry is there");
        Operations::new(registry, Config::resolve(&|_| None).expect("the defaults are valid"))
    }

    fn url(&self) -> RegistryUrl {
        RegistryUrl::folder(&self.path())
    }

    pub fn run<T>(&self, operation: impl Future<Output = Result<T, OperationError>>) -> Result<T, OperationError> {
        self.runtime.block_on(operation)
    }

    pub fn deploy(&self, endpoint: &str, model: &str) -> Deployed {
        self.deploy_as(endpoint, model, None, None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn deploy_as(
        &self,
        endpoint: &str,
        model: &str,
        deployment: Option<&str>,
        traffic: Option<f64>,
    ) -> Result<Deployed, OperationError> {
        let model: ModelSelector = model.parse().expect("a model");
        let addition = |model, profile| Addition {
            name: deployment.map(name),
            model,
            profile,
            traffic: traffic.map(percent),
            settings: std::collections::BTreeMap::new(),
        };
        let (operations, amendment) = (self.operations(), Amendment::default());
        self.run(operations.deploy(&name(endpoint), &model, addition, &amendment, &change("deployed")))
    }

    pub fn update(&self, endpoint: &str, deployment: &str, model: &str) {
        let (operations, settings) = (self.operations(), std::collections::BTreeMap::new());
        let model: ModelSelector = model.parse().expect("a model");
        let (endpoint, deployment, change) = (name(endpoint), name(deployment), change("updated"));
        let updated = operations.update(&endpoint, &deployment, Some(&model), &settings, &change);
        self.run(updated).unwrap_or_else(|error| panic!("{error}"));
    }

    /// How to start a server on it, which looks often.
    pub fn start(&self) -> Start {
        self.start_with_trial(None)
    }

    /// The same, where models are tried out first.
    pub fn start_with_trial(&self, trial: Option<Arc<Trial>>) -> Start {
        let offer = RegistryOffer { url: self.url(), access: access(), trial, profile: None };
        Start::with(TractEngine).registry(offer).set("registry_poll_interval_ms", "10")
    }
}

fn access() -> Access {
    Access::to_folder(StoreLimits::within(Duration::from_secs(5)), Presence::Expect)
}

/// Stands for the program that tries models out, in which version 2 of [`versioned`] models kills the runtime.
pub fn kills_the_runtime(model: &Path, _: Option<&Path>) -> ProbeReport {
    let start = r#"echo '{"engine":{"version":"1","library":null}}'; echo '{"stage":"load"}';"#;
    let script = format!("{start} {}", if is_second(model) { "kill -SEGV $$" } else { r#"echo '"done"'"# });
    let arguments = ["-c".into(), OsString::from(script)].into();
    run(&Probe { program: "/bin/sh".into(), arguments, engine: "tract", timeout: Duration::from_secs(30) })
}

/// Whether a file is version 2 of a [`versioned`] model.
pub fn is_second(model: &Path) -> bool {
    std::fs::read(model).expect("it was fetched") == versioned(2.0).bytes()
}

/// Looks until an endpoint is as it is to be: the state it tells of has no other event to be waited for from outside.
pub fn wait_until(server: &Server, endpoint: &str, what: &str, is_so: impl Fn(&[(String, String, State)]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let table = server.app().routing.table();
        let states: Vec<_> = table
            .find(endpoint)
            .iter()
            .flat_map(|entry| &entry.deployments)
            .map(|standing| (standing.name.to_string(), standing.model.clone(), standing.state.clone()))
            .collect();
        if is_so(&states) {
            return;
        }
        assert!(Instant::now() < deadline, "{endpoint} never came so far that {what}: {states:?}");
        drop(table);
        std::thread::yield_now();
    }
}

/// Waits until a deployment runs a model, and nothing else of it is left.
pub fn wait_for(server: &Server, endpoint: &str, deployment: &str, model: &str) {
    let what = format!("{deployment} runs {model}");
    wait_until(server, endpoint, &what, |states| {
        let own: Vec<_> = states.iter().filter(|(name, ..)| name == deployment).collect();
        matches!(own.as_slice(), [(_, found, State::Ready)] if found == model)
    });
}

/// Moves a folder out of the way, and back when dropped.
pub struct Away {
    here: PathBuf,
    there: PathBuf,
}

impl Away {
    pub fn take(path: &Path) -> Away {
        let there = path.with_extension("away");
        std::fs::rename(path, &there).expect("the folder can be moved");
        Away { here: path.to_owned(), there }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        std::fs::rename(&self.there, &self.here).expect("the folder can be moved back");
    }
}
