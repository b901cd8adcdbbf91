//! Single faults at the worst moment.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use scoria::error::ErrorKind;
use scoria::registry::store::Store;
use scoria::registry::{EndpointSpec, Registry, RegistryError, StoreLimits};

use crate::faulty::{Fault, Faulty, Operation};
use crate::places::{LIMITS, change, name, run};
use crate::support::Folder;

/// Puts fail in this way; the rest works.
fn every_put(fault: Fault) -> impl Fn(u64, Operation) -> Fault + Send + Sync {
    move |_, operation| if operation == Operation::Put { fault } else { Fault::None }
}

/// The first put fails in this way.
fn first_put(fault: Fault) -> impl Fn(u64, Operation) -> Fault + Send + Sync {
    move |count, operation| if count == 0 && operation == Operation::Put { fault } else { Fault::None }
}

fn registry(backend: Arc<dyn ObjectStore>, limits: StoreLimits) -> Registry {
    Registry::over(Store::new(backend, Path::ROOT, None, limits))
}

fn disk(folder: &Folder) -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap().with_fsync(true))
}

fn on_disk(folder: &Folder, plan: impl Fn(u64, Operation) -> Fault + Send + Sync + 'static) -> Registry {
    let root = folder.path().canonicalize().unwrap();
    Registry::over(Store::new(Faulty::new(disk(folder), plan), Path::ROOT, Some(root), LIMITS))
}

#[test]
fn a_write_whose_answer_was_lost_is_no_conflict() {
    run(async {
        for fault in [Fault::AnswerLost, Fault::InProgress, Fault::Refused] {
            let backend = Faulty::new(Arc::new(InMemory::new()), first_put(fault));
            let log = registry(backend, LIMITS).endpoint(&name("e"));
            assert_eq!(log.append(0, &change("me"), EndpointSpec::default()).await.unwrap().revision, 1, "{fault:?}");
            assert_eq!(log.history(9).await.unwrap().len(), 1, "{fault:?}");
        }
    });
}

#[test]
fn a_store_that_stays_away_is_said_to_be_and_its_writes_unconfirmed() {
    let short = StoreLimits { total: std::time::Duration::from_millis(100), ..LIMITS };
    run(async {
        let away = Faulty::new(Arc::new(InMemory::new()), |_, _| Fault::Refused);
        let log = registry(away, short).endpoint(&name("e"));
        let error = log.latest().await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Unavailable { .. }) && error.kind() == ErrorKind::Unavailable,
            "{error}"
        );
        let error = log.append(0, &change("me"), EndpointSpec::default()).await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Unconfirmed { .. }) && error.kind() == ErrorKind::Unavailable,
            "{error}"
        );
    });
}

#[test]
fn a_full_disk_refuses_and_changes_nothing() {
    run(async {
        let folder = Folder::new();
        let log = on_disk(&folder, every_put(Fault::DiskFull)).endpoint(&name("e"));
        let error = log.append(0, &change("me"), EndpointSpec::default()).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Refused { reason, .. } if reason.contains("No space left")), "{error}");
        assert_eq!(log.latest_number().await.unwrap(), 0);
    });
}

#[test]
fn a_disk_that_failed_after_the_write_has_promised_nothing() {
    run(async {
        let folder = Folder::new();
        let log = on_disk(&folder, every_put(Fault::AnswerLost)).endpoint(&name("e"));
        let error = log.append(0, &change("me"), EndpointSpec::default()).await.unwrap_err();
        assert!(matches!(&error, RegistryError::Unconfirmed { .. }), "{error}");
        // It is there, whole: the next writer builds upon it.
        let next = on_disk(&folder, |_, _| Fault::None).endpoint(&name("e"));
        assert_eq!(next.append(1, &change("other"), EndpointSpec::default()).await.unwrap().revision, 2);
    });
}
