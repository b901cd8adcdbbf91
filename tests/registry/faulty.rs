//! A store that fails as networks and disks do: before it has done something, after it, or never to be heard of again.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing is done, and an error is told.
    Refused,
    /// It is done, and an error is told all the same.
    AnswerLost,
    /// It is done, and nothing is told ever.
    Silence,
    /// Nothing is done, and another writer is said to have been faster, as S3 does while somebody may yet be.
    InProgress,
    /// Nothing is done, for want of space.
    DiskFull,
}

/// Which fault the operation of this number has.
pub type Plan = dyn Fn(u64, Operation) -> Fault + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    Get,
    List,
}

pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    plan: Box<Plan>,
    count: AtomicU64,
}

impl Faulty {
    pub fn new(
        inner: Arc<dyn ObjectStore>,
        plan: impl Fn(u64, Operation) -> Fault + Send + Sync + 'static,
    ) -> Arc<Faulty> {
        Arc::new(Faulty { inner, plan: Box::new(plan), count: AtomicU64::new(0) })
    }

    /// Each operation fails in one of the ways that pass, with this chance in a hundred.
    pub fn at_random(inner: Arc<dyn ObjectStore>, seed: u64, percent: u64) -> Arc<Faulty> {
        Faulty::new(inner, move |count, operation| {
            let drawn = mixed(seed ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            if drawn % 100 >= percent {
                return Fault::None;
            }
            match (operation, drawn / 100 % 8) {
                (_, 0..=2) => Fault::Refused,
                (Operation::Put, 3..=5) => Fault::AnswerLost,
                (Operation::Put, 6) => Fault::InProgress,
                (_, 7) => Fault::Silence,
                _ => Fault::Refused,
            }
        })
    }

    fn fault(&self, operation: Operation) -> Fault {
        (self.plan)(self.count.fetch_add(1, Ordering::Relaxed), operation)
    }
}

/// A number that looks random (splitmix64).
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: "503 Slow Down".into() }
}

fn full() -> Error {
    Error::Generic { store: "faulty", source: Box::new(std::io::Error::from_raw_os_error(28)) }
}

/// What becomes of an operation that `work` would do.
async fn under<T>(fault: Fault, path: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
    match fault {
        Fault::None => work.await,
        Fault::Refused => Err(failed()),
        Fault::AnswerLost => work.await.and_then(|_| Err(failed())),
        Fault::Silence => {
            let _ = work.await;
            std::future::pending().await
        }
        Fault::InProgress => Err(Error::AlreadyExists { path: path.to_string(), source: "409 Conflict".into() }),
        Fault::DiskFull => Err(full()),
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.inner)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        under(self.fault(Operation::Put), path, self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        under(self.fault(Operation::Get), path, self.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        under(self.fault(Operation::Get), path, self.inner.get_opts(path, options)).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        under(self.fault(Operation::Get), path, self.inner.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        under(self.fault(Operation::List), &path, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
