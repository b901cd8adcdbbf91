//! Many writers at once.

use std::collections::BTreeSet;
use std::path::Path;

use scoria::registry::{Content, Digest, Draft, EndpointSpec, FilePath, LocalFile, RegistryError, StoredFile, Trial};
use scoria::tensor::Signature;

use crate::places::{all, change, name, run};
use crate::support::Folder;

const WRITERS: usize = 16;

/// Writes files for a version.
pub fn files(folder: &Path, part: &str, files: &[(&str, &[u8])]) -> Vec<LocalFile> {
    let write = |(index, (path, bytes)): (usize, &(&str, &[u8]))| {
        let local = folder.join(format!("{part}-{index}"));
        std::fs::write(&local, bytes).unwrap();
        let stored =
            StoredFile { path: FilePath::parse(path).unwrap(), sha256: Digest::of(bytes), bytes: bytes.len() as u64 };
        LocalFile { path: local, stored }
    };
    files.iter().enumerate().map(write).collect()
}

/// A version of these files, the first of which is the model.
pub fn draft(model: &str, files: &[LocalFile]) -> Draft {
    let stored: Vec<StoredFile> = files.iter().map(|file| file.stored.clone()).collect();
    let content = Content {
        digest: Content::digest_of(&stored[0].path, &stored),
        model: stored[0].path.clone(),
        files: stored,
        signature: Signature::default(),
        opsets: vec![("ai.onnx".to_owned(), 21)],
        producer: "tests".to_owned(),
        sample_input: None,
        sample_output: None,
        golden: Vec::new(),
        trial: Trial { engine: "fake".to_owned(), version: "1".to_owned(), load_us: 1, run_us: None },
    };
    Draft {
        name: name(model),
        content,
        files: files.to_vec(),
        tags: Default::default(),
        properties: Default::default(),
        description: String::new(),
    }
}

#[test]
fn sixteen_writers_of_one_name_get_sixteen_versions_without_a_gap() {
    run(async {
        let folder = Folder::new();
        for (index, place) in all().into_iter().enumerate() {
            let mut writers = tokio::task::JoinSet::new();
            for writer in 0..WRITERS {
                let registry = place.open();
                let own = format!("weights of writer {writer}");
                // Each has a file of its own, and one that all share.
                let files = files(
                    folder.path(),
                    &format!("{index}-{writer}"),
                    &[("model.onnx", own.as_bytes()), ("shared.bin", b"the same for everybody")],
                );
                let change = change(format!("writer {writer}"));
                writers.spawn(async move {
                    let publish = registry.models().publish(draft("ridge", &files), &change, &|_| ()).await;
                    (writer, publish.unwrap().version)
                });
            }
            let published = writers.join_all().await;
            let versions: BTreeSet<u64> = published.iter().map(|(_, version)| *version).collect();
            assert_eq!(versions, (1..=WRITERS as u64).collect(), "{}", place.name);

            let models = place.open().models();
            for (writer, version) in published {
                let found =
                    models.find(&scoria::registry::ModelRef { name: name("ridge"), version }).await.unwrap().unwrap();
                assert_eq!(found.manifest.by, format!("writer {writer}"), "{}", place.name);
                let to = folder.path().join(format!("down-{index}-{writer}"));
                let path = models.download(&found, &to, &|_| ()).await.unwrap();
                assert_eq!(std::fs::read_to_string(path).unwrap(), format!("weights of writer {writer}"));
            }
        }
    });
}

#[test]
fn sixteen_writers_of_one_endpoint_leave_one_history() {
    const EACH: usize = 4;
    run(async {
        for place in all() {
            let mut writers = tokio::task::JoinSet::new();
            for writer in 0..WRITERS {
                let log = place.open().endpoint(&name("ridge"));
                writers.spawn(async move {
                    let mut made = Vec::new();
                    while made.len() < EACH {
                        let latest = log.latest_number().await.unwrap();
                        let body =
                            EndpointSpec { description: format!("{writer}/{}", made.len()), ..Default::default() };
                        match log.append(latest, &change(format!("{writer}")), body).await {
                            Ok(revision) => made.push(revision),
                            Err(RegistryError::Conflict { by, .. }) => {
                                // Somebody else's, never our own: that would be a write that was taken for lost.
                                assert!(by != format!("{writer}") || made.iter().any(|own| own.by == by));
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    made
                });
            }
            let mut made: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
            made.sort_by_key(|revision| revision.revision);
            let mut history = place.open().endpoint(&name("ridge")).history(usize::MAX).await.unwrap();
            history.reverse();
            // Every acknowledged revision is there, as it was written, and no other one is.
            assert_eq!(history, made, "{}", place.name);
            assert_eq!(history.len(), WRITERS * EACH);
        }
    });
}

#[test]
fn updates_of_many_writers_are_all_kept() {
    run(async {
        for place in all() {
            let mut writers = tokio::task::JoinSet::new();
            for writer in 0..WRITERS {
                let log = place.open().endpoint(&name("e"));
                writers.spawn(async move {
                    let add = |latest: Option<&scoria::registry::Revision<EndpointSpec>>| {
                        let mut spec = latest.map_or_else(EndpointSpec::default, |latest| latest.body.clone());
                        spec.tags.insert(format!("writer-{writer}"), String::new());
                        Ok(Some(spec))
                    };
                    log.update(&change("w"), add).await.unwrap();
                });
            }
            writers.join_all().await;
            let latest = place.open().endpoint(&name("e")).latest().await.unwrap().unwrap();
            assert_eq!((latest.body.tags.len(), latest.revision), (WRITERS, WRITERS as u64), "{}", place.name);
        }
    });
}
