//! A server for one test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scoria::app::{App, Offer, RegistryOffer, StartError};
use scoria::config::{Config, File, Origin, Setting};
use scoria::control::resolve_models;
use scoria::engine::Engine;
use scoria::name::Name;

use crate::client::{Answer, Connection};
use crate::support::Folder;
use crate::support::onnx::{Model, Node, tensor};
use scoria::tensor::DType;

/// A running server. Stopped, without delay, when dropped.
pub struct Server {
    app: Option<App>,
    folder: Folder,
}

/// How to start one.
pub struct Start {
    engine: Arc<dyn Engine>,
    models: Vec<String>,
    settings: Vec<(&'static str, String)>,
    endpoints: File,
    registry: Option<RegistryOffer>,
    folder: Folder,
}

impl Start {
    pub fn with(engine: impl Engine + 'static) -> Start {
        let folder = Folder::new();
        let state = folder.path().join("state").display().to_string();
        let settings = [("listen", "127.0.0.1:0"), ("admin_listen", "127.0.0.1:0"), ("auth", "none")];
        let mut settings: Vec<_> = settings.map(|(key, text)| (key, text.to_owned())).into();
        settings.push(("state_dir", state));
        Start {
            engine: Arc::new(engine),
            models: Vec::new(),
            settings,
            endpoints: File::default(),
            registry: None,
            folder,
        }
    }

    /// Adds a model, written as an ONNX file.
    pub fn model(mut self, name: &str, model: &Model) -> Start {
        let path = self.folder.path().join(format!("{}.onnx", self.models.len()));
        model.write(&path);
        self.models.push(format!("{name}={}", path.display()));
        self
    }

    /// Adds a model as the command line would name it.
    pub fn argument(mut self, argument: impl Into<String>) -> Start {
        self.models.push(argument.into());
        self
    }

    /// Writes a file into the server's folder and gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        write(self.folder.path(), name, text)
    }

    pub fn set(mut self, key: &'static str, text: impl Into<String>) -> Start {
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, text.into()));
        self
    }

    /// Serves a registry instead of models.
    pub fn registry(mut self, offer: RegistryOffer) -> Start {
        self.registry = Some(offer);
        self
    }

    /// Settings of single endpoints, as the file has them.
    pub fn endpoints(mut self, toml: &str) -> Start {
        self.endpoints = File::parse(toml, Path::new("scoria.toml")).expect("the tables are valid");
        self
    }

    /// Starts and waits until the models are loaded.
    pub fn ready(self) -> Server {
        let server = self.now();
        let app = server.app();
        app.block_on(app.loaded());
        server
    }

    /// Starts and does not wait.
    pub fn now(self) -> Server {
        self.try_now().unwrap_or_else(|error| panic!("the server starts: {error}"))
    }

    /// Starts, if nothing is in the way.
    pub fn try_now(self) -> Result<Server, StartError> {
        let layers = |setting: &Setting| {
            let (_, text) = self.settings.iter().find(|(key, _)| *key == setting.key)?;
            Some((text.clone(), Origin::Default))
        };
        let config = Config::resolve(&layers).and_then(|config| config.with_endpoints(&self.endpoints, &layers));
        let models = resolve_models(&self.models).expect("the models are found");
        let offer = self.registry.map_or(Offer::Files(models), Offer::Registry);
        let app = App::start(&config.expect("the settings are valid"), offer, self.engine)?;
        Ok(Server { app: Some(app), folder: self.folder })
    }
}

impl Server {
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("present until dropped")
    }

    pub fn address(&self) -> SocketAddr {
        self.app().listen
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the server's folder.
    pub fn write(&self, name: &str, text: &str) {
        write(self.folder(), name, text);
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    pub fn connect_admin(&self) -> Connection {
        Connection::open(self.app().admin_listen)
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.connect().request(method, path, headers, body)
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[], body.as_ref())
    }

    pub fn admin(&self, path: &str) -> Answer {
        self.connect_admin().request("GET", path, &[], b"")
    }

    /// A metric's value, by its whole name with labels.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").text().to_owned();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Looks until a metric has a value: the state it tells of has no other event to be waited for from outside.
    pub fn wait_for_metric(&self, series: &str, value: f64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.metric(series) != Some(value) {
            assert!(Instant::now() < deadline, "{series} never became {value}");
            std::thread::yield_now();
        }
    }

    /// The primary key of an endpoint.
    pub fn key(&self, endpoint: &str) -> String {
        let path = self.app().key_path(&Name::parse(endpoint).expect("a name")).expect("the server has keys");
        read_key(&path)
    }

    pub fn admin_key(&self) -> String {
        read_key(&self.folder.path().join("state/admin.primary.key"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.drain(Duration::ZERO);
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder is there");
    path.display().to_string()
}

pub fn read_key(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the key was handed over").trim().to_owned()
}

/// One of the bundled models.
pub fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// `y = x` for float32 of two columns.
pub fn identity() -> Model {
    let kind = || tensor(DType::F32, "N,2");
    Model::new().input("x", kind()).output("y", kind()).node(Node::new("Identity", &["x"], &["y"]))
}
