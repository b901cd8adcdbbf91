//! The regions that are registered.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Serialize;

use super::object::{FOLDER, InvalidKey, Object, name};
use crate::error::ErrorKind;

/// The longest name of a region, in bytes.
const REGION_NAME_BYTES_MAX: usize = 255;

/// What all regions may be together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_regions: usize,
    pub max_bytes: u64,
}

/// The registered regions. Requests look regions up under a lock that is held for that long only: the bytes move outside of it.
#[derive(Debug)]
pub struct SharedMemory {
    limits: Limits,
    folder: PathBuf,
    regions: RwLock<BTreeMap<String, Arc<Registered>>>,
}

/// A registered region.
#[derive(Debug)]
pub struct Registered {
    pub(super) object: Object,
    key: String,
    pub(super) offset: u64,
    pub(super) byte_size: u64,
}

/// A region, as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionStatus {
    pub name: String,
    pub key: String,
    pub offset: u64,
    pub byte_size: u64,
}

/// Why a region cannot be registered or used. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum SharedMemoryError {
    #[error("the name of a shared memory region has 1 to {REGION_NAME_BYTES_MAX} bytes")]
    Name,
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error("shared memory region '{0}' is registered already: unregister it first")]
    AlreadyRegistered(String),
    #[error("there is no shared memory region '{0}'")]
    Unknown(String),
    #[error("shared memory object '{key}' cannot be opened: {reason}")]
    Open { key: String, reason: &'static str },
    #[error("{asked} bytes from {offset} do not lie in shared memory object '{key}', which has {size}")]
    OutsideObject { key: String, offset: u64, asked: u64, size: u64 },
    #[error("a shared memory region has 1 byte at least")]
    Empty,
    #[error("{max} shared memory regions are registered, the most that may be: unregister one")]
    TooMany { max: usize },
    #[error("the shared memory regions may have {max} bytes together; {left} are left")]
    TooLarge { max: u64, left: u64 },
}

impl SharedMemoryError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            SharedMemoryError::Unknown(_) => ErrorKind::NotFound,
            SharedMemoryError::TooMany { .. } | SharedMemoryError::TooLarge { .. } => ErrorKind::Overloaded,
            SharedMemoryError::Name
            | SharedMemoryError::Key(_)
            | SharedMemoryError::AlreadyRegistered(_)
            | SharedMemoryError::Open { .. }
            | SharedMemoryError::OutsideObject { .. }
            | SharedMemoryError::Empty => ErrorKind::BadInput,
        }
    }
}

impl SharedMemory {
    pub fn new(limits: Limits) -> SharedMemory {
        SharedMemory::in_folder(limits, Path::new(FOLDER))
    }

    /// With objects that lie elsewhere, for tests.
    pub(super) fn in_folder(limits: Limits, folder: &Path) -> SharedMemory {
        SharedMemory { limits, folder: folder.to_owned(), regions: RwLock::default() }
    }

    /// Registers `byte_size` bytes from `offset` of the object that `key` names, under `name`.
    pub fn register(&self, region: &str, key: &str, offset: u64, byte_size: u64) -> Result<(), SharedMemoryError> {
        if region.is_empty() || region.len() > REGION_NAME_BYTES_MAX {
            return Err(SharedMemoryError::Name);
        }
        if byte_size == 0 {
            return Err(SharedMemoryError::Empty);
        }
        let open = |error: io::Error| SharedMemoryError::Open { key: key.to_owned(), reason: reason(&error) };
        let object = Object::open(&self.folder, name(key)?).map_err(open)?;
        let size = object.size().map_err(open)?;
        if offset.checked_add(byte_size).is_none_or(|end| end > size) {
            let key = key.to_owned();
            return Err(SharedMemoryError::OutsideObject { key, offset, asked: byte_size, size });
        }
        let mut regions = self.regions.write();
        if regions.contains_key(region) {
            return Err(SharedMemoryError::AlreadyRegistered(shown(region)));
        }
        let Limits { max_regions, max_bytes } = self.limits;
        if regions.len() >= max_regions {
            return Err(SharedMemoryError::TooMany { max: max_regions });
        }
        let taken = regions.values().map(|region| region.byte_size).fold(0, u64::saturating_add);
        let left = max_bytes.saturating_sub(taken);
        if byte_size > left {
            return Err(SharedMemoryError::TooLarge { max: max_bytes, left });
        }
        regions.insert(region.to_owned(), Arc::new(Registered { object, key: key.to_owned(), offset, byte_size }));
        Ok(())
    }

    /// Forgets a region. Whoever uses it just now finishes. One that is not registered is none to be forgotten, as Triton has it.
    pub fn unregister(&self, region: &str) {
        // The file is closed outside of the lock.
        let gone = self.regions.write().remove(region);
        drop(gone);
    }

    /// Forgets all regions.
    pub fn unregister_all(&self) {
        let gone = std::mem::take(&mut *self.regions.write());
        drop(gone);
    }

    /// One region, or all, in the order of their names.
    pub fn status(&self, region: Option<&str>) -> Result<Vec<RegionStatus>, SharedMemoryError> {
        let regions = self.regions.read();
        let status = |(name, region): (&String, &Arc<Registered>)| RegionStatus {
            name: name.clone(),
            key: region.key.clone(),
            offset: region.offset,
            byte_size: region.byte_size,
        };
        match region {
            None => Ok(regions.iter().map(status).collect()),
            Some(name) => match regions.get_key_value(name) {
                Some(found) => Ok(vec![status(found)]),
                None => Err(SharedMemoryError::Unknown(shown(name))),
            },
        }
    }

    /// A region by its name.
    pub(super) fn find(&self, region: &str) -> Result<Arc<Registered>, SharedMemoryError> {
        self.regions.read().get(region).cloned().ok_or_else(|| SharedMemoryError::Unknown(shown(region)))
    }
}

/// A client's word, printable and not too long.
fn shown(name: &str) -> String {
    name.chars().take(80).collect::<String>().replace(char::is_control, " ")
}

/// What the operating system says, without what only the operator should know.
fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "there is none of this name",
        io::ErrorKind::PermissionDenied => "the server's user may not read and write it",
        _ => "it is no shared memory object",
    }
}
