//! The model repository: a folder whose models are loaded and unloaded while the server runs, when an operator's client asks.
//!
//! What can be loaded is what lies in the folder, by the names that are derived from it: no path ever comes from a request. The
//! controller is told what is wanted, like by anybody else, and its published table says what became of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::{ModelSpec, Order, Orders, Settings, SpecError, Wanted, models_of_folder};
use crate::auth::KeyRing;
use crate::deployment::{Routing, State};
use crate::name::Name;

/// Requests to load or unload that may be in progress at once.
const ASKED_MAX: usize = 64;

/// How often the published table is looked at while a model is being loaded.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why what was asked for was not done. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("no such model is in the repository")]
    Unknown,
    #[error("this server calls it '{0}'")]
    Called(Name),
    #[error("{0}")]
    NotLoaded(String),
    #[error("too many models wait to be loaded")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Unreadable(#[from] SpecError),
}

/// Has the settings and the keys of a model's endpoint ready, or says why there are none. May wait for a disk.
pub type Prepare = dyn Fn(ModelSpec) -> Result<(ModelSpec, Settings, Option<KeyRing>), String> + Send + Sync;

/// Where models are asked for.
pub struct Repository {
    folder: PathBuf,
    prepare: Arc<Prepare>,
    orders: Orders,
    routing: Arc<Routing>,
    places: Semaphore,
    /// Models that were served and are not any more, for the index.
    unloaded: Mutex<BTreeSet<Name>>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Repository {
    /// The models of `folder`, to be loaded by the controller that takes `orders` and publishes in `routing`.
    pub fn new(folder: PathBuf, prepare: Arc<Prepare>, orders: Orders, routing: Arc<Routing>) -> Repository {
        Repository { folder, prepare, orders, routing, places: Semaphore::new(ASKED_MAX), unloaded: Mutex::default() }
    }

    /// The models that lie in the folder now, each in its newest version.
    pub async fn models(&self) -> Result<Vec<ModelSpec>, RepositoryError> {
        let folder = self.folder.clone();
        // Disks may be slow, and other requests share this thread.
        let found = tokio::task::spawn_blocking(move || models_of_folder(&folder)).await;
        match found.map_err(|_| RepositoryError::Stopping)? {
            Err(SpecError::EmptyFolder { .. }) => Ok(Vec::new()),
            found => Ok(found?),
        }
    }

    /// Whether the model was unloaded since it was last loaded.
    pub fn was_unloaded(&self, name: &Name) -> bool {
        self.unloaded.lock().contains(name)
    }

    /// Loads a model: its newest version, or all that its description asks for. One that is served already goes on answering until then, and afterwards, too, if the
    /// new one cannot be loaded.
    pub async fn load(&self, name: &str) -> Result<(), RepositoryError> {
        let _place = self.places.try_acquire().map_err(|_| RepositoryError::Busy)?;
        let mut models = self.models().await?.into_iter();
        let is_named = |asked: &Name| models.clone().any(|spec| spec.name == *asked);
        let asked = Name::in_any_case(name).filter(is_named).ok_or_else(|| {
            let derived = Name::from_file_stem(name);
            if is_named(&derived) { RepositoryError::Called(derived) } else { RepositoryError::Unknown }
        })?;
        let spec = models.find(|spec| spec.name == asked).ok_or(RepositoryError::Unknown)?;
        let prepare = Arc::clone(&self.prepare);
        let prepared = tokio::task::spawn_blocking(move || prepare(spec)).await;
        let (spec, settings, keys) =
            prepared.map_err(|_| RepositoryError::Stopping)?.map_err(RepositoryError::NotLoaded)?;
        self.unloaded.lock().remove(&spec.name);
        self.order(Order::Want(Box::new(Wanted::alone(spec.clone(), settings, keys)))).await?;
        for path in spec.earlier.values().chain([&spec.path]) {
            self.loaded(&spec.name, path).await?;
        }
        Ok(())
    }

    /// Takes a model out of service. Requests in progress finish.
    pub async fn unload(&self, name: &str) -> Result<(), RepositoryError> {
        let _place = self.places.try_acquire().map_err(|_| RepositoryError::Busy)?;
        let table = self.routing.table();
        let name = Name::in_any_case(name).filter(|name| table.find(name.as_str()).is_some()).ok_or_else(|| {
            table.called(name).map_or(RepositoryError::Unknown, |name| RepositoryError::Called(name.clone()))
        })?;
        drop(table);
        self.unloaded.lock().insert(name.clone());
        self.order(Order::Forget(name)).await
    }

    /// Gives an order, and waits until it has been taken over and what follows at once is published.
    async fn order(&self, order: Order) -> Result<(), RepositoryError> {
        let (tell, told) = oneshot::channel();
        self.orders.give(order);
        self.orders.give(Order::Tell(tell));
        told.await.map_err(|_| RepositoryError::Stopping)
    }

    /// Waits until the model is served, or cannot be.
    async fn loaded(&self, name: &Name, path: &Path) -> Result<(), RepositoryError> {
        let model = path.display().to_string();
        loop {
            let state = {
                let table = self.routing.table();
                let entry = table.find(name.as_str()).ok_or(RepositoryError::Unknown)?;
                let standing = entry.deployments.iter().find(|standing| standing.model == model);
                standing.map(|standing| standing.state.clone())
            };
            match state {
                Some(State::Ready) => return Ok(()),
                Some(State::Failed { reason }) => return Err(RepositoryError::NotLoaded(reason)),
                // Somebody has asked for another one meanwhile.
                Some(State::Draining) | None => return Err(RepositoryError::Unknown),
                Some(State::Loading) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}
