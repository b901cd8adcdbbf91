//! Where an ONNX Runtime library may lie.
//!
//! Only names places; opening a library is [`ort::start`](super::ort::start)'s. Never looks into the working directory: a
//! server started in a folder that somebody else can write to must not run their code.

use std::fmt;
use std::path::{Path, PathBuf};

/// The part of a runtime's version that decides what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The libraries to try, best first.
///
/// `explicit`, a file or a folder, is the operator's word and allows nothing else. Without it: beside the executable `exe`,
/// in `../lib` of it, in the Python environment that it is installed in, then in the system's folders.
pub fn candidates(explicit: Option<&Path>, exe: &Path) -> Vec<PathBuf> {
    match explicit {
        Some(path) if path.is_dir() => libraries_in(path),
        // Absolute, because a relative one would be looked for beside the executable first.
        Some(path) => vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())],
        None => folders(exe).iter().flat_map(|folder| libraries_in(folder)).collect(),
    }
}

/// The full version in a library's file name, if it is one of `version`: `1.31.1` of `libonnxruntime.so.1.31.1`.
pub(super) fn file_version(path: &Path, version: Version) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let numbers = parse_name(path.file_name()?.to_str()?)?;
    let fits = numbers.len() > 2 && numbers[..2] == [version.major, version.minor];
    fits.then(|| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

fn folders(exe: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(bin) = exe.parent().filter(|bin| bin.is_absolute()) {
        folders.push(bin.to_owned());
        if let Some(prefix) = bin.parent() {
            folders.push(prefix.join("lib"));
            folders.extend(site_packages(prefix));
        }
    }
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    folders.push("/usr/local/lib".into());
    folders.extend(["/usr/lib", "/lib"].into_iter().flat_map(|lib| [Path::new(lib).join(&multiarch), lib.into()]));
    folders.extend(["/usr/lib64", "/lib64", "/opt/homebrew/lib"].map(PathBuf::from));
    folders
}

/// The Python package's library folders below an environment's prefix, newest Python first.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut pythons: Vec<(Vec<u32>, PathBuf)> = ["lib", "lib64"]
        .iter()
        .flat_map(|lib| entries(&prefix.join(lib)))
        .filter_map(|path| {
            let version = path.file_name()?.to_str()?.strip_prefix("python3.")?.parse().ok()?;
            Some((vec![3, version], path))
        })
        .collect();
    pythons.sort_by(|a, b| b.cmp(a));
    pythons.into_iter().map(|(_, path)| path.join("site-packages/onnxruntime/capi")).collect()
}

/// The ONNX Runtime libraries of a folder, newest first.
///
/// Wheels carry the full version in the file name and no plain link beside it, so that names are read rather than guessed. A
/// name without a version comes last: it is mostly a link to one of the others.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries(folder)
        .into_iter()
        .filter_map(|path| Some((parse_name(path.file_name()?.to_str()?)?, path)))
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort_by(|(a, a_path), (b, b_path)| b.cmp(a).then_with(|| a_path.cmp(b_path)));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The version numbers of a library's name; empty if it has none, `None` if it is something else.
fn parse_name(name: &str) -> Option<Vec<u32>> {
    let rest = name.strip_prefix("libonnxruntime.")?;
    let (suffixes, numbers): (Vec<&str>, Vec<&str>) =
        rest.split('.').partition(|part| *part == "so" || *part == "dylib");
    if suffixes.len() != 1 {
        return None;
    }
    numbers.into_iter().map(|number| number.parse().ok()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str, files: &[&str]) -> Folder {
            let root = std::env::temp_dir().join(format!("scoria-library-{test}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
                std::fs::write(path, "").expect("a file");
            }
            Folder(root)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("the folder goes away");
        }
    }

    fn below(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        let relative = |path: &PathBuf| Some(path.strip_prefix(root).ok()?.to_str()?.to_owned());
        paths.iter().filter_map(relative).collect()
    }

    #[test]
    fn names_of_libraries_are_told_from_their_neighbours() {
        assert_eq!(parse_name("libonnxruntime.so.1.31.1"), Some(vec![1, 31, 1]));
        assert_eq!(parse_name("libonnxruntime.1.31.1.dylib"), Some(vec![1, 31, 1]));
        assert_eq!(parse_name("libonnxruntime.so"), Some(vec![]));
        for other in ["libonnxruntime_providers_shared.so", "libonnxruntime.so.1.31.1.bak", "libonnxruntime.a", "x.so"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_comes_first_by_number_not_by_letter() {
        let folder = Folder::new(
            "newest",
            &["libonnxruntime.so", "libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime.so.1.31.10"],
        );
        let found = candidates(Some(&folder.0), Path::new("/nowhere/bin/scoria"));
        let expected =
            ["libonnxruntime.so.1.31.10", "libonnxruntime.so.1.31.1", "libonnxruntime.so.1.9.0", "libonnxruntime.so"];
        assert_eq!(below(&folder.0, &found), expected);
    }

    #[test]
    fn beside_the_executable_then_lib_then_its_python_environment() {
        let folder = Folder::new(
            "places",
            &[
                "env/bin/scoria",
                "env/bin/libonnxruntime.so.1.31.0",
                "env/lib/libonnxruntime.so.1.32.0",
                "env/lib/python3.9/site-packages/onnxruntime/capi/libonnxruntime.so.1.33.0",
                "env/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1",
                "env/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime_providers_shared.so",
            ],
        );
        let found = candidates(None, &folder.0.join("env/bin/scoria"));
        assert_eq!(
            below(&folder.0, &found),
            [
                "env/bin/libonnxruntime.so.1.31.0",
                "env/lib/libonnxruntime.so.1.32.0",
                "env/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1",
                "env/lib/python3.9/site-packages/onnxruntime/capi/libonnxruntime.so.1.33.0",
            ]
        );
    }

    #[test]
    fn an_explicit_file_is_the_only_candidate_whether_or_not_it_is_there() {
        let path = Path::new("/nowhere/lib.so");
        assert_eq!(candidates(Some(path), Path::new("/usr/bin/scoria")), [path]);
    }

    #[test]
    fn nothing_is_relative_to_the_working_directory() {
        for exe in ["scoria", "./scoria", "target/release/scoria", ""] {
            let folders = folders(Path::new(exe));
            assert!(folders.iter().all(|folder| folder.is_absolute()), "{exe}: {folders:?}");
        }
        assert!(candidates(Some(Path::new("lib.so")), Path::new("/usr/bin/scoria"))[0].is_absolute());
    }

    #[test]
    fn the_patch_level_is_the_file_names_when_it_agrees() {
        let folder = Folder::new("patch", &["libonnxruntime.so.1.31.1", "libonnxruntime.so"]);
        let versioned = folder.0.join("libonnxruntime.so.1.31.1");
        assert_eq!(file_version(&versioned, Version { major: 1, minor: 31 }).as_deref(), Some("1.31.1"));
        assert_eq!(file_version(&versioned, Version { major: 1, minor: 30 }), None);
        assert_eq!(file_version(&folder.0.join("libonnxruntime.so"), Version { major: 1, minor: 31 }), None);
    }
}
