//! Who this server is among the replicas of a registry.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::moment::Moment;
use crate::name::Name;

/// Servers that may share a state folder.
const PLACES_MAX: usize = 64;

/// A name that is this server's own, and stays so over restarts; and an id of this one start.
#[derive(Debug)]
pub struct Identity {
    pub name: Name,
    /// Sorts by time: those that began earlier come first.
    pub incarnation: String,
    /// Held as long as the name is in use.
    _lock: File,
}

/// Why this server has no name.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot use {}: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{PLACES_MAX} servers use the state folder {} already", .0.display())]
    Full(PathBuf),
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Identity {
    /// Takes the first free name in a state folder: a random one that is kept there.
    pub fn claim(state: &Path, now: Moment) -> Result<Identity, IdentityError> {
        let folder = state.join("replicas");
        let failed = |source| IdentityError::Folder { folder: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let random = getrandom::u64().map_err(IdentityError::Random)?;
        for place in 0..PLACES_MAX {
            let path = folder.join(place.to_string());
            let lock =
                OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path).map_err(failed)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let name = kept_or_new(&path, random).map_err(failed)?;
            let incarnation = format!("{:012}-{:08x}", now.seconds(), random as u32);
            return Ok(Identity { name, incarnation, _lock: lock });
        }
        Err(IdentityError::Full(state.to_owned()))
    }
}

/// The name in the file; a new one if there is none, or what was cut short.
fn kept_or_new(path: &Path, random: u64) -> io::Result<Name> {
    let kept = fs::read_to_string(path)?;
    if let Some(name) = kept.strip_suffix('\n').and_then(|name| Name::parse(name).ok()) {
        return Ok(name);
    }
    let name = format!("r{random:016x}");
    fs::write(path, format!("{name}\n"))?;
    File::open(path)?.sync_all()?;
    Name::parse(&name).map_err(io::Error::other)
}
