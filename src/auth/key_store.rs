//! Where keys are kept between starts: digests in `<state>/keys/<endpoint>.json` and `<state>/admin.json`, all 0600.
//!
//! A ring that does not exist is made on first use, and its keys are handed over in files beside it
//! (`<endpoint>.primary.key`), which their owner may move away. The ring is written last, through a temporary file and a
//! rename: a crash leaves either no ring, and the next start makes a new one, or a whole one whose keys were handed over.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Key, KeyDigest, KeyRing, Slot};
use crate::name::Name;
use crate::private_file;

/// The keys of one server.
#[derive(Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// Whose keys.
#[derive(Clone, Copy, Debug)]
pub enum Ring<'a> {
    Admin,
    Endpoint(&'a Name),
}

/// Why keys could not be read or made. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged: {reason}; remove it to have new keys made", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRing {
    primary: StoredKey,
    secondary: StoredKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    sha256: String,
}

impl KeyStore {
    /// Opens the store in a state folder, which is made (0700) if it does not exist.
    pub fn open(folder: &Path) -> Result<KeyStore, KeyStoreError> {
        let keys = folder.join("keys");
        private_file::create_folder(&keys).map_err(io_error("create", &keys))?;
        Ok(KeyStore { folder: folder.to_owned() })
    }

    /// The keys of `ring`, made now if there are none yet.
    pub fn load_or_create(&self, ring: Ring<'_>) -> Result<KeyRing, KeyStoreError> {
        // Two servers may start on one state folder at the same moment.
        let lock_path = self.folder.join("lock");
        let lock = private_file::open(&lock_path, OpenOptions::new().create(true).write(true).truncate(false))
            .map_err(io_error("open", &lock_path))?;
        lock.lock().map_err(io_error("lock", &lock_path))?;

        let path = self.ring_path(ring);
        match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| KeyStoreError::Damaged { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(ring, &path),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// The file in which a key was handed over. It may have been moved away since.
    pub fn key_path(&self, ring: Ring<'_>, slot: Slot) -> PathBuf {
        match ring {
            Ring::Admin => self.folder.join(format!("admin.{}.key", slot.name())),
            Ring::Endpoint(name) => self.folder.join("keys").join(format!("{name}.{}.key", slot.name())),
        }
    }

    fn ring_path(&self, ring: Ring<'_>) -> PathBuf {
        match ring {
            Ring::Admin => self.folder.join("admin.json"),
            Ring::Endpoint(name) => self.folder.join("keys").join(format!("{name}.json")),
        }
    }

    fn create(&self, ring: Ring<'_>, path: &Path) -> Result<KeyRing, KeyStoreError> {
        let mut digests = Vec::with_capacity(Slot::ALL.len());
        for slot in Slot::ALL {
            let key = Key::generate().map_err(KeyStoreError::Random)?;
            let key_path = self.key_path(ring, slot);
            private_file::write(&key_path, format!("{}\n", key.reveal()).as_bytes())
                .map_err(io_error("write", &key_path))?;
            digests.push(key.digest());
        }
        let key_ring = KeyRing { primary: digests[0], secondary: digests[1] };
        let stored = |digest: KeyDigest| StoredKey { id: digest.id(), sha256: digest.to_hex() };
        let stored = StoredRing { primary: stored(key_ring.primary), secondary: stored(key_ring.secondary) };
        let text = serde_json::to_vec_pretty(&stored).expect("texts always serialize");
        private_file::write(path, &text).map_err(io_error("write", path))?;
        Ok(key_ring)
    }
}

fn parse(bytes: &[u8]) -> Result<KeyRing, String> {
    let stored: StoredRing = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let digest =
        |key: &StoredKey| KeyDigest::from_hex(&key.sha256).ok_or_else(|| format!("key {} has no valid sha256", key.id));
    Ok(KeyRing { primary: digest(&stored.primary)?, secondary: digest(&stored.secondary)? })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyStoreError {
    let path = path.to_owned();
    move |source| KeyStoreError::Io { action, path, source }
}
