//! Small objects in a store: create if absent, read, overwrite, list, delete; each with bounded retries and a time limit.
//!
//! To *create* is the one operation that everything else here stands on: of any number of writers, exactly one makes an object,
//! and each learns whether it was the one. Networks make that hard in one way: a write may be taken and its answer lost, and the
//! retry then finds an object, its own. So whatever the store answers, what lies there afterwards decides: the writer's own bytes
//! (they carry a nonce) mean that it was the one, other bytes that it was not, and nothing that it may try again.

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as BackendError, GetOptions, ObjectStore, ObjectStoreExt, PutMode};

use super::limits::Patience;
use super::{RegistryError, StoreLimits};
use crate::moment::Moment;

/// The largest object that is read whole: records are small, and files are read in pieces.
const OBJECT_BYTES_MAX: u64 = 4 << 20;

/// What has become of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// This writer has made the object, and it will stay.
    Created,
    /// It was there already, with these bytes of somebody else's.
    Taken(Bytes),
}

/// An object as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last part of its path.
    pub name: String,
    pub bytes: u64,
    pub modified: Moment,
}

/// What lies directly in a folder, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub folders: Vec<String>,
    pub objects: Vec<Entry>,
}

/// Objects in a store, below one root.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn ObjectStore>,
    root: Path,
    /// The folder that it is, if it is one on a disk.
    disk: Option<PathBuf>,
    limits: StoreLimits,
}

/// How an attempt failed.
enum Failure {
    Late,
    Backend(BackendError),
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Failure::Late => "the store did not answer in time".to_owned(),
            Failure::Backend(error) => error.to_string(),
        }
    }
}

impl Store {
    pub fn new(backend: Arc<dyn ObjectStore>, root: Path, disk: Option<PathBuf>, limits: StoreLimits) -> Store {
        Store { backend, root, disk, limits }
    }

    /// The path of an object, from names that need no escaping.
    pub fn path<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Path {
        parts.into_iter().fold(self.root.clone(), |path, part| path.join(part))
    }

    /// The store itself, for objects too large to be held in memory.
    pub(super) fn backend(&self) -> &dyn ObjectStore {
        self.backend.as_ref()
    }

    pub(super) fn limits(&self) -> StoreLimits {
        self.limits
    }

    /// The folder that the store is, if it is one on a disk.
    pub(super) fn disk(&self) -> Option<&std::path::Path> {
        self.disk.as_deref()
    }

    /// Makes an object, unless there is one. `bytes` must be this writer's alone: they are how it knows its own work.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<Creation, RegistryError> {
        let mut patience = Patience::new(self.limits);
        loop {
            let put = self.backend.put_opts(path, bytes.clone().into(), PutMode::Create.into());
            let failure = match patience.attempt(put).await {
                Some(Ok(_)) => {
                    self.settle(path).await?;
                    return Ok(Creation::Created);
                }
                Some(Err(error)) => Failure::Backend(error),
                None => Failure::Late,
            };
            let seen = match patience.attempt(self.look(path)).await {
                Some(Ok(Some(found))) if found == bytes && self.is_trusted(&failure) => {
                    self.settle(path).await?;
                    return Ok(Creation::Created);
                }
                // A disk that failed after the object was in place has not promised to keep it.
                Some(Ok(Some(found))) if found == bytes => return Err(unconfirmed(path, &failure)),
                Some(Ok(Some(found))) => return Ok(Creation::Taken(found)),
                Some(Ok(None)) => Some(()),
                Some(Err(_)) | None => None,
            };
            if !self.is_passing(&failure) {
                return Err(match seen {
                    Some(()) => refused("write", path, &failure),
                    None => unconfirmed(path, &failure),
                });
            }
            if !patience.pause().await {
                return Err(unconfirmed(path, &failure));
            }
        }
    }

    /// The bytes of an object, or `None` if there is none.
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>, RegistryError> {
        self.persist("read", path, || self.look(path)).await
    }

    /// Writes an object, whatever was there before.
    pub async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<(), RegistryError> {
        let put = || async { self.backend.put(path, bytes.clone().into()).await.map(drop) };
        self.persist("write", path, put).await?;
        self.settle(path).await
    }

    /// Whether there is an object, and how it would be listed.
    pub async fn entry(&self, path: &Path) -> Result<Option<Entry>, RegistryError> {
        let head = || async {
            match self.backend.head(path).await {
                Ok(meta) => Ok(Some(entry(&meta))),
                Err(BackendError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.persist("look at", path, head).await
    }

    /// Removes an object, if there is one.
    pub async fn delete(&self, path: &Path) -> Result<(), RegistryError> {
        let delete = || async {
            match self.backend.delete(path).await {
                Err(BackendError::NotFound { .. }) => Ok(()),
                outcome => outcome,
            }
        };
        self.persist("delete", path, delete).await
    }

    /// What lies directly in a folder; nothing, if there is no such folder.
    pub async fn list(&self, folder: &Path) -> Result<Listing, RegistryError> {
        let list = || self.backend.list_with_delimiter(Some(folder));
        let found = self.persist("list", folder, list).await?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let mut listing = Listing {
            folders: found.common_prefixes.iter().map(name).collect(),
            objects: found.objects.iter().map(entry).collect(),
        };
        listing.folders.sort();
        listing.objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// Tries an operation that does no harm when it is done twice, until it is answered or its time is over.
    pub(super) async fn persist<T, F>(
        &self,
        action: &'static str,
        path: &Path,
        mut operation: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut patience = Patience::new(self.limits);
        loop {
            let failure = match patience.attempt(operation()).await {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => Failure::Backend(error),
                None => Failure::Late,
            };
            if !self.is_passing(&failure) {
                return Err(refused(action, path, &failure));
            }
            if !patience.pause().await {
                let (limit_ms, reason) = (patience.total_ms(), failure.reason());
                return Err(RegistryError::Unavailable { action, path: path.to_string(), limit_ms, reason });
            }
        }
    }

    async fn look(&self, path: &Path) -> object_store::Result<Option<Bytes>> {
        let found = match self.backend.get_opts(path, GetOptions::default()).await {
            Ok(found) => found,
            Err(BackendError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.meta.size > OBJECT_BYTES_MAX {
            let source =
                format!("it has {} bytes, and a record has at most {OBJECT_BYTES_MAX}", found.meta.size).into();
            return Err(BackendError::NotSupported { source });
        }
        found.bytes().await.map(Some)
    }

    /// Whether a failure may pass by itself. A disk's does not, but for a call that a signal broke off: what is full or broken
    /// stays so, and a failed `fsync` that is tried again succeeds without having written anything.
    fn is_passing(&self, failure: &Failure) -> bool {
        let Failure::Backend(error) = failure else { return true };
        match error {
            BackendError::Generic { .. } | BackendError::JoinError { .. } => {
                self.disk.is_none() || is_interrupted(error)
            }
            // Said of an object that is there, and by S3 of one that somebody is about to make.
            BackendError::AlreadyExists { .. } => true,
            _ => false,
        }
    }

    /// Whether an object that is there in spite of a failure is as safe as one without.
    fn is_trusted(&self, failure: &Failure) -> bool {
        self.disk.is_none() || matches!(failure, Failure::Late | Failure::Backend(BackendError::AlreadyExists { .. }))
    }

    /// Has a disk keep the folders on the way to a new object.
    ///
    /// The backend syncs the object, its folder, and the folders that it made itself. One that another writer made a moment ago,
    /// and has not synced yet, it takes for old: without this, a power cut could take an acknowledged object with that folder.
    pub(super) async fn settle(&self, path: &Path) -> Result<(), RegistryError> {
        let Some(root) = self.disk.clone() else { return Ok(()) };
        let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let synced = tokio::task::spawn_blocking(move || {
            let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
            let mut folder = root;
            sync_folder(&folder)?;
            folders.iter().try_for_each(|part| {
                folder.push(part);
                sync_folder(&folder)
            })
        });
        match synced.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RegistryError::Unconfirmed { path: path.to_string(), reason: error.to_string() }),
            Err(error) => Err(RegistryError::Unconfirmed { path: path.to_string(), reason: error.to_string() }),
        }
    }
}

/// Has a disk keep the names in a folder.
pub(super) fn sync_folder(folder: &std::path::Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn entry(meta: &object_store::ObjectMeta) -> Entry {
    Entry {
        name: meta.location.filename().unwrap_or_default().to_owned(),
        bytes: meta.size,
        modified: Moment::from_seconds(u64::try_from(meta.last_modified.timestamp()).unwrap_or_default()),
    }
}

fn is_interrupted(error: &BackendError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            return true;
        }
        source = error.source();
    }
    false
}

fn refused(action: &'static str, path: &Path, failure: &Failure) -> RegistryError {
    RegistryError::Refused { action, path: path.to_string(), reason: failure.reason() }
}

fn unconfirmed(path: &Path, failure: &Failure) -> RegistryError {
    RegistryError::Unconfirmed { path: path.to_string(), reason: failure.reason() }
}
