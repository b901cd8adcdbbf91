//! The stores that the tests run over, each an empty registry.

#![allow(clippy::disallowed_methods, reason = "a test binary is its own main, and config/env.rs is the server's")]

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use scoria::moment::Moment;
use scoria::name::Name;
use scoria::registry::store::Store;
use scoria::registry::{Access, Change, Nonce, Presence, Registry, RegistryUrl, StoreLimits};

use crate::faulty::Faulty;
use crate::support::Folder;

/// An empty registry. Several handles may be opened on it, as by several machines.
pub struct Place {
    pub name: String,
    open: Box<dyn Fn() -> Registry + Send + Sync>,
    _folder: Option<Folder>,
}

impl Place {
    pub fn open(&self) -> Registry {
        (self.open)()
    }
}

/// Patient, and quick to try again. What takes longer than an attempt on a busy machine is merely tried again.
pub const LIMITS: StoreLimits =
    StoreLimits { attempt: Duration::from_secs(20), total: Duration::from_secs(120), pause: Duration::from_millis(1) };

/// The same where operations may never be answered.
const IMPATIENT: StoreLimits = StoreLimits { attempt: Duration::from_millis(250), ..LIMITS };

pub fn memory() -> Place {
    let backend: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let open = move || Registry::over(Store::new(Arc::clone(&backend), Path::ROOT, None, LIMITS));
    Place { name: "memory".to_owned(), open: Box::new(open), _folder: None }
}

pub fn disk() -> Place {
    let folder = Folder::new();
    let url = RegistryUrl::folder(folder.path());
    let open = move || Registry::open(&url, &Access::to_folder(LIMITS, Presence::Expect)).unwrap();
    Place { name: "disk".to_owned(), open: Box::new(open), _folder: Some(folder) }
}

/// A network in which a third of everything goes wrong.
pub fn unreliable(seed: u64) -> Place {
    let backend: Arc<dyn ObjectStore> = Faulty::at_random(Arc::new(InMemory::new()), seed, 33);
    let open = move || Registry::over(Store::new(Arc::clone(&backend), Path::ROOT, None, IMPATIENT));
    Place { name: format!("unreliable, seed {seed}"), open: Box::new(open), _folder: None }
}

/// A disk behind such a network: the same, with the real thing beneath.
pub fn unreliable_disk(seed: u64) -> Place {
    let folder = Folder::new();
    let backend = LocalFileSystem::new_with_prefix(folder.path()).unwrap().with_fsync(true);
    let backend: Arc<dyn ObjectStore> = Faulty::at_random(Arc::new(backend), seed, 33);
    let open = move || Registry::over(Store::new(Arc::clone(&backend), Path::ROOT, None, IMPATIENT));
    Place { name: format!("unreliable disk, seed {seed}"), open: Box::new(open), _folder: Some(folder) }
}

/// Every kind of store.
pub fn all() -> Vec<Place> {
    let mut places = vec![memory(), disk(), unreliable(1), unreliable(2), unreliable_disk(3)];
    for url in std::env::var("SCORIA_TEST_REGISTRIES").unwrap_or_default().split(',').filter(|url| !url.is_empty()) {
        let own = Nonce::generate().unwrap();
        let url: RegistryUrl = format!("{}/{}", url.trim_end_matches('/'), own.as_str()).parse().unwrap();
        let known = ["AWS_", "AZURE_", "GOOGLE_"];
        let variables =
            std::env::vars().filter(|(name, _)| known.iter().any(|prefix| name.starts_with(prefix))).collect();
        let access = Access { limits: LIMITS, presence: Presence::Create, variables };
        let name = url.to_string();
        let open = move || Registry::open(&url, &access).unwrap();
        places.push(Place { name, open: Box::new(open), _folder: None });
    }
    places
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn change(by: impl Into<String>) -> Change {
    Change { by: by.into(), why: "a test".to_owned(), at: Moment::from_seconds(1_795_000_000) }
}

/// Runs a test to its end on a runtime like the server's.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}
