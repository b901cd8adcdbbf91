//! `scoria register` and `scoria models`, as a person types them; `docs/registry.md` among them.

#![allow(clippy::disallowed_methods, reason = "a test binary is its own main, and config/env.rs is the server's")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use scoria::tensor::DType;
use serde_json::{Value as Json, json};

use crate::support::onnx::{Constant, Model, Node, tensor};
use crate::support::{Folder, ort_library};

/// A folder with a registry in it, as the program sees it.
struct Desk(Folder);

impl Desk {
    fn new() -> Desk {
        Desk(Folder::new())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scoria"));
        command.args(arguments).arg("--ort-lib").arg(ort_library()).current_dir(self.path());
        command.env("SCORIA_REGISTRY", "registry").env("SCORIA_STATE_DIR", "state").env_remove("SCORIA_ORT_LIB");
        command.output().expect("the program runs")
    }

    /// What a command that succeeds prints.
    fn prints(&self, arguments: &[&str]) -> Json {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// What a command says that fails with this code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        said
    }

    /// Every registered version, `name:version`.
    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let found = self.prints(&[&["models", "list"], arguments].concat());
        let line = |version: &Json| format!("{}:{}", version["name"].as_str().unwrap(), version["version"]);
        found.as_array().unwrap().iter().map(line).collect()
    }
}

fn identity() -> Model {
    let model = Model::new().input("x", tensor(DType::F32, "N,2")).output("y", tensor(DType::F32, "N,2"));
    model.node(Node::new("Identity", &["x"], &["y"]))
}

fn weighted(location: &str) -> Model {
    let model = Model::new().input("x", tensor(DType::F32, "N,2")).output("y", tensor(DType::F32, "N,2"));
    model.constant("w", Constant::external(DType::F32, &[2], location)).node(Node::new("Add", &["x", "w"], &["y"]))
}

#[test]
fn a_model_goes_through_its_whole_life() {
    let desk = Desk::new();
    identity().write(&desk.path().join("m.onnx"));
    let first =
        desk.prints(&["register", "shop", "m.onnx", "-t", "stage=dev", "-d", "the first", "--property", "commit=1a"]);
    assert_eq!(
        (&first["version"], &first["tags"], &first["trial"]["engine"]),
        (&json!(1), &json!({"stage": "dev"}), &json!("ort"))
    );
    assert_eq!(first["signature"]["inputs"][0], json!({"name": "x", "dtype": "float32", "dims": ["N", 2]}));
    desk.prints(&["register", "shop", "m.onnx", "-t", "stage=prod"]);
    assert_eq!(desk.listed(&[]), ["shop:2", "shop:1"]);
    assert_eq!(desk.listed(&["-t", "stage=dev"]), ["shop:1"]);
    assert_eq!(desk.listed(&["--property", "commit"]), ["shop:1"]);
    assert_eq!(desk.listed(&["--latest"]), ["shop:2"]);
    assert_eq!(desk.listed(&["none"]), [""; 0]);

    let tagged = desk.prints(&["models", "tag", "shop:1", "-t", "stage=test", "--property", "owner=me", "-d", "old"]);
    assert_eq!(tagged["properties"], json!({"commit": "1a", "owner": "me"}));
    assert_eq!((&tagged["tags"], &tagged["description"]), (&json!({"stage": "test"}), &json!("old")));
    assert_eq!(desk.prints(&["models", "tag", "shop:1", "--remove", "stage"])["tags"], json!({}));
    assert!(desk.fails(1, &["models", "tag", "shop:1", "--property", "commit=2b"]).contains("do not change"));
    desk.fails(2, &["models", "tag", "shop:1"]);

    desk.prints(&["models", "archive", "shop:2"]);
    assert_eq!(desk.prints(&["models", "show", "shop"])["version"], json!(1));
    assert_eq!(desk.listed(&["--archived"]), ["shop:2", "shop:1"]);
    desk.prints(&["models", "restore", "shop:2"]);
    assert_eq!(desk.prints(&["models", "show", "shop:latest"])["version"], json!(2));

    let folder = desk.prints(&["models", "download", "shop:2"])["folder"].as_str().unwrap().to_owned();
    assert_eq!(fs::read(desk.path().join(folder).join("m.onnx")).unwrap(), identity().bytes());
    desk.fails(1, &["models", "download", "shop:2"]);

    desk.fails(2, &["models", "delete", "shop"]);
    desk.prints(&["models", "delete", "shop:2"]);
    assert!(desk.fails(3, &["models", "show", "shop:2"]).contains("has been deleted"));
    desk.fails(3, &["models", "show", "shop:9"]);
    desk.fails(3, &["models", "show", "other"]);
    // A number is never used again.
    assert_eq!(desk.prints(&["register", "shop", "m.onnx"])["version"], json!(3));
}

#[test]
fn a_registry_that_is_not_there_is_not_made_by_looking() {
    let desk = Desk::new();
    let said = desk.fails(3, &["models", "list"]);
    assert!(said.contains("scoria register"), "{said}");
    assert!(!desk.path().join("registry").exists());
    let said = desk.fails(2, &["models", "list", "--registry", "http://127.0.0.1/"]);
    assert!(said.contains("s3://"), "{said}");
}

#[test]
fn weights_beside_the_model_come_along_and_nothing_else_does() {
    let desk = Desk::new();
    let bytes: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::create_dir(desk.path().join("w")).unwrap();
    fs::write(desk.path().join("w/part.bin"), &bytes).unwrap();
    fs::write(desk.path().join("unrelated"), b"mine").unwrap();
    weighted("w/part.bin").write(&desk.path().join("m.onnx"));
    let version = desk.prints(&["register", "shop", "m.onnx"]);
    let paths: Vec<&str> =
        version["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["m.onnx", "w/part.bin"]);
    desk.prints(&["models", "download", "shop:1", "down"]);
    assert_eq!(fs::read(desk.path().join("down/w/part.bin")).unwrap(), bytes);
    // What was downloaded can be registered, as it is.
    let again = desk.prints(&["register", "shop", "down"]);
    assert_eq!(again["sha256"], version["sha256"]);
}

#[test]
fn what_leads_out_of_the_folder_is_refused() {
    let desk = Desk::new();
    fs::write(desk.path().join("secret"), [0; 8]).unwrap();
    fs::create_dir(desk.path().join("model")).unwrap();
    for location in ["../secret", "/etc/passwd", "w/../../secret"] {
        weighted(location).write(&desk.path().join("model/m.onnx"));
        assert!(desk.fails(1, &["register", "shop", "model"]).contains("refused"), "{location}");
    }
    identity().write(&desk.path().join("model/m.onnx"));
    symlink(desk.path().join("secret"), desk.path().join("model/link")).unwrap();
    assert!(desk.fails(1, &["register", "shop", "model"]).contains("symbolic link"));
    fs::remove_file(desk.path().join("model/link")).unwrap();
    let pipe = Command::new("mkfifo").arg(desk.path().join("model/pipe")).status().unwrap();
    assert!(pipe.success());
    assert!(desk.fails(1, &["register", "shop", "model"]).contains("no plain file"));
    assert!(!desk.path().join("registry/models").exists());
}

#[test]
fn names_that_are_none_are_refused() {
    let desk = Desk::new();
    identity().write(&desk.path().join("m.onnx"));
    let long = "a".repeat(65);
    for name in ["", "..", "../x", "a/b", "A", "a:1", "a b", ".a", "%2e%2e", "модель", &long] {
        desk.fails(2, &["register", name, "m.onnx"]);
    }
    for model in ["", "..", "a:0", "a:x", "a:01", "a/b:1"] {
        desk.run(&["register", "shop", "m.onnx"]);
        desk.fails(2, &["models", "show", model]);
    }
    desk.fails(2, &["register", "shop", "m.onnx", "-t", "no-value"]);
    desk.fails(2, &["register", "shop", "m.onnx", "-t", "a=1", "-t", "a=2"]);
    desk.fails(1, &["register", "shop", "m.onnx", "-t", &format!("{}=1", "k".repeat(129))]);
}

#[test]
fn what_cannot_be_served_is_not_registered() {
    let desk = Desk::new();
    desk.fails(3, &["register", "shop", "nowhere.onnx"]);
    fs::write(desk.path().join("m.onnx"), b"{}").unwrap();
    assert!(desk.fails(1, &["register", "shop", "m.onnx"]).contains("JSON text"));
    let unknown = Model::new().input("x", tensor(DType::F32, "N,2")).output("y", tensor(DType::F32, "N,2"));
    unknown.node(Node::new("NoSuchOperator", &["x"], &["y"])).write(&desk.path().join("m.onnx"));
    assert!(desk.fails(1, &["register", "shop", "m.onnx"]).contains("NoSuchOperator"));
    fs::create_dir(desk.path().join("empty")).unwrap();
    assert!(desk.fails(1, &["register", "shop", "empty"]).contains("holds no .onnx file"));
    for name in ["a.onnx", "b.onnx"] {
        identity().write(&desk.path().join("empty").join(name));
    }
    assert!(desk.fails(1, &["register", "shop", "empty"]).contains("several models"));
    assert!(!desk.path().join("registry/models").exists());
}

#[test]
fn samples_and_golden_requests_are_checked_and_kept() {
    let desk = Desk::new();
    let folder = desk.path().join("model");
    fs::create_dir_all(folder.join("golden")).unwrap();
    identity().write(&folder.join("model.onnx"));
    fs::write(folder.join("sample_input.json"), br#"{"data": [[1, 2]]}"#).unwrap();
    fs::write(folder.join("sample_output.json"), b"[[1, 2]]").unwrap();
    fs::write(folder.join("golden/one.request.json"), br#"{"data": [[3, 4]]}"#).unwrap();
    assert!(desk.fails(1, &["register", "shop", "model"]).contains("one.response.json"));
    fs::write(folder.join("golden/one.response.json"), b"[[3, 4]]").unwrap();
    let version = desk.prints(&["register", "shop", "model"]);
    assert_eq!(version["sample_input"]["path"], json!("sample_input.json"));
    assert_eq!(version["sample_output"]["path"], json!("sample_output.json"));
    assert_eq!(version["files"].as_array().unwrap().len(), 1);
    assert_eq!(version["golden"].as_array().unwrap().len(), 2);
    desk.prints(&["models", "download", "shop:1", "down"]);
    for file in
        ["model.onnx", "sample_input.json", "sample_output.json", "golden/one.request.json", "golden/one.response.json"]
    {
        assert_eq!(
            fs::read(folder.join(file)).unwrap(),
            fs::read(desk.path().join("down").join(file)).unwrap(),
            "{file}"
        );
    }
    fs::write(folder.join("golden/one.request.json"), br#"{"data": [[3]]}"#).unwrap();
    assert!(desk.fails(1, &["register", "shop", "model"]).contains("one.request.json"));
    fs::write(desk.path().join("bad.json"), br#"{"data": "x"}"#).unwrap();
    assert!(
        desk.fails(1, &["register", "shop", "model/model.onnx", "--sample-input", "bad.json"]).contains("bad.json")
    );
}

#[test]
fn a_folder_of_many_files_is_registered_and_one_of_too_many_refused() {
    let desk = Desk::new();
    let folder = desk.path().join("model");
    fs::create_dir(&folder).unwrap();
    identity().write(&folder.join("m.onnx"));
    // The same bytes, kept once.
    (0..300).for_each(|file| fs::write(folder.join(format!("{file}.bin")), b"part").unwrap());
    assert_eq!(desk.prints(&["register", "shop", "model"])["files"].as_array().unwrap().len(), 301);
    assert_eq!(fs::read_dir(desk.path().join("registry/blobs/sha256")).unwrap().count(), 2);
    (300..10_001).for_each(|file| fs::write(folder.join(format!("{file}.bin")), b"").unwrap());
    assert!(desk.fails(1, &["register", "shop", "model"]).contains("more than 10000 files"));
}

/// The commands of `docs/registry.md` do what the page says.
#[test]
fn the_commands_of_the_documentation_work() {
    let desk = Desk::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/registry.md")).unwrap();
    let shell = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines: Vec<&str> = shell.flat_map(str::lines).filter(|line| line.starts_with("scoria ")).collect();
    assert!(lines.len() >= 10, "the search for commands finds too few: {lines:?}");
    fs::create_dir_all(desk.path().join("models/ridge")).unwrap();
    for file in ["model.onnx", "sample_input.json", "sample_output.json"] {
        fs::copy(root.join("models/ridge/1").join(file), desk.path().join("models/ridge").join(file)).unwrap();
    }
    for line in lines {
        let program = env!("CARGO_BIN_EXE_scoria");
        let line = line.replacen("scoria", &format!("'{program}'"), 1);
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(desk.path());
        command
            .env("SCORIA_REGISTRY", "registry")
            .env("SCORIA_STATE_DIR", "state")
            .env("SCORIA_ORT_LIB", ort_library());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
