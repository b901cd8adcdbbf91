//! Bytes that nobody needs any more, and how they are told from those that somebody is about to need.
//!
//! Versions share files by digest, so that a collector may find a blob unused at the very moment when a writer relies on it. Both
//! therefore announce themselves before they look: a writer puts `uploads/<nonce>.json` with its digests and then waits until no
//! collection is going on; a collector puts `collections/<nonce>.json` and then spares what is announced. Each looks after it has
//! announced, so at least one of them sees the other, and both make way.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::limits::Patience;
use super::models::Models;
use super::revision::{bytes_of, parse_as};
use super::store::Store;
use super::{Digest, Nonce, RegistryError, StoreLimits};
use crate::moment::Moment;

/// An announced upload counts for so long; then its writer is taken for dead, and would have to begin again.
pub(super) const UPLOAD_VALID: Duration = Duration::from_secs(24 * 3600);

/// A collection whose mark is older is taken for dead. A live one renews its mark before, and looks for it before each removal.
const COLLECTION_VALID: Duration = Duration::from_secs(60);
const COLLECTION_RENEWED: Duration = Duration::from_secs(15);

/// How long a writer waits for collections to end: longer than a dead one can count as alive.
const COLLECTION_WAIT: Duration = Duration::from_secs(150);

/// What a writer relies on, before any version names it.
#[derive(Debug, Serialize, Deserialize)]
struct Announcement {
    by: String,
    digests: Vec<Digest>,
}

/// An upload that collectors know of.
#[derive(Debug)]
pub(super) struct AnnouncedUpload {
    path: Path,
}

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    pub blobs: u64,
    pub bytes: u64,
}

impl AnnouncedUpload {
    /// Announces an upload, and waits until no collection can have overlooked it.
    pub async fn begin(store: &Store, by: &str, digests: Vec<Digest>) -> Result<AnnouncedUpload, RegistryError> {
        let nonce = Nonce::generate().map_err(RegistryError::Random)?;
        let path = store.path(["uploads", &format!("{}.json", nonce.as_str())]);
        let bytes = bytes_of(&Announcement { by: by.to_owned(), digests })?;
        store.overwrite(&path, bytes.clone()).await?;
        let upload = AnnouncedUpload { path };
        match upload.wait_for_collections(store, &bytes).await {
            Ok(()) => Ok(upload),
            Err(error) => {
                upload.end(store).await;
                Err(error)
            }
        }
    }

    async fn wait_for_collections(&self, store: &Store, announcement: &Bytes) -> Result<(), RegistryError> {
        let folder = store.path(["collections"]);
        let limits = StoreLimits { total: COLLECTION_WAIT, ..store.limits() };
        let mut patience = Patience::new(limits);
        loop {
            let marks = store.list(&folder).await?.objects;
            if marks.is_empty() {
                return Ok(());
            }
            // What the store's own clock says now, which the marks were dated by.
            store.overwrite(&self.path, announcement.clone()).await?;
            let now = store.entry(&self.path).await?.map_or_else(Moment::default, |entry| entry.modified);
            for mark in marks.iter().filter(|mark| now.since(mark.modified) > COLLECTION_VALID) {
                store.delete(&folder.clone().join(mark.name.as_str())).await?;
            }
            if !patience.pause().await {
                let what = "the registry's files: old ones are being collected".to_owned();
                return Err(RegistryError::Crowded { what });
            }
        }
    }

    /// The upload is over, one way or the other. A note that stays behind does no harm but keep its blobs for a day.
    pub async fn end(&self, store: &Store) {
        if let Err(error) = store.delete(&self.path).await {
            tracing::debug!(%error, "the announcement of an upload stays behind");
        }
    }
}

/// Removes the blobs that no version needs and nobody has announced.
pub(super) async fn collect(models: &Models) -> Result<Collected, RegistryError> {
    let store = models.store();
    let nonce = Nonce::generate().map_err(RegistryError::Random)?;
    let mark = store.path(["collections", &format!("{}.json", nonce.as_str())]);
    store.overwrite(&mark, bytes_of(&nonce)?).await?;
    let outcome = collect_under(models, &mark).await;
    store.delete(&mark).await?;
    models.registry().sweep(SystemTime::now()).await?;
    outcome
}

async fn collect_under(models: &Models, mark: &Path) -> Result<Collected, RegistryError> {
    let store = models.store();
    let Some(begun) = store.entry(mark).await?.map(|entry| entry.modified) else { return Ok(Collected::default()) };
    let mut needed = announced(store, begun).await?;
    needed.extend(models.needed_digests().await?);

    let mut collected = Collected::default();
    let mut renewed = tokio::time::Instant::now();
    for blob in store.list(&store.blob_folder()).await?.objects {
        let Ok(digest) = blob.name.parse::<Digest>() else { continue };
        if needed.contains(&digest) {
            continue;
        }
        // Whoever took us for dead has removed the mark, and may rely on anything now.
        if store.entry(mark).await?.is_none() {
            break;
        }
        if renewed.elapsed() > COLLECTION_RENEWED {
            store.overwrite(mark, bytes_of(&begun)?).await?;
            renewed = tokio::time::Instant::now();
        }
        store.delete(&store.blob_path(&digest)).await?;
        collected.blobs += 1;
        collected.bytes += blob.bytes;
    }
    Ok(collected)
}

/// The digests of uploads that may be going on. Those whose writers are dead are forgotten.
async fn announced(store: &Store, now: Moment) -> Result<HashSet<Digest>, RegistryError> {
    let folder = store.path(["uploads"]);
    let mut digests = HashSet::new();
    for object in store.list(&folder).await?.objects {
        let path = folder.clone().join(object.name.as_str());
        if now.since(object.modified) > UPLOAD_VALID {
            store.delete(&path).await?;
        } else if let Some(bytes) = store.read(&path).await? {
            let announcement: Announcement = parse_as(&path, &bytes)?;
            digests.extend(announcement.digests);
        }
    }
    Ok(digests)
}
