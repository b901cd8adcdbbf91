//! Files of models, kept under their digests: uploaded once, in pieces, and verified on the way in and out.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::store::Store;
use super::{Digest, Hasher, Registry, RegistryError, StoredFile};

/// What is read, sent and held at a time. Stores want pieces of at least 5 MiB.
const PIECE_BYTES: u64 = 8 << 20;

/// Pieces in flight.
const PIECES_MAX: usize = 4;

/// How often the upload of one file is begun.
const UPLOADS_MAX: usize = 3;

/// Told of bytes as they move.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;

/// A file on this machine that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    pub path: PathBuf,
    pub stored: StoredFile,
}

impl Registry {
    /// The bytes of a small file, such as a sample or a golden request; verified.
    pub async fn read_file(&self, file: &StoredFile) -> Result<Bytes, RegistryError> {
        let path = self.store().blob_path(&file.sha256);
        let damaged = |reason: &str| RegistryError::Damaged { path: path.to_string(), reason: reason.to_owned() };
        let bytes = self.store().read(&path).await?.ok_or_else(|| damaged("it is not there"))?;
        if Digest::of(&bytes) == file.sha256 { Ok(bytes) } else { Err(damaged("its bytes have another digest")) }
    }
}

impl Store {
    pub(super) fn blob_folder(&self) -> ObjectPath {
        self.path(["blobs", "sha256"])
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> ObjectPath {
        self.blob_folder().join(digest.as_str())
    }

    /// Whether the bytes of a file are there.
    pub(super) async fn has_blob(&self, file: &StoredFile) -> Result<bool, RegistryError> {
        let entry = self.entry(&self.blob_path(&file.sha256)).await?;
        Ok(entry.is_some_and(|entry| entry.bytes == file.bytes))
    }

    /// Uploads a file, unless its bytes are there already.
    pub(super) async fn put_blob(&self, file: &LocalFile, progress: &Progress<'_>) -> Result<(), RegistryError> {
        let path = self.blob_path(&file.stored.sha256);
        if self.has_blob(&file.stored).await? {
            progress(file.stored.bytes);
            // Whoever put it there may have been killed before its disk had promised to keep it.
            return self.settle(&path).await;
        }
        if file.stored.bytes <= PIECE_BYTES {
            let bytes = whole(file).await?;
            self.overwrite(&path, bytes).await?;
            progress(file.stored.bytes);
            return Ok(());
        }
        let mut attempt = 1;
        loop {
            match self.put_large(file, &path, progress).await {
                Err(RegistryError::Unavailable { .. }) if attempt < UPLOADS_MAX => attempt += 1,
                outcome => break outcome?,
            }
        }
        self.settle(&path).await
    }

    async fn put_large(
        &self,
        file: &LocalFile,
        path: &ObjectPath,
        progress: &Progress<'_>,
    ) -> Result<(), RegistryError> {
        let mut upload = self.persist("write", path, || self.backend().put_multipart(path)).await?;
        let outcome = match send(upload.as_mut(), file, progress).await {
            Ok(()) => upload.complete().await.map(drop).map_err(Sending::Store),
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { return Ok(()) };
        // What cannot be taken back now is the store's to tidy up: nobody can see it.
        drop(upload.abort().await);
        Err(match error {
            Sending::File(error) => error,
            Sending::Store(error) if self.disk().is_some() => {
                RegistryError::Refused { action: "write", path: path.to_string(), reason: error.to_string() }
            }
            Sending::Store(error) => {
                let (limit_ms, reason) = (self.limits().total.as_millis(), error.to_string());
                RegistryError::Unavailable { action: "write", path: path.to_string(), limit_ms, reason }
            }
        })
    }

    /// Writes a blob to a new file, verified and synced. A file that could not be completed is removed.
    pub async fn fetch_blob(&self, file: &StoredFile, to: &Path, progress: &Progress<'_>) -> Result<(), RegistryError> {
        let outcome = self.fetch_into(file, to, progress).await;
        if outcome.is_err() {
            drop(fs::remove_file(to));
        }
        outcome
    }

    async fn fetch_into(&self, file: &StoredFile, to: &Path, progress: &Progress<'_>) -> Result<(), RegistryError> {
        let path = self.blob_path(&file.sha256);
        let not_written = |source| RegistryError::File { path: to.to_owned(), source };
        let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(not_written)?;
        let mut hasher = Hasher::default();
        let mut starts = (0..file.bytes).step_by(PIECE_BYTES as usize);
        // Asked for ahead, taken in order.
        let mut coming = VecDeque::new();
        loop {
            while coming.len() < PIECES_MAX
                && let Some(start) = starts.next()
            {
                let end = file.bytes.min(start + PIECE_BYTES);
                coming.push_back(Coming::ask(self, &path, start..end));
            }
            let Some(next) = coming.pop_front() else { break };
            let piece = next.take(file.bytes).await?;
            hasher.update(&piece);
            progress(piece.len() as u64);
            target = blocking(move || target.write_all(&piece).map(|()| target)).await.map_err(not_written)?;
        }
        let found = hasher.finish();
        if found != file.sha256 {
            return Err(RegistryError::Damaged { path: path.to_string(), reason: format!("its SHA-256 is {found}") });
        }
        blocking(move || target.sync_all()).await.map_err(not_written)
    }
}

/// A piece of a blob that has been asked for. Nobody waits for it any more once this is dropped.
struct Coming {
    path: ObjectPath,
    range: Range<u64>,
    asked: JoinSet<Result<Bytes, RegistryError>>,
}

impl Coming {
    fn ask(store: &Store, path: &ObjectPath, range: Range<u64>) -> Coming {
        let mut asked = JoinSet::new();
        let (own, at, piece) = (store.clone(), path.clone(), range.clone());
        asked.spawn(async move { own.persist("read", &at, || own.backend().get_range(&at, piece.clone())).await });
        Coming { path: path.clone(), range, asked }
    }

    async fn take(mut self, file_bytes: u64) -> Result<Bytes, RegistryError> {
        let damaged = |reason| RegistryError::Damaged { path: self.path.to_string(), reason };
        let piece = match self.asked.join_next().await {
            Some(Ok(piece)) => piece?,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => Bytes::new(),
        };
        let got = self.range.start + piece.len() as u64;
        if got != self.range.end {
            return Err(damaged(format!("it ends after {got} bytes instead of {file_bytes}")));
        }
        Ok(piece)
    }
}

/// Why a file was not sent whole.
enum Sending {
    File(RegistryError),
    Store(object_store::Error),
}

/// Sends a file in pieces, some of them at the same time.
async fn send(upload: &mut dyn MultipartUpload, file: &LocalFile, progress: &Progress<'_>) -> Result<(), Sending> {
    let mut source = PieceReader::open(file).map_err(Sending::File)?;
    let mut sending = JoinSet::new();
    loop {
        let (piece, reader) = source.next().await.map_err(Sending::File)?;
        source = reader;
        let Some(piece) = piece else { break };
        if sending.len() >= PIECES_MAX {
            sent(&mut sending, progress).await?;
        }
        let bytes = piece.len() as u64;
        let part = upload.put_part(PutPayload::from(piece));
        sending.spawn(async move { part.await.map(|()| bytes) });
    }
    while !sending.is_empty() {
        sent(&mut sending, progress).await?;
    }
    source.check(file).map_err(Sending::File)
}

async fn sent(sending: &mut JoinSet<object_store::Result<u64>>, progress: &Progress<'_>) -> Result<(), Sending> {
    match sending.join_next().await {
        Some(Ok(Ok(bytes))) => progress(bytes),
        Some(Ok(Err(error))) => return Err(Sending::Store(error)),
        Some(Err(error)) => return Err(Sending::Store(error.into())),
        None => {}
    }
    Ok(())
}

/// Reads a file piece by piece, and sees whether it is the file that was announced.
struct PieceReader {
    source: File,
    path: PathBuf,
    hasher: Hasher,
    bytes: u64,
}

impl PieceReader {
    fn open(file: &LocalFile) -> Result<PieceReader, RegistryError> {
        let source = File::open(&file.path).map_err(not_read(&file.path))?;
        Ok(PieceReader { source, path: file.path.clone(), hasher: Hasher::default(), bytes: 0 })
    }

    async fn next(self) -> Result<(Option<Bytes>, PieceReader), RegistryError> {
        let path = self.path.clone();
        let read = blocking(move || {
            let PieceReader { mut source, path, mut hasher, bytes } = self;
            let mut piece = Vec::with_capacity(PIECE_BYTES as usize);
            let read = (&mut source).take(PIECE_BYTES).read_to_end(&mut piece)? as u64;
            hasher.update(&piece);
            Ok((Bytes::from(piece), PieceReader { source, path, hasher, bytes: bytes + read }))
        });
        let (piece, reader) = read.await.map_err(not_read(&path))?;
        Ok((Some(piece).filter(|piece| !piece.is_empty()), reader))
    }

    fn check(self, file: &LocalFile) -> Result<(), RegistryError> {
        if self.bytes == file.stored.bytes && self.hasher.finish() == file.stored.sha256 {
            Ok(())
        } else {
            Err(RegistryError::Invalid(format!(
                "{} has changed while it was being registered; register it again",
                self.path.display()
            )))
        }
    }
}

/// A file of one piece.
async fn whole(file: &LocalFile) -> Result<Bytes, RegistryError> {
    let (piece, mut reader) = PieceReader::open(file)?.next().await?;
    // A file that has grown has more than the piece.
    if reader.bytes == file.stored.bytes {
        reader.bytes += reader.source.read(&mut [0]).map_err(not_read(&file.path))? as u64;
    }
    reader.check(file)?;
    Ok(piece.unwrap_or_default())
}

fn not_read(path: &Path) -> impl FnOnce(io::Error) -> RegistryError + use<> {
    let path = path.to_owned();
    move |source| RegistryError::File { path, source }
}

/// Runs what waits for a disk where waiting harms nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
