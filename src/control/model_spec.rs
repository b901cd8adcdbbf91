//! Which models were asked for: `file.onnx`, `name=file.onnx`, a folder of `.onnx` files, or a Triton-style repository
//! (`<name>/<version>/model.onnx`).
//!
//! What is wrong with one model of a folder is told of that model, by a description that is [`Description::Faulty`]; the others are
//! served. Only what was named by itself and is not there ends the search.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Description;
use super::namesakes::{Found, Origin, one_of_each_name};
use crate::name::{InvalidName, Name};

/// The folder that `mkfs` makes for itself, and nobody but the administrator may read.
const LOST_AND_FOUND: &str = "lost+found";

/// One model to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    pub name: Name,
    pub path: PathBuf,
    /// From a repository's version folder; 1 elsewhere.
    pub version: u64,
    /// The versions that are served beside it: lower ones of the same repository folder, where its description asks for them.
    pub earlier: BTreeMap<u64, PathBuf>,
    /// What a repository says of the model.
    pub description: Description,
}

/// Why the models asked for cannot be told. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not an .onnx file and not a folder", path.display())]
    NotAModel { path: PathBuf },
    #[error("{} holds no model: expected `.onnx` files or `<name>/<version>/model.onnx`", path.display())]
    EmptyFolder { path: PathBuf },
    #[error(transparent)]
    GivenName(#[from] InvalidName),
}

/// Finds the models that the arguments of `scoria serve` mean, in order, each name once.
pub fn resolve_models(arguments: &[String]) -> Result<Vec<ModelSpec>, SpecError> {
    let mut found = Vec::new();
    for argument in arguments {
        found.extend(resolve(argument)?);
    }
    Ok(one_of_each_name(found))
}

/// Finds the models of a folder, each name once. A folder without any is an error.
pub fn models_of_folder(folder: &Path) -> Result<Vec<ModelSpec>, SpecError> {
    let found = folder_specs(folder)?.into_iter().map(|spec| Found { spec, origin: Origin::Folder });
    Ok(one_of_each_name(found.collect()))
}

fn resolve(argument: &str) -> Result<Vec<Found>, SpecError> {
    // A file whose own name holds `=` can still be given, by a path that exists.
    if let Some((name, path)) = argument.split_once('=')
        && !Path::new(argument).exists()
    {
        let name = Name::parse(name)?;
        let path = Path::new(path);
        let spec = if is_folder(path)? {
            let served = Served::of(path).ok_or_else(|| SpecError::EmptyFolder { path: path.to_owned() })?;
            served.called(name)
        } else {
            ModelSpec { name, ..named_file_spec(path)? }
        };
        return Ok(vec![Found { spec, origin: Origin::Name }]);
    }
    let path = Path::new(argument);
    if is_folder(path)? {
        let found = folder_specs(path)?.into_iter().map(|spec| Found { spec, origin: Origin::Folder });
        Ok(found.collect())
    } else {
        Ok(vec![Found { spec: named_file_spec(path)?, origin: Origin::Path }])
    }
}

fn is_folder(path: &Path) -> Result<bool, SpecError> {
    fs::metadata(path).map(|metadata| metadata.is_dir()).map_err(io_error(path))
}

/// A file that was named by itself, and so has to be one.
fn named_file_spec(path: &Path) -> Result<ModelSpec, SpecError> {
    if is_onnx(path) { Ok(file_spec(path)) } else { Err(SpecError::NotAModel { path: path.to_owned() }) }
}

fn file_spec(path: &Path) -> ModelSpec {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    // `…/ridge/3/model.onnx` is version 3 of `ridge`.
    let version_folder = path.parent().filter(|_| stem == "model");
    let version = version_folder.and_then(version_number);
    let model_folder = version_folder.filter(|_| version.is_some()).and_then(Path::parent);
    let stem = model_folder.and_then(Path::file_name).map_or(stem.clone(), |name| name.to_string_lossy());
    ModelSpec {
        name: Name::from_file_stem(&stem),
        path: path.to_owned(),
        version: version.unwrap_or(1),
        earlier: BTreeMap::new(),
        description: model_folder.map_or(Description::None, Description::read),
    }
}

/// A folder is a version folder's parent, a repository, a folder of files, or both of the latter.
fn folder_specs(folder: &Path) -> Result<Vec<ModelSpec>, SpecError> {
    if let Some(served) = Served::of(folder) {
        let name = folder.canonicalize().map_err(io_error(folder))?;
        return Ok(vec![served.called(folder_name(&name))]);
    }
    let entries = sorted_entries(folder).map_err(io_error(folder))?;
    let specs: Vec<_> = entries.iter().filter_map(|path| entry_spec(path)).collect();
    if specs.is_empty() { Err(SpecError::EmptyFolder { path: folder.to_owned() }) } else { Ok(specs) }
}

/// The model of one entry of a folder, if it is meant to be one.
fn entry_spec(path: &Path) -> Option<ModelSpec> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => is_onnx(path).then(|| file_spec(path)),
        Ok(_) if path.file_name().is_some_and(|name| name == LOST_AND_FOUND) => None,
        Ok(_) => match Served::of(path) {
            Some(served) => Some(served.called(folder_name(path))),
            None => unusable_folder(path).map(|reason| faulty(folder_name(path), path, reason)),
        },
        // It was removed meanwhile, or it is a link to what is none of ours: models and their folders have no other extension.
        Err(_) if fs::symlink_metadata(path).is_err() || (path.extension().is_some() && !is_onnx(path)) => None,
        Err(error) => {
            let name = if is_onnx(path) { file_spec(path).name } else { folder_name(path) };
            Some(faulty(name, path, format!("cannot read {}: {error}", path.display())))
        }
    }
}

fn folder_name(folder: &Path) -> Name {
    Name::from_file_stem(&folder.file_name().unwrap_or_default().to_string_lossy())
}

/// A model that is there, and cannot be loaded for a reason that is known already.
fn faulty(name: Name, path: &Path, reason: String) -> ModelSpec {
    let description = Description::Faulty(reason);
    ModelSpec { name, path: path.to_owned(), version: 1, earlier: BTreeMap::new(), description }
}

/// Why a folder that is meant to hold a model's versions holds none; `None` where nothing says that it is meant so.
fn unusable_folder(folder: &Path) -> Option<String> {
    let entries = match sorted_entries(folder) {
        Ok(entries) => entries,
        Err(error) => return Some(format!("cannot read {}: {error}", folder.display())),
    };
    let is_described = !matches!(Description::read(folder), Description::None);
    let numbered = entries.iter().find(|path| version_number(path).is_some() && !holds_something_else(path));
    (is_described || numbered.is_some()).then(|| {
        let found = match numbered {
            Some(path) if !path.is_dir() => format!("; {} is no folder", path.display()),
            Some(path) => format!("; {} does not hold it", path.display()),
            None => String::new(),
        };
        format!("{} holds no version of a model: expected <version>/{}{found}", folder.display(), model_file(folder))
    })
}

/// Whether a numbered folder has files, and none that could be a model's.
fn holds_something_else(path: &Path) -> bool {
    let Ok(entries) = sorted_entries(path) else { return false };
    !entries.is_empty() && !entries.iter().any(|entry| is_onnx(entry))
}

/// What a model's file is called in a version folder.
fn model_file(folder: &Path) -> String {
    let description = Description::read(folder);
    description.config().and_then(|config| config.model_file.clone()).unwrap_or_else(|| MODEL_FILE.to_owned())
}

const MODEL_FILE: &str = "model.onnx";

/// What is served of a repository's model.
struct Served {
    version: u64,
    path: PathBuf,
    earlier: BTreeMap<u64, PathBuf>,
    description: Description,
}

impl Served {
    /// The highest version in a model's folder, or all of those that its description asks for; `None` if the folder holds no
    /// version, or cannot be read.
    fn of(folder: &Path) -> Option<Served> {
        let description = Description::read(folder);
        let config = description.config();
        let file = config.and_then(|config| config.model_file.as_deref()).unwrap_or(MODEL_FILE);
        let mut versions = versions(&sorted_entries(folder).ok()?, file);
        let policy = config.map(|config| &config.versions).cloned().unwrap_or_default();
        let mut picked = policy.pick(versions.keys().copied().collect());
        if let Some(version) = picked.pop() {
            versions.retain(|other, _| *other == version || picked.contains(other));
            let path = versions.remove(&version).expect("a version that was picked of these");
            return Some(Served { path, version, earlier: versions, description });
        }
        // A folder of versions none of which is wanted: its model is reported, not left out.
        versions.into_iter().next_back().map(|(version, path)| {
            let config = config.map(|config| config.path().display().to_string()).unwrap_or_default();
            let reason = format!("{config}: version_policy names no version that is there");
            Served { version, path, earlier: BTreeMap::new(), description: Description::Faulty(reason) }
        })
    }

    fn called(self, name: Name) -> ModelSpec {
        let Served { version, path, earlier, description } = self;
        ModelSpec { name, path, version, earlier, description }
    }
}

/// The versions of a repository's model: folders named by a whole number that hold the model's file.
fn versions(entries: &[PathBuf], file: &str) -> BTreeMap<u64, PathBuf> {
    let models = entries.iter().filter_map(|path| {
        let model = path.join(file);
        version_number(path).filter(|_| is_there(&model)).map(|version| (version, model))
    });
    models.collect()
}

/// Whether there is a file, or what was meant to be one: a version that cannot be read is not passed over for an older one.
fn is_there(model: &Path) -> bool {
    match fs::metadata(model) {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => fs::symlink_metadata(model).is_ok(),
            _ => true,
        },
    }
}

fn version_number(folder: &Path) -> Option<u64> {
    let name = folder.file_name()?.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten()
}

/// What a folder holds, but for what is hidden.
fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b"."));
    paths.sort();
    Ok(paths)
}

fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SpecError {
    let path = path.to_owned();
    move |source| SpecError::Io { path, source }
}
