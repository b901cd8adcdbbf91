//! Deleting versions, and collecting what nobody needs.

use scoria::error::ErrorKind;
use scoria::registry::{DeploymentSpec, EndpointSpec, ModelRef, RegistryError};

use crate::places::{all, change, disk, memory, name, run};
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
