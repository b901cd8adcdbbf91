//! What holds over every store.

use bytes::Bytes;
use scoria::error::ErrorKind;
use scoria::registry::{
    Archived, DeploymentSpec, EndpointSpec, ModelQuery, ModelRef, Only, Pair, Registry, RegistryError,
};

use crate::places::{all, change, name, run};
use crate::racing::{draft, files};
use crate::support::Folder;

fn spec(version: u64) -> EndpointSpec {
    let model = ModelRef { name: name("ridge"), version };
    let deployment = DeploymentSpec::of(model);
    EndpointSpec { deployments: [(name("blue"), deployment)].into(), ..EndpointSpec::default() }
}

#[test]
fn a_log_is_appended_to_and_never_changed() {
    run(async {
        for place in all() {
            let log = place.open().endpoint(&name("ridge"));
            assert_eq!(log.latest().await.unwrap(), None, "{}", place.name);
            for revision in 1..=3 {
                let made = log.append(revision - 1, &change("first"), spec(revision)).await.unwrap();
                assert_eq!(made.revision, revision, "{}", place.name);
            }
            // Somebody who has not seen the last one.
            let conflict = log.append(2, &change("second"), spec(9)).await.unwrap_err();
            assert_eq!(conflict.kind(), ErrorKind::Conflict);
            assert!(matches!(conflict, RegistryError::Conflict { revision: 3, by, .. } if by == "first"));
            // A number further on would leave a gap.
            assert_eq!(log.append(4, &change("second"), spec(9)).await.unwrap_err().kind(), ErrorKind::NotFound);

            let other = place.open().endpoint(&name("ridge"));
            let history = other.history(10).await.unwrap();
            assert_eq!(
                history.iter().map(|revision| revision.revision).collect::<Vec<_>>(),
                [3, 2, 1],
                "{}",
                place.name
            );
            assert_eq!(history[2].body, spec(1));
            assert_eq!(other.read(2).await.unwrap().unwrap().body, spec(2));
            assert_eq!(other.read(4).await.unwrap(), None);
            assert_eq!(other.history(2).await.unwrap().len(), 2);
            assert_eq!(place.open().endpoints().await.unwrap(), [name("ridge")], "{}", place.name);
        }
    });
}

#[test]
fn a_watcher_sees_the_next_revision_without_listing() {
    run(async {
        for place in all() {
            let (writer, watcher) = (place.open().endpoint(&name("e")), place.open().endpoint(&name("e")));
            assert_eq!(watcher.latest_number().await.unwrap(), 0, "{}", place.name);
            for revision in 1..=4 {
                assert_eq!(watcher.read(revision).await.unwrap(), None, "{}", place.name);
                writer.append(revision - 1, &change("w"), spec(revision)).await.unwrap();
                assert_eq!(watcher.read(revision).await.unwrap().unwrap().body, spec(revision), "{}", place.name);
            }
        }
    });
}

#[test]
fn a_status_is_overwritten_and_each_replica_has_its_own() {
    run(async {
        for place in all() {
            let registry = place.open();
            for (replica, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
                registry.put_status(&name("ridge"), &name(replica), Bytes::from(text)).await.unwrap();
            }
            let statuses = registry.statuses(&name("ridge")).await.unwrap();
            let found: Vec<_> = statuses.iter().map(|status| (status.replica.as_str(), &status.bytes[..])).collect();
            assert_eq!(found, [("a", &b"3"[..]), ("b", b"2")], "{}", place.name);
            registry.delete_status(&name("ridge"), &name("a")).await.unwrap();
            registry.delete_status(&name("ridge"), &name("a")).await.unwrap();
            assert_eq!(registry.statuses(&name("ridge")).await.unwrap().len(), 1, "{}", place.name);
        }
    });
}

#[test]
fn what_is_published_is_found_and_comes_back_byte_for_byte() {
    run(async {
        let folder = Folder::new();
        for (index, place) in all().into_iter().enumerate() {
            let registry = place.open();
            let models = registry.models();
            // A large file goes in pieces.
            let large: Vec<u8> = (0..20_000_000u32).map(|index| (index ^ (index >> 9)) as u8).collect();
            let sources =
                files(folder.path(), &format!("{index}"), &[("model.onnx", b"graph"), ("w/part.bin", &large)]);
            let manifest = models.publish(draft("ridge", &sources), &change("me"), &|_| ()).await.unwrap();
            assert_eq!(manifest.version, 1, "{}", place.name);

            let found = models.latest(&name("ridge")).await.unwrap().unwrap();
            assert_eq!(found.manifest, manifest);
            let to = folder.path().join(format!("down-{index}"));
            let moved = std::sync::atomic::AtomicU64::new(0);
            let count = |bytes| {
                moved.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            };
            let path = models.download(&found, &to, &count).await.unwrap();
            assert_eq!(std::fs::read(path).unwrap(), b"graph");
            assert!(std::fs::read(to.join("w/part.bin")).unwrap() == large, "{}", place.name);
            assert_eq!(moved.into_inner(), 5 + large.len() as u64);

            // Into a folder that is there nothing is written.
            let error = models.download(&found, &to, &|_| ()).await.unwrap_err();
            assert!(error.to_string().contains("down-"), "{error}");
        }
    });
}

#[test]
fn tags_change_and_properties_do_not() {
    run(async {
        let folder = Folder::new();
        for (index, place) in all().into_iter().enumerate() {
            let models = place.open().models();
            let sources = files(folder.path(), &format!("{index}"), &[("model.onnx", b"graph")]);
            let model = models.publish(draft("ridge", &sources), &change("me"), &|_| ()).await.unwrap().model_ref();
            let set = |key: &'static str, value: &'static str| {
                move |meta: &mut scoria::registry::ModelMeta| {
                    meta.tags.insert(key.to_owned(), value.to_owned());
                    Ok(())
                }
            };
            models.describe(&model, &change("me"), set("stage", "dev")).await.unwrap();
            let described = models.describe(&model, &change("me"), set("stage", "prod")).await.unwrap();
            assert_eq!((described.meta.tags["stage"].as_str(), described.meta_revision), ("prod", 2), "{}", place.name);
            // To say the same again is no change.
            let same = models.describe(&model, &change("me"), set("stage", "prod")).await.unwrap();
            assert_eq!(same.meta_revision, 2, "{}", place.name);

            let property = |value: &str| [("commit".to_owned(), value.to_owned())].into();
            let add = |value| {
                move |meta: &mut scoria::registry::ModelMeta| meta.add_properties(&model_of(), &property(value))
            };
            models.describe(&model, &change("me"), add("abc")).await.unwrap();
            models.describe(&model, &change("me"), add("abc")).await.unwrap();
            let error = models.describe(&model, &change("me"), add("abd")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            let too_long = models.describe(&model, &change("me"), set("", "x")).await.unwrap_err();
            assert_eq!(too_long.kind(), ErrorKind::BadInput, "{too_long}");
        }
    });
}

fn model_of() -> ModelRef {
    ModelRef { name: name("ridge"), version: 1 }
}

#[test]
fn versions_are_found_by_name_tag_property_and_as_the_latest() {
    run(async {
        let folder = Folder::new();
        for (index, place) in all().into_iter().enumerate() {
            let models = place.open().models();
            for (model, tag) in [("ridge", "dev"), ("ridge", "prod"), ("wine", "dev")] {
                let sources =
                    files(folder.path(), &format!("{index}-{model}-{tag}"), &[("model.onnx", tag.as_bytes())]);
                let mut draft = draft(model, &sources);
                draft.tags = [("stage".to_owned(), tag.to_owned())].into();
                draft.properties = [(format!("only-{tag}"), String::new())].into();
                models.publish(draft, &change("me"), &|_| ()).await.unwrap();
            }
            let models = &models;
            let found = |query: ModelQuery| async move {
                let found = models.search(&query).await.unwrap();
                found.iter().map(|version| version.manifest.model_ref().to_string()).collect::<Vec<_>>()
            };
            let pair = |text: &str| vec![text.parse::<Pair>().unwrap()];
            let query = ModelQuery::default();
            assert_eq!(found(query.clone()).await, ["ridge:2", "ridge:1", "wine:1"], "{}", place.name);
            let ridge = ModelQuery { name: Some(name("ridge")), ..query.clone() };
            assert_eq!(found(ridge).await, ["ridge:2", "ridge:1"]);
            let latest = ModelQuery { only: Only::Latest, ..query.clone() };
            assert_eq!(found(latest).await, ["ridge:2", "wine:1"]);
            let tagged = ModelQuery { tags: pair("stage=dev"), ..query.clone() };
            assert_eq!(found(tagged).await, ["ridge:1", "wine:1"]);
            let by_key = ModelQuery { tags: pair("stage"), properties: pair("only-prod"), ..query.clone() };
            assert_eq!(found(by_key).await, ["ridge:2"]);

            let second = ModelRef { name: name("ridge"), version: 2 };
            let archive = |meta: &mut scoria::registry::ModelMeta| {
                meta.archived = true;
                Ok(())
            };
            models.describe(&second, &change("me"), archive).await.unwrap();
            assert_eq!(found(query.clone()).await, ["ridge:1", "wine:1"]);
            assert_eq!(found(ModelQuery { archived: Archived::Included, ..query }).await.len(), 3);
            assert_eq!(models.latest(&name("ridge")).await.unwrap().unwrap().manifest.version, 1, "{}", place.name);
        }
    });
}

#[test]
fn what_somebody_has_damaged_is_named() {
    run(async {
        let folder = Folder::new();
        let registry = Registry::open(
            &scoria::registry::RegistryUrl::folder(folder.path()),
            &scoria::registry::Access::to_folder(crate::places::LIMITS, scoria::registry::Presence::Expect),
        );
        let log = registry.unwrap().endpoint(&name("ridge"));
        log.append(0, &change("me"), spec(1)).await.unwrap();
        std::fs::write(folder.path().join("endpoints/ridge/0000000001.json"), b"{\"revision\": 1").unwrap();
        let error = log.latest().await.unwrap_err();
        assert!(
            matches!(&error, RegistryError::Damaged { path, .. } if path == "endpoints/ridge/0000000001.json"),
            "{error}"
        );
        // What is no revision is none.
        std::fs::write(folder.path().join("endpoints/ridge/notes.txt"), b"mine").unwrap();
        std::fs::create_dir_all(folder.path().join("endpoints/Not A Name")).unwrap();
        assert_eq!(log.latest_number().await.unwrap(), 1);
    });
}
