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
    let folder = Folder::with(&["a.onnx", "b/a.onnx", "模.onnx", "notes.txt", "empty/x.txt"]);
    let error = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|argument| folder.argument(argument)).collect();
        folder.resolve(&arguments).unwrap_err()
    };
    assert!(error(&["a.onnx", "b/a.onnx"]).contains("two models are called 'a'"));
    assert!(error(&["a.onnx", "b/a.onnx"]).contains("name one: `other-name="));
    assert!(error(&["模.onnx"]).contains("name it: `name="));
    assert!(error(&["notes.txt"]).contains("is not an .onnx file"));
    assert!(error(&["empty"]).contains("holds no model"));
    assert!(error(&["missing.onnx"]).contains("cannot read"));
    let bad_name = resolve_models(&[format!("../x={}", folder.argument("a.onnx"))]).unwrap_err().to_string();
    assert!(bad_name.contains("'../x' is not a valid name"), "{bad_name}");
}

#[test]
fn a_sample_lies_beside_its_model() {
    assert_eq!(sample_path(Path::new("r/1/model.onnx")), Path::new("r/1/sample_input.json"));
    assert_eq!(sample_path(Path::new("r/x.onnx")), Path::new("r/x.sample_input.json"));
}
