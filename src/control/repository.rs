//! The model repository: a folder whose models are loaded and unloaded while the server runs, when an operator's client asks.
//!
//! A [`Repository`] is what is asked; the work is done by the thread that loads models, one after the other, in [`Worker`]. What
//! can be loaded is what lies in the folder, by the names that are derived from it: no path ever comes from a request.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Controller, ModelSpec, Settings, SpecError, resolve_models};
use crate::auth::KeyRing;
use crate::name::Name;

/// Orders that may wait while a model is being loaded.
const ORDERS_MAX: usize = 64;

/// Why an order was not carried out. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("no such model is in the repository")]
    Unknown,
    #[error("{0}")]
    NotLoaded(String),
    #[error("too many models wait to be loaded")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Unreadable(#[from] SpecError),
}

/// Where models are asked for.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    orders: SyncSender<Order>,
    /// Models that were served and are not any more, for the index.
    unloaded: Mutex<BTreeSet<Name>>,
}

#[derive(Debug)]
struct Order {
    what: What,
    done: oneshot::Sender<Result<(), RepositoryError>>,
}

#[derive(Debug)]
enum What {
    Load(ModelSpec),
    Unload(Name),
}

/// Has the settings and the keys of an endpoint ready, or says why there are none.
pub type Prepare = dyn Fn(&Name) -> Result<(Settings, Option<KeyRing>), String> + Send;

/// The end of a [`Repository`] that does the work.
pub struct Worker {
    orders: Receiver<Order>,
    prepare: Box<Prepare>,
}

impl Repository {
    /// A repository and its worker.
    pub fn new(folder: PathBuf, prepare: Box<Prepare>) -> (Repository, Worker) {
        let (orders, to_do) = sync_channel(ORDERS_MAX);
        (Repository { folder, orders, unloaded: Mutex::default() }, Worker { orders: to_do, prepare })
    }

    /// The models that lie in the folder now, each in its newest version.
    pub async fn models(&self) -> Result<Vec<ModelSpec>, RepositoryError> {
        let folder = self.folder.display().to_string();
        // Disks may be slow, and other requests share this thread.
        let found = tokio::task::spawn_blocking(move || resolve_models(&[folder])).await;
        match found.map_err(|_| RepositoryError::Stopping)? {
            Err(SpecError::EmptyFolder { .. }) => Ok(Vec::new()),
            found => Ok(found?),
        }
    }

    /// Whether the model was unloaded since it was last loaded.
    pub fn was_unloaded(&self, name: &Name) -> bool {
        self.unloaded.lock().contains(name)
    }

    /// Loads the newest version of a model. One that is served already goes on answering until then, and afterwards, too, if the
    /// new one cannot be loaded.
    pub async fn load(&self, name: &str) -> Result<(), RepositoryError> {
        let found = self.models().await?.into_iter().find(|spec| spec.name.as_str() == name);
        let spec = found.ok_or(RepositoryError::Unknown)?;
        let name = spec.name.clone();
        self.order(What::Load(spec)).await?;
        self.unloaded.lock().remove(&name);
        Ok(())
    }

    /// Takes a model out of service. Requests in progress finish.
    pub async fn unload(&self, name: &str) -> Result<(), RepositoryError> {
        let name = Name::parse(name).map_err(|_| RepositoryError::Unknown)?;
        self.order(What::Unload(name.clone())).await?;
        self.unloaded.lock().insert(name);
        Ok(())
    }

    async fn order(&self, what: What) -> Result<(), RepositoryError> {
        let (done, outcome) = oneshot::channel();
        self.orders.try_send(Order { what, done }).map_err(|error| match error {
            TrySendError::Full(_) => RepositoryError::Busy,
            TrySendError::Disconnected(_) => RepositoryError::Stopping,
        })?;
        outcome.await.unwrap_or(Err(RepositoryError::Stopping))
    }
}

impl Worker {
    /// Does what is asked, for as long as anybody can ask.
    pub fn run(self, controller: &mut Controller) {
        for Order { what, done } in self.orders {
            let outcome = match what {
                What::Load(spec) => match (self.prepare)(&spec.name) {
                    Ok((settings, keys)) => controller.load(&spec, settings, keys).map_err(RepositoryError::NotLoaded),
                    Err(reason) => Err(RepositoryError::NotLoaded(reason)),
                },
                What::Unload(name) => {
                    if controller.unload(&name) {
                        Ok(())
                    } else {
                        Err(RepositoryError::Unknown)
                    }
                }
            };
            // Whoever asked may have left. It is done all the same.
            drop(done.send(outcome));
        }
    }
}
