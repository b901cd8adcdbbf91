//! The cache of models on a replica's disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use scoria::registry::store::Store;
use scoria::registry::{Access, Cache, ModelRef, Presence, Registry, RegistryError, RegistryUrl, StoreLimits};

use crate::faulty::{Fault, Faulty};
use crate::places::{LIMITS, change, disk, memory, run};
use crate::racing::{draft, files};
use crate::support::Folder;

const NO_BOUND: u64 = u64::MAX;

fn url() -> RegistryUrl {
    "s3://models".parse().unwrap()
}

async fn published(registry: &Registry, folder: &Path, count: u8) -> Vec<ModelRef> {
    let mut models = Vec::new();
    for version in 1..=count {
        let bytes = [version; 1000];
        let files = files(folder, &format!("{version}"), &[("model.onnx", &bytes), ("w/weights.bin", b"w")]);
        let manifest = registry.models().publish(draft("ridge", &files), &change("me"), &|_| ()).await.unwrap();
        models.push(manifest.model_ref());
    }
    models
}

fn held(cache: &Path) -> Vec<PathBuf> {
    let mut held: Vec<PathBuf> =
        std::fs::read_dir(cache.join("models")).unwrap().map(|entry| entry.unwrap().path()).collect();
    held.sort();
    held
}

/// A registry that is away.
fn away() -> Registry {
    let limits = StoreLimits { total: Duration::from_millis(20), ..LIMITS };
    let backend = Faulty::new(Arc::new(InMemory::new()), |_, _| Fault::Refused);
    Registry::over(Store::new(backend, ObjectPath::ROOT, None, limits))
}

#[test]
fn what_was_fetched_once_needs_no_store() {
    run(async {
        let folder = Folder::new();
        let place = memory();
        let model = &published(&place.open(), folder.path(), 1).await[0];
        let cache = Cache::open(&folder.path().join("cache"), NO_BOUND).unwrap();
        let error = cache.load(&away(), &url(), model, &|_| ()).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unavailable { .. }), "{error}");

        let path = cache.load(&place.open(), &url(), model, &|_| ()).await.unwrap().path;
        assert_eq!(std::fs::read(&path).unwrap(), [1; 1000]);
        assert_eq!(std::fs::read(path.parent().unwrap().join("w/weights.bin")).unwrap(), b"w");
        let fetched = |bytes| panic!("{bytes} bytes were fetched again");
        assert_eq!(cache.load(&away(), &url(), model, &fetched).await.unwrap().path, path);
        // Another registry of the same models is another one.
        let other = "s3://others".parse().unwrap();
        assert!(cache.load(&away(), &other, model, &fetched).await.is_err());
    });
}

#[test]
fn damage_on_the_disk_is_noticed_and_mended() {
    run(async {
        let folder = Folder::new();
        let place = disk();
        let model = &published(&place.open(), folder.path(), 1).await[0];
        let cache = Cache::open(&folder.path().join("cache"), NO_BOUND).unwrap();
        let path = cache.load(&place.open(), &url(), model, &|_| ()).await.unwrap().path;
        let harms: [fn(&Path); 3] = [
            |path| std::fs::write(path, [9; 1000]).unwrap(),
            |path| std::fs::write(path, []).unwrap(),
            |path| std::fs::remove_file(path).unwrap(),
        ];
        for harm in harms {
            harm(&path);
            let mended = cache.load(&place.open(), &url(), model, &|_| ()).await.unwrap();
            assert_eq!(std::fs::read(mended.path).unwrap(), [1; 1000]);
        }
    });
}

#[test]
fn damage_in_the_store_is_refused() {
    run(async {
        let folder = Folder::new();
        let store = Folder::new();
        let access = Access::to_folder(LIMITS, Presence::Expect);
        let registry = Registry::open(&RegistryUrl::folder(store.path()), &access).unwrap();
        let model = &published(&registry, folder.path(), 1).await[0];
        let found = registry.models().usable(model).await.unwrap();
        let blob = store.path().join("blobs/sha256").join(found.manifest.content.files[0].sha256.as_str());
        let cache = Cache::open(&folder.path().join("cache"), NO_BOUND).unwrap();
        for damaged in [vec![9; 1000], vec![1; 999]] {
            std::fs::write(&blob, damaged).unwrap();
            let error = cache.load(&registry, &url(), model, &|_| ()).await.unwrap_err();
            assert!(matches!(&error, RegistryError::Damaged { .. }), "{error}");
            assert!(held(&folder.path().join("cache")).is_empty());
            let error = registry.models().download(&found, &folder.path().join("down"), &|_| ()).await.unwrap_err();
            assert!(matches!(&error, RegistryError::Damaged { .. }), "{error}");
            assert!(!folder.path().join("down").exists());
        }
    });
}

#[test]
fn it_keeps_to_its_bound_and_to_what_is_in_use() {
    run(async {
        let folder = Folder::new();
        let place = memory();
        let models = published(&place.open(), folder.path(), 4).await;
        let root = folder.path().join("cache");
        // Room for two.
        let cache = Cache::open(&root, 2_100).unwrap();
        let first = cache.load(&place.open(), &url(), &models[0], &|_| ()).await.unwrap();
        for model in &models[1..] {
            cache.load(&place.open(), &url(), model, &|_| ()).await.unwrap();
            assert!(first.path.is_file(), "what is in use stays");
            assert!(held(&root).len() <= 2, "{:?}", held(&root));
        }
        let path = first.path.clone();
        drop(first);
        cache.load(&place.open(), &url(), &models[1], &|_| ()).await.unwrap();
        assert!(!path.exists(), "what is not in use makes room, the longest unused first");
    });
}

#[test]
fn what_killed_processes_have_left_is_removed() {
    run(async {
        let folder = Folder::new();
        let place = memory();
        let model = &published(&place.open(), folder.path(), 1).await[0];
        let root = folder.path().join("cache");
        let cache = Cache::open(&root, NO_BOUND).unwrap();
        let left = root.join("partial/0123456789abcdef0123456789abcdef");
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("model.onnx"), b"half").unwrap();
        std::fs::write(left.with_extension("lock"), b"").unwrap();
        cache.load(&place.open(), &url(), model, &|_| ()).await.unwrap();
        assert_eq!(std::fs::read_dir(root.join("partial")).unwrap().count(), 0);
    });
}

#[test]
fn many_who_fetch_one_model_all_get_it() {
    run(async {
        let folder = Folder::new();
        let place = memory();
        let model = published(&place.open(), folder.path(), 1).await.remove(0);
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (registry, model) = (place.open(), model.clone());
            let cache = Cache::open(&folder.path().join("cache"), NO_BOUND).unwrap();
            replicas.spawn(async move {
                let loaded = cache.load(&registry, &url(), &model, &|_| ()).await.unwrap();
                std::fs::read(&loaded.path).unwrap()
            });
        }
        assert!(replicas.join_all().await.iter().all(|bytes| *bytes == [1; 1000]));
    });
}

#[test]
fn what_is_remembered_of_a_registry_comes_back() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), NO_BOUND).unwrap();
    assert_eq!(cache.kept::<Vec<u8>>(&url(), "endpoints/shop").unwrap(), None);
    cache.keep(&url(), "endpoints/shop", &vec![1, 2]).unwrap();
    cache.keep(&url(), "endpoints/shop", &vec![3]).unwrap();
    assert_eq!(cache.kept::<Vec<u8>>(&url(), "endpoints/shop").unwrap(), Some(vec![3]));
    assert!(cache.keep(&url(), "../x", &1).is_err());
}

#[test]
fn half_of_what_was_to_be_remembered_goes_after_a_day() {
    let folder = Folder::new();
    let open = || Cache::open(folder.path(), NO_BOUND).unwrap();
    open().keep(&url(), "endpoints", &7).unwrap();
    let kept = std::fs::read_dir(folder.path().join("kept")).unwrap().next().unwrap().unwrap().path();
    let write = |name: &str, hours: u64| {
        std::fs::write(kept.join(name), b"half").unwrap();
        let modified = SystemTime::now() - Duration::from_secs(3_600 * hours);
        std::fs::File::options().write(true).open(kept.join(name)).unwrap().set_modified(modified).unwrap();
    };
    write("endpoints.0123456789abcdef", 25);
    write("endpoints.fedcba9876543210", 1);
    assert_eq!(open().kept::<u64>(&url(), "endpoints").unwrap(), Some(7));
    assert!(!kept.join("endpoints.0123456789abcdef").exists() && kept.join("endpoints.fedcba9876543210").exists());
}
