//! Models and their versions: publishing, finding, changing what is said of them, deleting.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use object_store::path::Path;
use tokio::time::Instant;

use super::at_once::at_once;
use super::blobs::{LocalFile, Progress};
use super::collection::{self, AnnouncedUpload, Collected, UPLOAD_VALID};
use super::revision::{bytes_of, parse_as};
use super::store::{Creation, Store};
use super::{Change, Content, Digest, Manifest, ModelMeta, ModelRef, Nonce, Registry, RegistryError, RevisionLog};
use crate::name::Name;

/// How many writers may be ahead of one that claims a number.
const CLAIMS_MAX: usize = 10_000;

/// The models of a registry.
#[derive(Clone, Debug)]
pub struct Models {
    registry: Registry,
}

/// A version to be published.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: Name,
    pub content: Content,
    /// Where the bytes of `content`'s files are, each digest at least once.
    pub files: Vec<LocalFile>,
    pub tags: BTreeMap<String, String>,
    pub properties: BTreeMap<String, String>,
    pub description: String,
}

/// A version as it is known now.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVersion {
    pub manifest: Manifest,
    pub meta: ModelMeta,
    /// Of `meta`; 0 if nothing has been said since it was registered.
    pub meta_revision: u64,
}

impl Registry {
    pub fn models(&self) -> Models {
        Models { registry: self.clone() }
    }
}

impl Models {
    pub(super) fn store(&self) -> &Arc<Store> {
        self.registry.store()
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What has been said of a version since it was registered.
    pub fn meta(&self, model: &ModelRef) -> RevisionLog<ModelMeta> {
        RevisionLog::new(self.store(), self.folder(model).join("meta"), model.to_string())
    }

    /// Publishes the next version. Its number is claimed last, when everything that it needs is there.
    pub async fn publish(
        &self,
        draft: Draft,
        change: &Change,
        progress: &Progress<'_>,
    ) -> Result<Manifest, RegistryError> {
        let store = self.store();
        let Draft { name, content, files, tags, properties, description } = draft;
        let nonce = Nonce::generate().map_err(RegistryError::Random)?;
        let (registered, by) = (change.at, change.by.clone());
        let manifest = Manifest { name, version: 0, registered, by, nonce, content, tags, properties, description };
        ModelMeta::of(&manifest).check()?;

        let digests = files.iter().map(|file| file.stored.sha256.clone()).collect();
        let begun = Instant::now();
        let upload = AnnouncedUpload::begin(store, &change.by, digests).await?;
        let outcome = self.upload_and_claim(manifest, &files, begun, progress).await;
        upload.end(store).await;
        outcome
    }

    async fn upload_and_claim(
        &self,
        manifest: Manifest,
        files: &[LocalFile],
        begun: Instant,
        progress: &Progress<'_>,
    ) -> Result<Manifest, RegistryError> {
        for file in files {
            self.store().put_blob(file, progress).await?;
        }
        // A collector that was taken for dead may have had one removal on its way.
        for file in files {
            self.store().put_blob(file, &|_| ()).await?;
        }
        // A collector would no longer know of us; half of the time is for clocks that differ.
        let is_known = begun.elapsed() < UPLOAD_VALID / 2;
        if !is_known {
            let reason = format!("the upload took longer than {:?}", UPLOAD_VALID / 2);
            return Err(RegistryError::Refused { action: "publish", path: manifest.name.to_string(), reason });
        }
        self.claim(manifest).await
    }

    /// Takes the first number that is free.
    async fn claim(&self, mut manifest: Manifest) -> Result<Manifest, RegistryError> {
        manifest.version = self.highest(&manifest.name).await?;
        for _ in 0..CLAIMS_MAX {
            if manifest.version > 0 {
                // A power cut must not take the version before this one, and leave a gap.
                self.store().settle(&self.manifest_path(&manifest.model_ref())).await?;
            }
            manifest.version += 1;
            let path = self.manifest_path(&manifest.model_ref());
            match self.store().create(&path, bytes_of(&manifest)?).await? {
                Creation::Created => return Ok(manifest),
                Creation::Taken(_) => {}
            }
        }
        Err(RegistryError::Crowded { what: format!("model {}", manifest.name) })
    }

    /// All models that there are, or have been.
    pub async fn names(&self) -> Result<Vec<Name>, RegistryError> {
        let listing = self.store().list(&self.store().path(["models"])).await?;
        Ok(listing.folders.iter().filter_map(|name| Name::parse(name).ok()).collect())
    }

    /// The numbers of a model's versions, those that are archived or deleted too; rising, from 1 on, without gaps.
    pub async fn version_numbers(&self, name: &Name) -> Result<std::ops::RangeInclusive<u64>, RegistryError> {
        Ok(1..=self.highest(name).await?)
    }

    /// The latest version that is neither archived nor deleted.
    pub async fn latest(&self, name: &Name) -> Result<Option<ModelVersion>, RegistryError> {
        for version in self.version_numbers(name).await?.rev() {
            let found = self.find(&ModelRef { name: name.clone(), version }).await?;
            if let Some(found) = found.filter(|found| !found.meta.archived && !found.meta.deleted) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A version, if there is or has been one of this number.
    pub async fn find(&self, model: &ModelRef) -> Result<Option<ModelVersion>, RegistryError> {
        let path = self.manifest_path(model);
        let Some(bytes) = self.store().read(&path).await? else { return Ok(None) };
        let manifest: Manifest = parse_as(&path, &bytes)?;
        if manifest.model_ref() != *model {
            let reason = format!("it says that it is {}", manifest.model_ref());
            return Err(RegistryError::Damaged { path: path.to_string(), reason });
        }
        let revision = self.meta(model).latest().await?;
        let meta_revision = revision.as_ref().map_or(0, |revision| revision.revision);
        let meta = revision.map_or_else(|| ModelMeta::of(&manifest), |revision| revision.body);
        Ok(Some(ModelVersion { manifest, meta, meta_revision }))
    }

    /// Those versions of these numbers that there are, in their order.
    pub(super) async fn find_all(
        &self,
        name: &Name,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<Vec<ModelVersion>, RegistryError> {
        let found = at_once(numbers.into_iter().map(|version| {
            let (models, model) = (self.clone(), ModelRef { name: name.clone(), version });
            async move { models.find(&model).await }
        }));
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// A version that can be used: there, and not deleted.
    pub async fn usable(&self, model: &ModelRef) -> Result<ModelVersion, RegistryError> {
        match self.find(model).await? {
            None => Err(RegistryError::NotFound { what: format!("model {model}") }),
            Some(found) if found.meta.deleted => Err(RegistryError::Deleted { model: model.clone() }),
            Some(found) => Ok(found),
        }
    }

    /// Changes what is said of a version, whatever others change meanwhile. Nothing changes of one that is deleted.
    pub async fn describe(
        &self,
        model: &ModelRef,
        change: &Change,
        alter: impl Fn(&mut ModelMeta) -> Result<(), RegistryError>,
    ) -> Result<ModelVersion, RegistryError> {
        let ModelVersion { manifest, .. } = self.usable(model).await?;
        let next = |latest: Option<&super::Revision<ModelMeta>>| {
            let current = latest.map_or_else(|| ModelMeta::of(&manifest), |revision| revision.body.clone());
            if current.deleted {
                return Err(RegistryError::Deleted { model: model.clone() });
            }
            let mut altered = current.clone();
            alter(&mut altered)?;
            altered.check()?;
            Ok(Some(altered).filter(|altered| *altered != current))
        };
        let revision = self.meta(model).update(change, next).await?;
        let meta_revision = revision.as_ref().map_or(0, |revision| revision.revision);
        let meta = revision.map_or_else(|| ModelMeta::of(&manifest), |revision| revision.body);
        Ok(ModelVersion { manifest, meta, meta_revision })
    }

    /// Deletes a version that no endpoint uses or could roll back to, and collects the bytes that nothing needs any more.
    ///
    /// The tombstone is written first and the endpoints are asked after it, while a deploy names the version first and asks for
    /// the tombstone after that: of two that meet, at least one sees the other.
    pub async fn delete(&self, model: &ModelRef, change: &Change) -> Result<Collected, RegistryError> {
        self.refuse_if_used(model).await?;
        let bury = |meta: &mut ModelMeta| {
            meta.deleted = true;
            Ok(())
        };
        self.describe(model, change, bury).await?;
        if let Err(refusal) = self.refuse_if_used(model).await {
            let why = "an endpoint came to use it at the same moment".to_owned();
            self.exhume(model, &Change { why, ..change.clone() }).await?;
            return Err(refusal);
        }
        collection::collect(self).await
    }

    /// Takes a tombstone back.
    async fn exhume(&self, model: &ModelRef, change: &Change) -> Result<(), RegistryError> {
        let next = |latest: Option<&super::Revision<ModelMeta>>| {
            Ok(latest.filter(|revision| revision.body.deleted).map(|revision| {
                let mut meta = revision.body.clone();
                meta.deleted = false;
                meta
            }))
        };
        self.meta(model).update(change, next).await.map(drop)
    }

    async fn refuse_if_used(&self, model: &ModelRef) -> Result<(), RegistryError> {
        let endpoints = self.users_of(model).await?;
        if endpoints.is_empty() {
            return Ok(());
        }
        Err(RegistryError::InUse { model: model.clone(), endpoints })
    }

    /// The endpoints that use a version, or used it and could be rolled back to it.
    pub async fn users_of(&self, model: &ModelRef) -> Result<Vec<Name>, RegistryError> {
        let used = self.used().await?;
        Ok(used.into_iter().filter(|(_, models)| models.contains(model)).map(|(endpoint, _)| endpoint).collect())
    }

    /// What every endpoint that is not deleted uses, in any of its revisions.
    async fn used(&self) -> Result<Vec<(Name, BTreeSet<ModelRef>)>, RegistryError> {
        let endpoints = self.registry.endpoints().await?;
        let used = at_once(endpoints.into_iter().map(|endpoint| {
            let log = self.registry.endpoint(&endpoint);
            async move {
                let history = log.history(usize::MAX).await?;
                if history.first().is_none_or(|latest| latest.body.deleted) {
                    return Ok(None);
                }
                let deployments = history.iter().flat_map(|revision| revision.body.deployments.values());
                Ok(Some((endpoint, deployments.map(|deployment| deployment.model.clone()).collect())))
            }
        }));
        Ok(used.await?.into_iter().flatten().collect())
    }

    /// The digests of all files of all versions that are not deleted, or that an endpoint holds on to.
    pub(super) async fn needed_digests(&self) -> Result<HashSet<Digest>, RegistryError> {
        let mut needed = HashSet::new();
        let mut deleted = Vec::new();
        for name in self.names().await? {
            for found in self.find_all(&name, self.version_numbers(&name).await?).await? {
                if found.meta.deleted {
                    deleted.push(found.manifest);
                } else {
                    needed.extend(found.manifest.content.all_files().map(|file| file.sha256.clone()));
                }
            }
        }
        // Asked after the tombstones were seen, as above.
        let used = self.used().await?;
        let is_used = |manifest: &Manifest| used.iter().any(|(_, models)| models.contains(&manifest.model_ref()));
        for manifest in deleted.iter().filter(|manifest| is_used(manifest)) {
            needed.extend(manifest.content.all_files().map(|file| file.sha256.clone()));
        }
        Ok(needed)
    }

    /// The highest number that has been claimed; 0 if none has.
    async fn highest(&self, name: &Name) -> Result<u64, RegistryError> {
        let listing = self.store().list(&self.store().path(["models", name.as_str()])).await?;
        let mut numbers: Vec<u64> = listing.folders.iter().filter_map(|folder| number(folder)).collect();
        numbers.sort_unstable();
        // A disk may have the folder of a version whose writer was killed before it had claimed it.
        for version in numbers.into_iter().rev() {
            let path = self.manifest_path(&ModelRef { name: name.clone(), version });
            if self.store().entry(&path).await?.is_some() {
                return Ok(version);
            }
        }
        Ok(0)
    }

    pub(super) fn folder(&self, model: &ModelRef) -> Path {
        self.store().path(["models", model.name.as_str(), &model.version.to_string()])
    }

    fn manifest_path(&self, model: &ModelRef) -> Path {
        self.folder(model).join("manifest.json")
    }
}

/// A version's number as its folder has it: without leading zeros, so that no number has two folders.
fn number(folder: &str) -> Option<u64> {
    let number: u64 = folder.parse().ok()?;
    (number > 0 && number.to_string() == folder).then_some(number)
}
