//! Messages that have not been taken yet, on disk.
//!
//! One file per message and receiver, written whole (a temporary file, synced, renamed, and the folder synced) and removed when
//! the receiver has it. A process that is killed leaves whole messages, which the next one sends. Servers on one machine may share
//! a state folder: each takes the first place that nobody has locked, so that none sends what another is sending.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::private_file;

/// Messages that one receiver may have waiting. Beyond, the oldest is dropped, and told of in the log.
pub const LETTERS_MAX: usize = 1_000;

/// Servers that may share a state folder.
const PLACES_MAX: usize = 64;

/// What is larger is not ours.
const LETTER_BYTES_MAX: u64 = 1024 * 1024;

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// The event's.
    pub id: String,
    pub written: Moment,
    /// The very bytes to send.
    pub body: String,
}

/// The messages of one receiver, the oldest first.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    /// Names of the files by their numbers.
    waiting: Mutex<BTreeMap<u64, PathBuf>>,
    /// Held as long as the box is open.
    _lock: File,
}

impl Outbox {
    /// Opens the box of a receiver below a folder, with what an earlier process left in it. `receiver` is a file name.
    pub fn open(folder: &Path, receiver: &str) -> io::Result<Outbox> {
        for place in 0..PLACES_MAX {
            let folder = folder.join(place.to_string()).join(receiver);
            private_file::create_folder(&folder)?;
            let lock =
                private_file::open(&folder.join("lock"), OpenOptions::new().create(true).write(true).truncate(false))?;
            match lock.try_lock() {
                Ok(()) => {
                    let waiting = Mutex::new(waiting(&folder)?);
                    return Ok(Outbox { folder, waiting, _lock: lock });
                }
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{PLACES_MAX} servers use {} already", folder.display())))
    }

    /// Keeps a message until it is taken. Gives the ids of those that were dropped to make room.
    pub fn put(&self, letter: &Letter) -> io::Result<Vec<String>> {
        let mut waiting = self.waiting.lock();
        let number = waiting.last_key_value().map_or(0, |(number, _)| number + 1);
        let path = self.folder.join(format!("{number:020}.json"));
        let text = serde_json::to_vec(letter).map_err(io::Error::other)?;
        private_file::write(&path, &text)?;
        waiting.insert(number, path);
        let mut dropped = Vec::new();
        while waiting.len() > LETTERS_MAX {
            let Some((_, path)) = waiting.pop_first() else { break };
            dropped.extend(read(&path).map(|letter| letter.id));
            fs::remove_file(&path)?;
        }
        Ok(dropped)
    }

    /// The message that has waited longest, with its number. What is no message any more is removed.
    pub fn first(&self) -> Option<(u64, Letter)> {
        let mut waiting = self.waiting.lock();
        loop {
            let (number, path) = waiting.first_key_value()?;
            if let Some(letter) = read(path) {
                return Some((*number, letter));
            }
            let (_, path) = waiting.pop_first()?;
            tracing::warn!(path = %path.display(), "a waiting message is damaged and is dropped");
            drop(fs::remove_file(path));
        }
    }

    /// Whether a message is still there.
    pub fn holds(&self, number: u64) -> bool {
        self.waiting.lock().contains_key(&number)
    }

    /// Forgets a message.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        match self.waiting.lock().remove(&number) {
            Some(path) => fs::remove_file(path),
            None => Ok(()),
        }
    }

    /// The ids of all that wait, the oldest first.
    pub fn ids(&self) -> Vec<String> {
        self.waiting.lock().values().filter_map(|path| read(path)).map(|letter| letter.id).collect()
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn waiting(folder: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".json").and_then(|digits| digits.parse().ok()) {
            found.insert(number, path);
        } else if name.ends_with(".tmp") {
            // Half of a message that nobody was promised.
            fs::remove_file(&path)?;
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Option<Letter> {
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= LETTER_BYTES_MAX);
    serde_json::from_slice(&fs::read(path).ok().filter(|_| is_short)?).ok()
}
