//! Deleting versions, and collecting what nobody needs.

use std::time::{Duration, SystemTime};

use scoria::error::ErrorKind;
use scoria::registry::{
    Access, DeploymentSpec, EndpointSpec, ModelRef, Presence, Registry, RegistryError, RegistryUrl,
};

use crate::places::{LIMITS, all, change, disk, memory, name, run};
use crate::racing::{draft, files};
use crate::support::Folder;

fn uses(version: Option<u64>, deleted: bool) -> EndpointSpec {
    let deployments = version.map(|version| {
        let model = ModelRef { name: name("ridge"), version };
        (name("blue"), DeploymentSpec::of(model))
    });
    EndpointSpec { deployments: deployments.into_iter().collect(), deleted, ..EndpointSpec::default() }
}

#[test]
fn a_version_in_use_or_within_reach_of_a_rollback_is_not_deleted() {
    run(async {
        let folder = Folder::new();
        for (index, place) in all().into_iter().enumerate() {
            let registry = place.open();
            let models = registry.models();
            for version in 1..=3u8 {
                let files = files(folder.path(), &format!("{index}-{version}"), &[("model.onnx", &[version])]);
                models.publish(draft("ridge", &files), &change("me"), &|_| ()).await.unwrap();
            }
            let endpoint = registry.endpoint(&name("shop"));
            endpoint.append(0, &change("me"), uses(Some(1), false)).await.unwrap();
            endpoint.append(1, &change("me"), uses(Some(2), false)).await.unwrap();

            let model = |version| ModelRef { name: name("ridge"), version };
            for version in [1, 2] {
                let error = models.delete(&model(version), &change("me")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Precondition, "{}: {error}", place.name);
                assert!(error.to_string().contains("endpoint shop"), "{error}");
                assert!(models.usable(&model(version)).await.is_ok(), "{}", place.name);
            }
            models.delete(&model(3), &change("me")).await.unwrap();
            assert!(matches!(models.usable(&model(3)).await.unwrap_err(), RegistryError::Deleted { .. }));
            assert_eq!(models.delete(&model(3), &change("me")).await.unwrap_err().kind(), ErrorKind::NotFound);

            // Its number is not used again.
            let again = files(folder.path(), &format!("{index}-again"), &[("model.onnx", b"again")]);
            assert_eq!(models.publish(draft("ridge", &again), &change("me"), &|_| ()).await.unwrap().version, 4);

            // An endpoint that is gone holds on to nothing.
            endpoint.append(2, &change("me"), uses(None, true)).await.unwrap();
            models.delete(&model(1), &change("me")).await.unwrap();
        }
    });
}

#[test]
fn bytes_go_when_the_last_version_that_has_them_goes() {
    run(async {
        let folder = Folder::new();
        for (index, place) in [memory(), disk()].into_iter().enumerate() {
            let models = place.open().models();
            for version in 1..=2u8 {
                let files = files(
                    folder.path(),
                    &format!("{index}-{version}"),
                    &[("model.onnx", &[version]), ("shared.bin", b"shared")],
                );
                models.publish(draft("ridge", &files), &change("me"), &|_| ()).await.unwrap();
            }
            let model = |version| ModelRef { name: name("ridge"), version };
            let collected = models.delete(&model(1), &change("me")).await.unwrap();
            assert_eq!((collected.blobs, collected.bytes), (1, 1), "{}", place.name);
            let left = models.find(&model(2)).await.unwrap().unwrap();
            models.download(&left, &folder.path().join(format!("left-{index}")), &|_| ()).await.unwrap();
            let collected = models.delete(&model(2), &change("me")).await.unwrap();
            assert_eq!((collected.blobs, collected.bytes), (2, 7), "{}", place.name);
        }
    });
}

/// Writers publish the same bytes over and over, while others delete the versions that have them.
#[test]
fn collectors_never_take_what_a_writer_comes_to_rely_on() {
    const ROUNDS: usize = 12;
    run(async {
        let folder = Folder::new();
        let folder = &folder;
        for (index, place) in [memory(), disk()].into_iter().enumerate() {
            let place = &place;
            let mut work = tokio::task::JoinSet::new();
            for writer in 0..4 {
                let models = place.open().models();
                let files =
                    files(folder.path(), &format!("{index}-{writer}"), &[("model.onnx", b"the same everywhere")]);
                let to = folder.path().join(format!("{index}-{writer}-down"));
                work.spawn(async move {
                    let own = format!("writer-{writer}");
                    for round in 0..ROUNDS {
                        let manifest =
                            models.publish(draft(&own, &files), &change(own.clone()), &|_| ()).await.unwrap();
                        let version = models.usable(&manifest.model_ref()).await.unwrap();
                        models.download(&version, &to.join(format!("{round}")), &|_| ()).await.unwrap();
                        models.delete(&manifest.model_ref(), &change(own.clone())).await.unwrap();
                    }
                });
            }
            work.join_all().await;
        }
    });
}

/// As a killed writer leaves them, wherever it was at work.
#[test]
fn what_killed_writers_left_goes_after_a_day_and_nothing_else_does() {
    run(async {
        let folder = Folder::new();
        let url = RegistryUrl::folder(folder.path());
        let registry = Registry::open(&url, &Access::to_folder(LIMITS, Presence::Expect)).unwrap();
        let files = files(folder.path(), "m", &[("model.onnx", b"1")]);
        registry.models().publish(draft("ridge", &files), &change("me"), &|_| ()).await.unwrap();
        registry.endpoint(&name("house")).append(0, &change("me"), uses(Some(1), false)).await.unwrap();
        registry.put_status(&name("house"), &name("r1"), "{}".into()).await.unwrap();

        let now = SystemTime::now();
        let write = |path: &str, hours: u64| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, b"half").unwrap();
            let modified = now - Duration::from_secs(3_600 * hours);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            path
        };
        let left = [
            "endpoints/house/0000000002.json#1",
            "endpoints/house/keys/0000000001.json#12",
            "models/ridge/2/manifest.json#1",
            "models/ridge/1/meta/0000000001.json#1",
            "status/house/r1.json#3",
            "uploads/nonce.json#1",
            "blobs/sha256/00ff#1",
        ]
        .map(|path| write(path, 25));
        let stays = [
            write("endpoints/house/0000000003.json#1", 23),
            write("status/house/r2.json", 1_000),
            write("models/ridge/1/notes.txt#draft", 1_000),
            write("elsewhere/0000000001.json#1", 1_000),
        ];
        assert_eq!(registry.sweep(now).await.unwrap(), left.len());
        assert_eq!(registry.sweep(now).await.unwrap(), 0);
        assert!(left.iter().all(|path| !path.exists()) && stays.iter().all(|path| path.exists()));
        assert_eq!(registry.endpoint(&name("house")).latest_number().await.unwrap(), 1);
        assert!(registry.models().find(&ModelRef { name: name("ridge"), version: 1 }).await.unwrap().is_some());
    });
}
