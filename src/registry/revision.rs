//! Append-only logs: numbered revisions, each made once and never changed.
//!
//! A log is a folder of `0000000001.json`, `0000000002.json`, …. To change anything is to create the next number, which only one
//! writer can; the others learn whose it is and decide anew. Nothing is ever overwritten, so the log is its own history.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::store::{Creation, Store};
use super::{Nonce, RegistryError};
use crate::moment::Moment;

/// How often [`RevisionLog::update`] starts anew because somebody else was faster.
const UPDATES_MAX: usize = 64;

/// Who changes something, why, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A person and machine, or the part of a server that acts by itself.
    pub by: String,
    /// A sentence, for the history.
    pub why: String,
    pub at: Moment,
}

/// One revision of `T`, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision<T> {
    /// From 1 on, without gaps.
    pub revision: u64,
    pub at: Moment,
    pub by: String,
    pub why: String,
    /// The mark by which its writer knows it.
    pub nonce: Nonce,
    pub body: T,
}

/// The log of one thing.
#[derive(Clone, Debug)]
pub struct RevisionLog<T> {
    store: Arc<Store>,
    folder: Path,
    /// For messages: `endpoint ridge`.
    what: String,
    body: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> RevisionLog<T> {
    pub(super) fn new(store: &Arc<Store>, folder: Path, what: impl Into<String>) -> RevisionLog<T> {
        RevisionLog { store: Arc::clone(store), folder, what: what.into(), body: PhantomData }
    }

    /// The number of the latest revision; 0 if there is none. Lists the folder: to be asked once, and [`RevisionLog::read`]
    /// for the next number from then on.
    pub async fn latest_number(&self) -> Result<u64, RegistryError> {
        let listing = self.store.list(&self.folder).await?;
        Ok(listing.objects.iter().filter_map(|object| number(&object.name)).max().unwrap_or(0))
    }

    /// The latest revision, if there is one.
    pub async fn latest(&self) -> Result<Option<Revision<T>>, RegistryError> {
        match self.latest_number().await? {
            0 => Ok(None),
            number => self.read(number).await,
        }
    }

    /// The revision of this number, if it has been made yet.
    pub async fn read(&self, number: u64) -> Result<Option<Revision<T>>, RegistryError> {
        if number == 0 {
            return Ok(None);
        }
        let path = self.path(number);
        self.store.read(&path).await?.map(|bytes| parse(&path, number, &bytes)).transpose()
    }

    /// The latest `limit` revisions, the newest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<Revision<T>>, RegistryError> {
        let latest = self.latest_number().await?;
        let mut revisions = Vec::new();
        for number in (1..=latest).rev().take(limit) {
            let missing = || damaged(&self.path(number), "revisions after it exist, and it does not".to_owned());
            revisions.push(self.read(number).await?.ok_or_else(missing)?);
        }
        Ok(revisions)
    }

    /// Makes the revision after `previous` (0: the first one). [`RegistryError::Conflict`] if somebody else has.
    pub async fn append(&self, previous: u64, change: &Change, body: T) -> Result<Revision<T>, RegistryError> {
        // A number further on would leave a gap, which a watcher never gets over.
        if previous > 0 && self.store.entry(&self.path(previous)).await?.is_none() {
            return Err(RegistryError::NotFound { what: format!("revision {previous} of {}", self.what) });
        }
        let nonce = Nonce::generate().map_err(RegistryError::Random)?;
        let Change { by, why, at } = change.clone();
        let revision = Revision { revision: previous + 1, at, by, why, nonce, body };
        let path = self.path(revision.revision);
        match self.store.create(&path, bytes_of(&revision)?).await? {
            Creation::Created => Ok(revision),
            Creation::Taken(bytes) => {
                let Envelope { revision, by, at, why } = parse_as(&path, &bytes)?;
                Err(RegistryError::Conflict { what: self.what.clone(), revision, by, at, why })
            }
        }
    }

    /// Makes a revision from whatever is the latest one by the time it is made. `next` gives `None` if nothing is to change.
    pub async fn update(
        &self,
        change: &Change,
        mut next: impl FnMut(Option<&Revision<T>>) -> Result<Option<T>, RegistryError>,
    ) -> Result<Option<Revision<T>>, RegistryError> {
        let mut latest = self.latest().await?;
        for _ in 0..UPDATES_MAX {
            let Some(body) = next(latest.as_ref())? else { return Ok(latest) };
            let previous = latest.as_ref().map_or(0, |revision| revision.revision);
            match self.append(previous, change, body).await {
                Err(RegistryError::Conflict { .. }) => latest = self.latest().await?,
                outcome => return outcome.map(Some),
            }
        }
        Err(RegistryError::Crowded { what: self.what.clone() })
    }

    fn path(&self, number: u64) -> Path {
        self.folder.clone().join(format!("{number:010}.json"))
    }
}

/// What all revisions have, whatever their body.
#[derive(Deserialize)]
struct Envelope {
    revision: u64,
    by: String,
    at: Moment,
    why: String,
}

/// The number in the name of a revision's object.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let is_number = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

fn parse<T: DeserializeOwned>(path: &Path, number: u64, bytes: &Bytes) -> Result<Revision<T>, RegistryError> {
    let revision: Revision<T> = parse_as(path, bytes)?;
    if revision.revision != number {
        return Err(damaged(path, format!("it says that it is revision {}", revision.revision)));
    }
    Ok(revision)
}

pub(super) fn parse_as<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, RegistryError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(path, error.to_string()))
}

/// How everything is stored: JSON that people can read.
pub(super) fn bytes_of(value: &impl Serialize) -> Result<Bytes, RegistryError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| RegistryError::Invalid(error.to_string()))?;
    text.push(b'\n');
    Ok(text.into())
}

pub(super) fn damaged(path: &Path, reason: String) -> RegistryError {
    RegistryError::Damaged { path: path.to_string(), reason }
}
