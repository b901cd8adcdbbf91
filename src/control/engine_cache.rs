//! Where what TensorRT has built is kept: a folder for each model, runtime and kind of GPU, since an engine is good for nothing else.
//!
//! The runtime names the files in it, and looks itself whether they suit the options and the version of TensorRT.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::private_file;

/// The models whose engines are kept; beyond, those that have not been loaded for the longest time go.
const MODELS_MAX: usize = 64;

/// Where the driver says which GPUs there are.
const DRIVER: &str = "/proc/driver/nvidia/gpus";

/// The folder of all engines.
#[derive(Clone, Debug)]
pub struct EngineCache {
    root: PathBuf,
    gpus: String,
}

impl EngineCache {
    /// Engines for the GPUs of this machine, below `root`, which need not be there.
    pub fn new(root: PathBuf) -> EngineCache {
        EngineCache { root, gpus: gpus(Path::new(DRIVER)) }
    }

    /// The folder for a model by its digest, made if need be.
    pub fn folder(&self, digest: &str, runtime: &str) -> io::Result<PathBuf> {
        let model = self.root.join(digest);
        let folder = model.join(format!("{}-{}", name(runtime), self.gpus));
        private_file::create_folder(&folder)?;
        File::open(&model)?.set_modified(SystemTime::now())?;
        self.clear(&model)?;
        Ok(folder)
    }

    /// Removes the models that are too many, but never `current`. An engine in use has been read.
    fn clear(&self, current: &Path) -> io::Result<()> {
        let mut models = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            models.push((entry.metadata()?.modified()?, entry.path()));
        }
        models.sort();
        let spare = models.len().saturating_sub(MODELS_MAX);
        let others = models.into_iter().map(|(_, path)| path).filter(|path| path != current);
        others.take(spare).try_for_each(fs::remove_dir_all)
    }
}

/// The kinds of GPU in this machine, as one name for a folder.
fn gpus(driver: &Path) -> String {
    let entries = fs::read_dir(driver).into_iter().flatten().flatten();
    let models = entries.filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("information")).ok()?;
        let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(name(model.trim()))
    });
    let mut models: Vec<_> = models.collect();
    models.sort();
    models.dedup();
    if models.is_empty() { "unknown".to_owned() } else { models.join("+") }
}

/// As a folder may be called.
fn name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A folder of its own for one test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            Folder(std::env::temp_dir().join(format!("scoria-engines-{test}-{}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_driver_tells_the_kinds_of_gpu() {
        let folder = Folder::new("driver");
        for (bus, model) in [("1", "NVIDIA H200"), ("2", "NVIDIA H200"), ("3", "Tesla T4")] {
            fs::create_dir_all(folder.0.join(bus)).unwrap();
            fs::write(folder.0.join(bus).join("information"), format!("Model: \t\t {model}\nIRQ: 1\n")).unwrap();
        }
        assert_eq!(gpus(&folder.0), "nvidia-h200+tesla-t4");
        assert_eq!(gpus(&folder.0.join("nowhere")), "unknown");
    }

    #[test]
    fn those_longest_unused_make_room() {
        let folder = Folder::new("room");
        let cache = EngineCache { root: folder.0.clone(), gpus: "h200".to_owned() };
        for number in 0..MODELS_MAX {
            let model = cache.folder(&format!("model{number}"), "1.31.1").unwrap();
            let age = Duration::from_secs(3600 - number as u64);
            File::open(model.parent().unwrap()).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }
        // Used again, and so not the oldest any more.
        let again = cache.folder("model0", "1.31.1").unwrap();
        assert!(again.ends_with("model0/1.31.1-h200"), "{}", again.display());
        cache.folder("one-more", "1.31.1").unwrap();
        let is_there = |digest: &str| folder.0.join(digest).is_dir();
        assert!(is_there("model0") && is_there("one-more") && is_there("model2"));
        assert!(!is_there("model1"));
    }
}
