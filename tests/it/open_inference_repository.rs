//! Models that are loaded and unloaded by clients, from a folder.

use std::path::Path;

use scoria::engine::fake::FakeEngine;
use serde_json::json;

use crate::client::Answer;
use crate::server::{Server, Start, identity};
use crate::support::Folder;

/// A repository with `a` (versions 1 and 3), `b` (version 1), and `bad`, which is no model.
fn repository() -> Folder {
    let folder = Folder::new();
    for version in ["a/1", "a/3", "b/1"] {
        write(folder.path(), version);
    }
    let bad = folder.path().join("bad/1");
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("model.onnx"), "no model").unwrap();
    folder
}

fn write(repository: &Path, version: &str) {
    let folder = repository.join(version);
    std::fs::create_dir_all(&folder).unwrap();
    identity().write(&folder.join("model.onnx"));
}

fn start(repository: &Folder) -> Start {
    let start = Start::with(FakeEngine::echo()).set("repository_mode", "explicit");
    start.set("model_repository", repository.path().display().to_string())
}

const REQUEST: &str = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#;

fn load(server: &Server, name: &str) -> Answer {
    server.post(&format!("/v2/repository/models/{name}/load"), "")
}

fn unload(server: &Server, name: &str) -> Answer {
    server.post(&format!("/v2/repository/models/{name}/unload"), r#"{"parameters":{"unload_dependents":true}}"#)
}

#[test]
fn models_come_and_go_as_they_are_asked_to() {
    let repository = repository();
    let server = start(&repository).ready();
    let get = |path: &str| server.request("GET", path, &[], b"");
    assert_eq!(get("/v2/health/ready").status, 200, "a server without models is ready to load some");
    assert!(get("/v2").json()["extensions"].as_array().unwrap().contains(&json!("model_repository")));
    let index = || server.post("/v2/repository/index", "").json();
    assert_eq!(index(), json!([{ "name": "a" }, { "name": "b" }, { "name": "bad" }]));
    assert_eq!(server.post("/v2/models/a/infer", REQUEST).status, 404);

    let answer = load(&server, "a");
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    assert_eq!(server.post("/v2/models/a/infer", REQUEST).json()["model_version"], "3", "the newest");
    assert_eq!(server.post("/score", r#"{"data": [[1, 2]]}"#).status, 200, "it is an endpoint like any other");
    assert_eq!(index()[0], json!({ "name": "a", "version": "3", "state": "READY", "reason": "" }));
    let ready = server.post("/v2/repository/index", r#"{"ready": true}"#).json();
    assert_eq!(ready.as_array().unwrap().len(), 1);

    assert_eq!(unload(&server, "a").status, 200);
    assert_eq!(server.post("/v2/models/a/infer", REQUEST).status, 404);
    assert_eq!(index()[0], json!({ "name": "a", "version": "3", "state": "UNAVAILABLE", "reason": "unloaded" }));
    assert_eq!(unload(&server, "a").status, 404, "it is not there");
    let page = [("origin", "https://a.example")];
    assert_eq!(server.request("POST", "/v2/repository/models/a/load", &page, b"").status, 403, "a page in a browser");
    assert_eq!(load(&server, "nobody").status, 404);
    assert_eq!(load(&server, "..%2fa").status, 404);
}

#[test]
fn another_load_takes_the_newest_version_and_a_bad_one_changes_nothing() {
    let repository = repository();
    let server = start(&repository).ready();
    assert_eq!(load(&server, "b").status, 200);
    write(repository.path(), "b/2");
    assert_eq!(load(&server, "b").status, 200);
    assert_eq!(server.post("/v2/models/b/infer", REQUEST).json()["model_version"], "2");
    let worse = repository.path().join("b/4");
    std::fs::create_dir_all(&worse).unwrap();
    std::fs::write(worse.join("model.onnx"), "no model").unwrap();
    let answer = load(&server, "b");
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"].as_str().unwrap().starts_with("failed to load 'b': "), "{}", answer.text());
    assert_eq!(server.post("/v2/models/b/infer", REQUEST).json()["model_version"], "2", "the old one goes on");
    assert_eq!(load(&server, "bad").status, 400);
    let config = server.post("/v2/repository/models/b/load", r#"{"parameters":{"config":"{}"}}"#);
    assert_eq!(config.status, 400);
    assert!(config.text().contains("'config'"));
}

#[test]
fn a_model_that_is_loaded_later_has_its_own_key() {
    let repository = repository();
    let server = start(&repository).set("auth", "key").ready();
    let ask = |path: &str, key: &str, body: &str| {
        server.request("POST", path, &[("authorization", &format!("Bearer {key}"))], body.as_bytes())
    };
    assert_eq!(load(&server, "a").status, 401);
    assert_eq!(ask("/v2/repository/models/a/load", &server.admin_key(), "").status, 200);
    assert_eq!(ask("/v2/models/a/infer", &server.key("a"), REQUEST).status, 200);
    assert_eq!(server.post("/v2/models/a/infer", REQUEST).status, 401);
}
