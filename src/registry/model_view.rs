//! A version as it is shown: by `scoria models`, and by the admin API.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FilePath, ModelVersion, ProfileView, StoredFile, Trial};
use crate::moment::Moment;
use crate::name::Name;
use crate::tensor::Signature;

/// All that is known of a version.
#[derive(Clone, Debug, Serialize)]
pub struct ModelView<'a> {
    pub name: &'a Name,
    pub version: u64,
    pub description: &'a str,
    pub tags: &'a BTreeMap<String, String>,
    pub properties: &'a BTreeMap<String, String>,
    pub archived: bool,
    pub deleted: bool,
    pub registered: Moment,
    pub by: &'a str,
    pub sha256: &'a str,
    pub bytes: u64,
    pub model: &'a FilePath,
    pub files: &'a [StoredFile],
    pub signature: &'a Signature,
    pub opsets: BTreeMap<&'a str, i64>,
    pub producer: &'a str,
    pub sample_input: Option<&'a StoredFile>,
    pub sample_output: Option<&'a StoredFile>,
    pub golden: &'a [StoredFile],
    pub trial: &'a Trial,
    /// The latest one, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileView<'a>>,
}

impl ModelVersion {
    pub fn view(&self) -> ModelView<'_> {
        let ModelVersion { manifest, meta, .. } = self;
        let content = &manifest.content;
        ModelView {
            name: &manifest.name,
            version: manifest.version,
            description: &meta.description,
            tags: &meta.tags,
            properties: &meta.properties,
            archived: meta.archived,
            deleted: meta.deleted,
            registered: manifest.registered,
            by: &manifest.by,
            sha256: content.digest.as_str(),
            bytes: content.bytes(),
            model: &content.model,
            files: &content.files,
            signature: &content.signature,
            opsets: content.opsets.iter().map(|(domain, version)| (domain.as_str(), *version)).collect(),
            producer: &content.producer,
            sample_input: content.sample_input.as_ref(),
            sample_output: content.sample_output.as_ref(),
            golden: &content.golden,
            trial: &content.trial,
            profile: None,
        }
    }
}
