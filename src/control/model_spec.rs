//! Which models were asked for: `file.onnx`, `name=file.onnx`, a folder of `.onnx` files, or a Triton-style repository
//! (`<name>/<version>/model.onnx`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Description;
use crate::name::{InvalidName, Name};

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
    #[error("{} gives no usable name ({source}); name it: `name={}`", path.display(), path.display())]
    Name { path: PathBuf, source: InvalidName },
    #[error(transparent)]
    GivenName(#[from] InvalidName),
    #[error("two models are called '{name}': {} and {}; name one: `other-name={}`",
            first.display(), second.display(), second.display())]
    Duplicate { name: Name, first: PathBuf, second: PathBuf },
}

/// Finds the models that the arguments of `scoria serve` mean, in order, each name once.
pub fn resolve_models(arguments: &[String]) -> Result<Vec<ModelSpec>, SpecError> {
    let mut specs: Vec<ModelSpec> = Vec::new();
    for argument in arguments {
        for spec in resolve(argument)? {
            if let Some(other) = specs.iter().find(|other| other.name == spec.name) {
                return Err(SpecError::Duplicate { name: spec.name, first: other.path.clone(), second: spec.path });
            }
            specs.push(spec);
        }
    }
    Ok(specs)
}

fn resolve(argument: &str) -> Result<Vec<ModelSpec>, SpecError> {
    // A file whose own name holds `=` can still be given, by a path that exists.
    if let Some((name, path)) = argument.split_once('=')
        && !Path::new(argument).exists()
    {
        let name = Name::parse(name)?;
        let path = Path::new(path);
        if is_folder(path)? {
            let Some(served) = Served::of(path)? else {
                return Err(SpecError::EmptyFolder { path: path.to_owned() });
            };
            return Ok(vec![served.called(name)]);
        }
        return Ok(vec![ModelSpec { name, ..file_spec(path)? }]);
    }
    let path = Path::new(argument);
    if is_folder(path)? { folder_specs(path) } else { Ok(vec![file_spec(path)?]) }
}

fn is_folder(path: &Path) -> Result<bool, SpecError> {
    fs::metadata(path).map(|metadata| metadata.is_dir()).map_err(io_error(path))
}

fn file_spec(path: &Path) -> Result<ModelSpec, SpecError> {
    if !is_onnx(path) || is_folder(path)? {
        return Err(SpecError::NotAModel { path: path.to_owned() });
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    // `…/ridge/3/model.onnx` is version 3 of `ridge`.
    let version_folder = path.parent().filter(|_| stem == "model");
    let version = version_folder.and_then(version_number);
    let model_folder = version_folder.filter(|_| version.is_some()).and_then(Path::parent);
    let stem = model_folder.and_then(Path::file_name).map_or(stem.clone(), |name| name.to_string_lossy());
    Ok(ModelSpec {
        name: derive_name(&stem, path)?,
        path: path.to_owned(),
        version: version.unwrap_or(1),
        earlier: BTreeMap::new(),
        description: model_folder.map_or(Description::None, Description::read),
    })
}

/// A folder is a version folder's parent, a repository, a folder of files, or both of the latter.
fn folder_specs(folder: &Path) -> Result<Vec<ModelSpec>, SpecError> {
    if let Some(served) = Served::of(folder)? {
        let name = folder.canonicalize().map_err(io_error(folder))?;
        let name = derive_name(&name.file_name().unwrap_or_default().to_string_lossy(), folder)?;
        return Ok(vec![served.called(name)]);
    }
    let mut specs = Vec::new();
    for path in sorted_entries(folder)? {
        if is_folder(&path)? {
            if let Some(served) = Served::of(&path)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                specs.push(served.called(derive_name(&name, &path)?));
            }
        } else if is_onnx(&path) {
            specs.push(file_spec(&path)?);
        }
    }
    if specs.is_empty() { Err(SpecError::EmptyFolder { path: folder.to_owned() }) } else { Ok(specs) }
}

/// What is served of a repository's model.
struct Served {
    version: u64,
    path: PathBuf,
    earlier: BTreeMap<u64, PathBuf>,
    description: Description,
}

impl Served {
    /// The highest version in a model's folder, or all of those that its description asks for; `None` if the folder holds no
    /// version.
    fn of(folder: &Path) -> Result<Option<Served>, SpecError> {
        let description = Description::read(folder);
        let config = description.config();
        let file = config.and_then(|config| config.model_file.as_deref()).unwrap_or("model.onnx");
        let mut versions = versions(folder, file)?;
        let policy = config.map(|config| &config.versions).cloned().unwrap_or_default();
        let mut picked = policy.pick(versions.keys().copied().collect());
        if let Some(version) = picked.pop() {
            versions.retain(|other, _| *other == version || picked.contains(other));
            let path = versions.remove(&version).expect("a version that was picked of these");
            return Ok(Some(Served { path, version, earlier: versions, description }));
        }
        // A folder of versions none of which is wanted: its model is reported, not left out.
        Ok(versions.into_iter().next_back().map(|(version, path)| {
            let config = config.map(|config| config.path().display().to_string()).unwrap_or_default();
            let reason = format!("{config}: version_policy names no version that is there");
            Served { version, path, earlier: BTreeMap::new(), description: Description::Faulty(reason) }
        }))
    }

    fn called(self, name: Name) -> ModelSpec {
        let Served { version, path, earlier, description } = self;
        ModelSpec { name, path, version, earlier, description }
    }
}

/// The versions of a repository's model: folders named by a whole number that hold the model's file.
fn versions(folder: &Path, file: &str) -> Result<BTreeMap<u64, PathBuf>, SpecError> {
    let models = sorted_entries(folder)?.into_iter().filter_map(|path| {
        let model = path.join(file);
        version_number(&path).filter(|_| model.is_file()).map(|version| (version, model))
    });
    Ok(models.collect())
}

fn version_number(folder: &Path) -> Option<u64> {
    let name = folder.file_name()?.to_str()?;
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten()
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, SpecError> {
    let entries = fs::read_dir(folder).map_err(io_error(folder))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io_error(folder))?;
    paths.retain(|path| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

fn derive_name(stem: &str, path: &Path) -> Result<Name, SpecError> {
    Name::from_file_stem(stem).map_err(|source| SpecError::Name { path: path.to_owned(), source })
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SpecError {
    let path = path.to_owned();
    move |source| SpecError::Io { path, source }
}
