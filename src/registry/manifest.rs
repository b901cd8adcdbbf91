//! What a version of a model is: its files by digest, its signature, and what was said of it when it was registered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, FilePath, Hasher, ModelRef, Nonce};
use crate::moment::Moment;
use crate::name::Name;
use crate::tensor::Signature;

/// One version of a model. Written once, as the claim on its number, and never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: Name,
    pub version: u64,
    pub registered: Moment,
    pub by: String,
    /// The mark by which its writer knows it.
    pub nonce: Nonce,
    #[serde(flatten)]
    pub content: Content,
    /// What was said of it at first; what has been said since is in its `meta` revisions.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    #[serde(default)]
    pub description: String,
}

/// What is served of a version: all that does not depend on who registered it, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Of the paths and digests of `files`: the same files give the same.
    pub digest: Digest,
    /// The file that a runtime opens; the others are its weights, or lay beside it.
    pub model: FilePath,
    pub files: Vec<StoredFile>,
    pub signature: Signature,
    /// `(domain, version)`.
    pub opsets: Vec<(String, i64)>,
    /// The exporter, as it named itself.
    pub producer: String,
    /// A JSON body that the model takes, and what it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_input: Option<StoredFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_output: Option<StoredFile>,
    /// `<case>.request.json` and `<case>.response.json`: what it has to answer before traffic moves to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<StoredFile>,
    pub trial: Trial,
}

/// One file, kept under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub path: FilePath,
    pub sha256: Digest,
    pub bytes: u64,
}

/// How the model fared when it was tried out in a process of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// `ort` or `tract`.
    pub engine: String,
    pub version: String,
    pub load_us: u64,
    /// One run, on one thread; `None` if nothing that was made up suited it.
    pub run_us: Option<u64>,
}

impl Manifest {
    pub fn model_ref(&self) -> ModelRef {
        ModelRef { name: self.name.clone(), version: self.version }
    }
}

impl Content {
    /// The digest of a model that consists of these files.
    pub fn digest_of(model: &FilePath, files: &[StoredFile]) -> Digest {
        let mut sorted: Vec<&StoredFile> = files.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path));
        let mut hasher = Hasher::default();
        hasher.update(format!("{model}\n").as_bytes());
        // No path holds a line break, so that no two lists of files read alike.
        sorted.iter().for_each(|file| hasher.update(format!("{} {}\n", file.sha256, file.path).as_bytes()));
        hasher.finish()
    }

    /// All files of the version, those that only tests of it need too.
    pub fn all_files(&self) -> impl Iterator<Item = &StoredFile> {
        let samples = self.sample_input.iter().chain(&self.sample_output);
        self.files.iter().chain(samples).chain(&self.golden)
    }

    /// What the model's own files take.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
