//! What somebody wants to register, and the way from there to a draft.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::package::{GOLDEN, Package};
use super::trial::{EngineTrial, try_out};
use super::{PublishError, golden};
use crate::codec::Policy;
use crate::control::sample_path;
use crate::name::Name;
use crate::probe::decode_sample;
use crate::registry::{Content, Draft, FilePath, Hasher, LocalFile, StoredFile};

/// A model on this machine, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Submission {
    pub name: Name,
    /// An ONNX file, or a folder with one.
    pub path: PathBuf,
    /// A JSON body that the model takes; else the one beside it, if there is one.
    pub sample_input: Option<PathBuf>,
    /// What the model answers to it; else the file beside the model that says so, if there is one.
    pub sample_output: Option<PathBuf>,
    /// Golden requests; else the folder `golden` of a model's folder, if there is one.
    pub golden: Option<PathBuf>,
    pub tags: BTreeMap<String, String>,
    pub properties: BTreeMap<String, String>,
    pub description: String,
}

/// How models are tried out.
pub struct Practice<'a> {
    /// In the order in which a server would use them.
    pub engines: &'a [&'a EngineTrial<'a>],
    /// Those that links to the model's files may lead into.
    pub external_data_folders: &'a [PathBuf],
    /// What bodies may hold.
    pub policy: Policy,
}

/// What is going on, for who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many files of so many bytes together are read.
    Reading { files: usize, bytes: u64 },
    /// So many bytes more have been read.
    Read { bytes: u64 },
    /// The model is loaded and run in a process of its own.
    Trying,
}

/// Turns a submission into a draft, or says why it is none. Blocks.
pub fn prepare(submission: Submission, practice: &Practice<'_>, tell: &dyn Fn(Step)) -> Result<Draft, PublishError> {
    let package = Package::of(&submission.path, practice.external_data_folders)?;
    let model_path = package.model.in_folder(&package.folder);
    let sample_input = sample_input(&submission, &package, &model_path, practice.policy)?;
    let sample_output = sample_output(&submission, &package, &model_path)?;
    let golden = golden_files(&submission, &package, practice.policy)?;

    let mut sources = Sources::default();
    // Samples are kept apart; one that was named takes the place of the one that lies there.
    let is_sample = |file: &FilePath| sample_input.iter().chain(&sample_output).any(|(path, _)| path == file);
    let own = package.files.iter().filter(|file| !is_sample(file));
    own.for_each(|file| sources.files.push((file.clone(), file.in_folder(&package.folder))));
    let files = sources.files.len();
    sources.files.extend(sample_input.iter().chain(&sample_output).chain(&golden).cloned());
    let mut stored = sources.read(tell)?.into_iter();
    let files: Vec<LocalFile> = stored.by_ref().take(files).collect();

    tell(Step::Trying);
    let trial = try_out(practice.engines, &model_path, sample_input.as_ref().map(|(_, path)| path.as_path()))?;
    package.graph.check_unchanged()?;

    let mut others: Vec<LocalFile> = stored.collect();
    let golden = others.split_off(others.len() - golden.len());
    let as_stored = |files: &[LocalFile]| files.iter().map(|file| file.stored.clone()).collect::<Vec<_>>();
    let own_files = as_stored(&files);
    let mut samples = as_stored(&others).into_iter();
    let content = Content {
        digest: Content::digest_of(&package.model, &own_files),
        model: package.model,
        files: own_files,
        signature: package.graph.signature,
        opsets: package.graph.opsets,
        producer: package.graph.producer,
        sample_input: sample_input.and_then(|_| samples.next()),
        sample_output: sample_output.and_then(|_| samples.next()),
        golden: as_stored(&golden),
        trial,
    };
    let Submission { name, tags, properties, description, .. } = submission;
    let files = files.into_iter().chain(others).chain(golden).collect();
    Ok(Draft { name, content, files, tags, properties, description })
}

/// The sample, where a server would look for it beside the model, and where it is now.
fn sample_input(
    submission: &Submission,
    package: &Package,
    model_path: &Path,
    policy: Policy,
) -> Result<Option<(FilePath, PathBuf)>, PublishError> {
    let beside = sample_path(model_path);
    let path = match &submission.sample_input {
        Some(path) => path.clone(),
        None if beside.is_file() => beside.clone(),
        None => return Ok(None),
    };
    let body = golden::read(&path)?;
    decode_sample(&body, &package.graph.signature, policy)
        .map_err(|error| PublishError::Sample { path: path.clone(), reason: error.to_string() })?;
    let name = sample_path(Path::new(package.model.as_str()));
    Ok(Some((FilePath::from_relative(&name)?, path)))
}

/// What is said to be the answer to the sample, and lies beside it as `sample_output` in place of `sample_input`.
fn sample_output(
    submission: &Submission,
    package: &Package,
    model_path: &Path,
) -> Result<Option<(FilePath, PathBuf)>, PublishError> {
    let beside = |model: &Path| {
        let input = sample_path(model);
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        input.with_file_name(name.replace("sample_input", "sample_output"))
    };
    let path = match &submission.sample_output {
        Some(path) => path.clone(),
        None if beside(model_path).is_file() => beside(model_path),
        None => return Ok(None),
    };
    golden::is_json(&golden::read(&path)?).map_err(|reason| PublishError::Sample { path: path.clone(), reason })?;
    Ok(Some((FilePath::from_relative(&beside(Path::new(package.model.as_str())))?, path)))
}

fn golden_files(
    submission: &Submission,
    package: &Package,
    policy: Policy,
) -> Result<Vec<(FilePath, PathBuf)>, PublishError> {
    let beside = submission.path.join(GOLDEN);
    let folder = match &submission.golden {
        Some(folder) => folder.clone(),
        None if beside.is_dir() => beside,
        None => return Ok(Vec::new()),
    };
    golden::files(&folder, &package.graph.signature, policy)
}

/// Files to be read for their digests.
#[derive(Default)]
struct Sources {
    files: Vec<(FilePath, PathBuf)>,
}

impl Sources {
    fn read(self, tell: &dyn Fn(Step)) -> Result<Vec<LocalFile>, PublishError> {
        let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bytes = self.files.iter().map(|(_, path)| length(path)).sum();
        tell(Step::Reading { files: self.files.len(), bytes });
        let digest = |(path, source): (FilePath, PathBuf)| {
            let (sha256, bytes) =
                digest(&source, tell).map_err(|error| PublishError::Read { path: source.clone(), source: error })?;
            Ok(LocalFile { path: source, stored: StoredFile { path, sha256, bytes } })
        };
        self.files.into_iter().map(digest).collect()
    }
}

fn digest(path: &Path, tell: &dyn Fn(Step)) -> io::Result<(crate::registry::Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut bytes, mut buffer) = (Hasher::default(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), bytes)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
                tell(Step::Read { bytes: read as u64 });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
