use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A folder with empty files in it, removed with the test: which models are meant is decided by names alone.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[&str]) -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("scoria-spec-{}-{number}", std::process::id()));
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Folder(folder)
    }

    fn argument(&self, rest: &str) -> String {
        self.0.join(rest).display().to_string()
    }

    /// `(name, path below the folder, version)`.
    fn resolve(&self, arguments: &[String]) -> Result<Vec<(String, String, u64)>, String> {
        let below = |path: &Path| path.strip_prefix(&self.0).unwrap().display().to_string();
        let specs = resolve_models(arguments).map_err(|error| error.to_string())?;
        Ok(specs.iter().map(|spec| (spec.name.to_string(), below(&spec.path), spec.version)).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn spec(name: &str, path: &str, version: u64) -> (String, String, u64) {
    (name.to_owned(), path.to_owned(), version)
}

#[test]
fn a_file_is_called_by_its_stem_or_by_the_name_given() {
    let folder = Folder::with(&["My Model.onnx", "a=b.onnx"]);
    assert_eq!(folder.resolve(&[folder.argument("My Model.onnx")]), Ok(vec![spec("my-model", "My Model.onnx", 1)]));
    let named = format!("ridge={}", folder.argument("My Model.onnx"));
    assert_eq!(folder.resolve(&[named]), Ok(vec![spec("ridge", "My Model.onnx", 1)]));
    assert_eq!(folder.resolve(&[folder.argument("a=b.onnx")]), Ok(vec![spec("a-b", "a=b.onnx", 1)]));
}

#[test]
fn a_repository_gives_the_newest_version_of_each_model() {
    let files =
        ["ridge/1/model.onnx", "ridge/9/model.onnx", "ridge/10/model.onnx", "ridge/train.py", "ridge/11/other.txt"];
    let more = ["digits/2/model.onnx", "digits/latest/model.onnx", ".git/1/model.onnx", "README.md", "empty/x.txt"];
    let folder = Folder::with(&[files.as_slice(), more.as_slice()].concat());
    let all = vec![spec("digits", "digits/2/model.onnx", 2), spec("ridge", "ridge/10/model.onnx", 10)];
    assert_eq!(folder.resolve(&[folder.argument("")]), Ok(all));
    let one = vec![spec("ridge", "ridge/10/model.onnx", 10)];
    assert_eq!(folder.resolve(&[folder.argument("ridge")]), Ok(one));
    let renamed = format!("first={}", folder.argument("ridge"));
    assert_eq!(folder.resolve(&[renamed]), Ok(vec![spec("first", "ridge/10/model.onnx", 10)]));
    let pinned = vec![spec("ridge", "ridge/9/model.onnx", 9)];
    assert_eq!(folder.resolve(&[folder.argument("ridge/9/model.onnx")]), Ok(pinned));
}

#[test]
fn a_folder_of_files_gives_each() {
    let folder = Folder::with(&["b.onnx", "A.ONNX", "notes.txt"]);
    assert_eq!(folder.resolve(&[folder.argument("")]), Ok(vec![spec("a", "A.ONNX", 1), spec("b", "b.onnx", 1)]));
}

#[test]
fn what_cannot_be_told_is_an_error_with_a_way_out() {
    let folder = Folder::with(&["a.onnx", "notes.txt", "empty/x.txt"]);
    let error = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|argument| folder.argument(argument)).collect();
        folder.resolve(&arguments).unwrap_err()
    };
    assert!(error(&["notes.txt"]).contains("is not an .onnx file"));
    assert!(error(&["empty"]).contains("holds no model"));
    assert!(error(&["missing.onnx"]).contains("cannot read"));
    let bad_name = resolve_models(&[format!("../x={}", folder.argument("a.onnx"))]).unwrap_err().to_string();
    assert!(bad_name.contains("'../x' is not a valid name"), "{bad_name}");
}

/// What is wrong with each model, by its name; nothing with those that could be loaded.
fn faults(arguments: &[String]) -> Vec<(String, Option<String>)> {
    let fault = |spec: &ModelSpec| match &spec.description {
        Description::Faulty(reason) => Some(reason.clone()),
        Description::None | Description::Config(_) => None,
    };
    let specs = resolve_models(arguments).unwrap();
    specs.iter().map(|spec| (spec.name.to_string(), fault(spec))).collect()
}

#[test]
fn models_of_one_name_are_a_fault_of_those_and_a_name_mends_it() {
    let folder = Folder::with(&["My Model.onnx", "my-model.onnx", "other.onnx", "b/other.onnx", "b/third.onnx"]);
    let found = faults(&[folder.argument("")]);
    let [(name, Some(reason)), (other, None)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.as_str(), other.as_str()), ("my-model", "other"));
    for told in ["2 models are called 'my-model'", "My Model.onnx and ", "name it: `other-name="] {
        assert!(reason.contains(told), "{reason}");
    }
    let remedy = reason.split('`').nth(1).unwrap().to_owned();
    let mended = faults(&[folder.argument(""), remedy]);
    assert!(mended.iter().all(|(_, fault)| fault.is_none()), "{mended:?}");
    let names: Vec<_> = mended.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["my-model", "other", "other-name"]);

    let files =
        faults(&[folder.argument("other.onnx"), folder.argument("b/other.onnx"), folder.argument("b/third.onnx")]);
    assert!(matches!(files.as_slice(), [(_, Some(_)), (third, None)] if third == "third"), "{files:?}");
    let twice = faults(&[folder.argument("other.onnx"), folder.argument("b/../other.onnx")]);
    assert_eq!(twice, [("other".to_owned(), None)], "one file is one model, however often it is named");
}

#[test]
fn a_folder_without_a_usable_version_is_told_and_the_others_are_served() {
    let folder =
        Folder::with(&["good/1/model.onnx", "empty/x.txt", "file/1", "elsewhere/1/net.onnx", "data/1/table.csv"]);
    let (bare, dead) = (folder.0.join("bare"), folder.0.join("dead/2"));
    fs::create_dir_all(&bare).unwrap();
    fs::write(bare.join("config.pbtxt"), "").unwrap();
    fs::create_dir_all(&dead).unwrap();
    let link = |target: &str, path: &Path| std::os::unix::fs::symlink(target, path).unwrap();
    link("nowhere", &dead.join("model.onnx"));
    link("nowhere", &folder.0.join("gone"));
    link("round.onnx", &folder.0.join("round.onnx"));
    link("nowhere", &folder.0.join("notes.txt"));
    link(".", &folder.0.join("self"));
    fs::create_dir_all(folder.0.join("lost+found")).unwrap();
    let found = faults(&[folder.argument("")]);
    let told: Vec<_> = found.iter().map(|(name, fault)| (name.as_str(), fault.as_deref().unwrap_or(""))).collect();
    let expected = [
        ("bare", "holds no version of a model: expected <version>/model.onnx"),
        ("dead", ""),
        ("elsewhere", "does not hold it"),
        ("file", "is no folder"),
        ("gone", "cannot read"),
        ("good", ""),
        ("round", "cannot read"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((name, fault), (model, part)) in told.iter().zip(expected) {
        assert!(*name == model && fault.contains(part) && fault.is_empty() == part.is_empty(), "{told:?}");
    }
}

#[test]
fn names_that_are_no_text_of_utf_8_are_names_here_too() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::with(&["a.onnx", "模.onnx"]);
    fs::write(folder.0.join(OsStr::from_bytes(b"b\xff.onnx")), "").unwrap();
    let found = faults(&[folder.argument("")]);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(matches!(names.as_slice(), ["a", "b-", other] if other.starts_with("model-")), "{names:?}");
}

#[test]
fn a_sample_lies_beside_its_model() {
    assert_eq!(sample_path(Path::new("r/1/model.onnx")), Path::new("r/1/sample_input.json"));
    assert_eq!(sample_path(Path::new("r/x.onnx")), Path::new("r/x.sample_input.json"));
}
