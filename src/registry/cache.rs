//! Models of a registry on this machine's disk, verified, so that a server can start again while the store is away.
//!
//! ```text
//! <state_dir>/cache/
//!   models/<digest>/…     a model's files, as a runtime opens them; there whole or not at all
//!   partial/<nonce>/…     in the making, or on the way out; `<nonce>.lock` is held by who is at work
//!   locks/<digest>        shared by who uses the model; nobody removes it meanwhile
//!   kept/<registry>/…     what was last read of a registry: manifests, and whatever else a server wants to remember
//! ```
//!
//! Any number of processes may share it, and any of them may be killed: locks go with their holders, and what is not renamed
//! into `models/` is removed by the next one that looks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blobs::{Progress, blocking};
use super::leftovers::sweep;
use super::store::sync_folder;
use super::{
    Content, Digest, FilePath, Hasher, Manifest, ModelRef, Nonce, Registry, RegistryError, RegistryUrl, StoredFile,
};
use crate::error::ErrorKind;

/// A folder of verified models.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

/// A model in the cache, which stays there as long as this is held.
#[derive(Debug)]
pub struct CachedModel {
    pub manifest: Manifest,
    /// The file for a runtime to open. Its sample and its weights lie where the manifest says.
    pub path: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens a cache that is to hold at most `max_bytes`, models in use aside.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Cache, RegistryError> {
        for part in ["models", "partial", "locks", "kept"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(|source| RegistryError::File { path, source })?;
        }
        // Half of what somebody was about to remember. A disk that takes no more can still be read.
        let is_half = |name: &str| !name.ends_with(".json");
        let _ = sweep(&folder.join("kept"), SystemTime::now(), is_half);
        Ok(Cache { folder: folder.to_owned(), max_bytes })
    }

    /// A version's files: from the disk if they are there and whole, else from the registry.
    ///
    /// If the registry is away, what was last read of it has to do; a version does not change.
    pub async fn load(
        &self,
        registry: &Registry,
        url: &RegistryUrl,
        model: &ModelRef,
        progress: &Progress<'_>,
    ) -> Result<CachedModel, RegistryError> {
        let kept = format!("models/{}/{}", model.name, model.version);
        let manifest = match registry.models().usable(model).await {
            Ok(found) => {
                self.keep(url, &kept, &found.manifest)?;
                found.manifest
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => self.kept(url, &kept)?.ok_or(error)?,
            Err(error) => return Err(error),
        };
        self.load_manifest(registry, manifest, progress).await
    }

    /// A version that is on the disk, whole, without asking the registry at all: for when it cannot even be opened.
    pub async fn load_kept(&self, url: &RegistryUrl, model: &ModelRef) -> Result<Option<CachedModel>, RegistryError> {
        let kept = self.kept::<Manifest>(url, &format!("models/{}/{}", model.name, model.version))?;
        let Some(manifest) = kept else { return Ok(None) };
        let digest = manifest.content.digest.clone();
        let lock = self.lock(&digest).await?;
        let folder = self.folder.join("models").join(digest.as_str());
        if !self.is_whole(&folder, &manifest.content).await? {
            return Ok(None);
        }
        let path = manifest.content.model.in_folder(&folder);
        Ok(Some(CachedModel { manifest, path, _lock: lock }))
    }

    /// [`Cache::load`] of a version whose manifest is known.
    pub async fn load_manifest(
        &self,
        registry: &Registry,
        manifest: Manifest,
        progress: &Progress<'_>,
    ) -> Result<CachedModel, RegistryError> {
        let digest = manifest.content.digest.clone();
        // Held from here on, so that nobody removes what is about to be used.
        let lock = self.lock(&digest).await?;
        let folder = self.folder.join("models").join(digest.as_str());
        if !self.is_whole(&folder, &manifest.content).await? {
            self.fetch(registry, &manifest.content, &folder, progress).await?;
        }
        // The order in which models are removed is that of their last use. A disk that takes no more can still be read.
        let _ = File::open(&folder).and_then(|opened| opened.set_modified(SystemTime::now()));
        let path = manifest.content.model.in_folder(&folder);
        Ok(CachedModel { manifest, path, _lock: lock })
    }

    /// Remembers something read of a registry, for when it is away. `what` is a path of names.
    pub fn keep(&self, url: &RegistryUrl, what: &str, value: &impl Serialize) -> Result<(), RegistryError> {
        let path = self.kept_path(url, what)?;
        let failed = |source| RegistryError::File { path: path.clone(), source };
        let bytes = serde_json::to_vec(value).map_err(|error| RegistryError::Invalid(error.to_string()))?;
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let nonce = Nonce::generate().map_err(RegistryError::Random)?;
        let parent = path.parent().unwrap_or(&self.folder);
        let temporary = path.with_extension(nonce.as_str());
        let written = fs::create_dir_all(parent)
            .and_then(|()| File::create_new(&temporary))
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync_folder(parent));
        written.map_err(|error| {
            drop(fs::remove_file(&temporary));
            failed(error)
        })
    }

    /// What was last remembered.
    pub fn kept<T: DeserializeOwned>(&self, url: &RegistryUrl, what: &str) -> Result<Option<T>, RegistryError> {
        let path = self.kept_path(url, what)?;
        match fs::read(&path) {
            // What cannot be read any more was written by another version of the program, and is as good as not there.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RegistryError::File { path, source }),
        }
    }

    fn kept_path(&self, url: &RegistryUrl, what: &str) -> Result<PathBuf, RegistryError> {
        let what = FilePath::parse(what).map_err(|error| RegistryError::Invalid(error.to_string()))?;
        let registry = Digest::of(url.to_string().as_bytes());
        let mut path = what.in_folder(&self.folder.join("kept").join(&registry.as_str()[..16])).into_os_string();
        path.push(".json");
        Ok(path.into())
    }

    /// Takes part in the use of a model. Waits for somebody who is removing it.
    async fn lock(&self, digest: &Digest) -> Result<File, RegistryError> {
        let path = self.folder.join("locks").join(digest.as_str());
        let failed = |source| RegistryError::File { path: path.clone(), source };
        let file = open_lock(&path).map_err(failed)?;
        blocking(move || file.lock_shared().map(|()| file)).await.map_err(failed)
    }

    /// Whether all files are there, with the right bytes. One that is not is removed: what else is wrong with it nobody knows.
    async fn is_whole(&self, folder: &Path, content: &Content) -> Result<bool, RegistryError> {
        if !folder.is_dir() {
            return Ok(false);
        }
        let files: Vec<StoredFile> = files(content).cloned().collect();
        let (at, path) = (folder.to_owned(), folder.to_owned());
        let checked = blocking(move || {
            for file in &files {
                if !has_bytes(&file.path.in_folder(&at), file)? {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        let is_whole = checked.await.map_err(|source| RegistryError::File { path, source })?;
        if !is_whole {
            tracing::warn!(folder = %folder.display(), "a cached model is damaged and is fetched again");
            self.remove(folder)?;
        }
        Ok(is_whole)
    }

    /// Fetches a model into a folder of its own, which then becomes `folder`.
    async fn fetch(
        &self,
        registry: &Registry,
        content: &Content,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<(), RegistryError> {
        self.clear_partial()?;
        self.make_room(files(content).map(|file| file.bytes).sum())?;
        let partial = Partial::begin(&self.folder.join("partial"))?;
        let mut folders = vec![partial.folder.clone()];
        for file in files(content) {
            let to = file.path.in_folder(&partial.folder);
            for parent in to.ancestors().skip(1).take_while(|parent| **parent != partial.folder) {
                folders.push(parent.to_owned());
            }
            let parent = to.parent().unwrap_or(&partial.folder);
            fs::create_dir_all(parent).map_err(|source| RegistryError::File { path: parent.to_owned(), source })?;
            registry.store().fetch_blob(file, &to, progress).await?;
        }
        folders.sort();
        folders.dedup();
        let (models, from, to) = (self.folder.join("models"), partial.folder.clone(), folder.to_owned());
        let placed = blocking(move || {
            folders.iter().try_for_each(|folder| sync_folder(folder))?;
            match fs::rename(&from, &to) {
                // Another process was faster, with the same bytes.
                Err(_) if to.is_dir() => {}
                outcome => outcome?,
            }
            sync_folder(&models)
        });
        placed.await.map_err(|source| RegistryError::File { path: folder.to_owned(), source })
    }

    /// Removes models that nobody uses, the longest unused first, until there is room for so many bytes.
    fn make_room(&self, bytes: u64) -> Result<(), RegistryError> {
        let models = self.folder.join("models");
        let failed = |source| RegistryError::File { path: models.clone(), source };
        let mut held = Vec::new();
        for entry in fs::read_dir(&models).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let used = entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            held.push((used, bytes_below(&entry.path()), entry.path()));
        }
        held.sort();
        let mut total: u64 = held.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in held {
            if total.saturating_add(bytes) <= self.max_bytes {
                break;
            }
            let lock = self.folder.join("locks").join(path.file_name().unwrap_or_default());
            let lock = open_lock(&lock).map_err(failed)?;
            match lock.try_lock() {
                Ok(()) => {
                    self.remove(&path)?;
                    total -= size;
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Ok(())
    }

    /// Takes a model out of the cache at once, then removes it.
    fn remove(&self, folder: &Path) -> Result<(), RegistryError> {
        let failed = |source| RegistryError::File { path: folder.to_owned(), source };
        let partial = Partial::begin(&self.folder.join("partial"))?;
        match fs::rename(folder, partial.folder.join("removed")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Removes what killed processes have left unfinished.
    fn clear_partial(&self) -> Result<(), RegistryError> {
        let partial = self.folder.join("partial");
        let failed = |source| RegistryError::File { path: partial.clone(), source };
        for entry in fs::read_dir(&partial).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            // Gone already, or held by somebody alive.
            let Ok(lock) = File::open(&path) else { continue };
            if lock.try_lock().is_ok() {
                drop(fs::remove_dir_all(path.with_extension("")));
                drop(fs::remove_file(&path));
            }
        }
        Ok(())
    }
}

/// A folder in the making, removed with all that is still in it when its maker is done.
struct Partial {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Partial {
    fn begin(partial: &Path) -> Result<Partial, RegistryError> {
        let nonce = Nonce::generate().map_err(RegistryError::Random)?;
        let folder = partial.join(nonce.as_str());
        let lock_path = folder.with_extension("lock");
        let failed = |source| RegistryError::File { path: folder.clone(), source };
        let lock = open_lock(&lock_path).map_err(failed)?;
        // A sweeper may hold it for the moment between our making and our locking it; it then removes what is not there yet.
        lock.lock().map_err(failed)?;
        fs::create_dir(&folder).map_err(failed)?;
        Ok(Partial { folder, lock_path, _lock: lock })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
        drop(fs::remove_file(&self.lock_path));
    }
}

/// The files that a server needs of a model: its own, and its sample.
fn files(content: &Content) -> impl Iterator<Item = &StoredFile> {
    let sample = content.sample_input.iter().filter(|sample| content.files.iter().all(|file| file.path != sample.path));
    content.files.iter().chain(sample)
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn has_bytes(path: &Path, expected: &StoredFile) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != expected.bytes {
        return Ok(false);
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == expected.sha256),
            Ok(bytes) => hasher.update(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the files of a folder take; those that vanish meanwhile take nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
