//! OpenAPI documents: the goldens, and what the server serves.

#[path = "../support/golden.rs"]
mod golden;

use scoria::engine::fake::{FakeEngine, Gate};
use scoria::engine::tract::TractEngine;
use serde_json::{Value as Json, json};

use crate::server::{Start, bundled, identity};

#[test]
fn the_golden_files_are_what_the_code_says() {
    for (path, text) in golden::files() {
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{} is stale: run `make reference` and read what changed", path.display());
    }
}

#[test]
fn an_endpoint_serves_its_golden_documents_without_a_key() {
    let server = Start::with(TractEngine).argument(bundled("ridge").display().to_string()).set("auth", "key").ready();
    let served = |path: &str| -> Json {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        answer.json()
    };
    for (version, queries) in [
        ("2.0", &["", "?version=2", "?version=2.0"][..]),
        ("3.0", &["?version=3", "?version=3.0"]),
        ("3.1", &["?version=3.1"]),
    ] {
        let golden =
            std::fs::read_to_string(format!("{}/schemas/openapi/ridge.{version}.json", env!("CARGO_MANIFEST_DIR")));
        let golden: Json = serde_json::from_str(&golden.unwrap()).unwrap();
        for query in queries {
            assert_eq!(served(&format!("/api/v1/service/ridge/swagger.json{query}")), golden);
            assert_eq!(served(&format!("/swagger.json{query}")), golden, "the only endpoint is the default one");
        }
        if version == "3.1" {
            assert_eq!(served("/api/v1/service/ridge/openapi.json"), golden);
        }
    }
    let head = "HEAD /api/v1/service/ridge/swagger.json HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut connection = server.connect();
    connection.send(format!("{head}GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes());
    assert_eq!(connection.head().map(|answer| answer.status), Some(200));
    assert_eq!(connection.answer().map(|answer| answer.body), Some(b"ok".to_vec()), "HEAD has no body");
}

#[test]
fn documents_that_are_not_there_say_so() {
    let server = Start::with(FakeEngine::echo()).model("a", &identity()).ready();
    for (path, status, code) in [
        ("/swagger.json?version=9", 404, "unknown_version"),
        ("/swagger.json?version=", 404, "unknown_version"),
        ("/api/v1/service/b/swagger.json", 404, "unknown_endpoint"),
        ("/api/v1/service/b/openapi.json", 404, "unknown_endpoint"),
        ("/api/v1/service/a/swagger", 404, "unknown_route"),
    ] {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let answer = server.request("GET", "/swagger.json?version=9", &[], b"");
    assert_eq!(answer.json()["error"]["expected"], "2, 2.0, 3, 3.0, 3.1");
    let answer = server.post("/swagger.json", "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_model_that_could_not_be_loaded_has_no_document() {
    let wine = bundled("wine").display().to_string();
    let server = Start::with(TractEngine).argument(wine).ready();
    for path in ["/swagger.json", "/api/v1/service/wine/openapi.json"] {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (503, "model_not_loaded"), "{path}");
        assert!(answer.header("retry-after").is_some());
    }
    let answer = server.request("GET", "/openapi.json", &[], b"");
    assert_eq!(answer.status, 200, "the server's document holds what is loaded");
    assert!(answer.json()["paths"].as_object().unwrap().keys().all(|path| !path.contains("service")));
}

#[test]
fn the_whole_servers_document_has_every_endpoint_under_names_of_its_own() {
    let server = Start::with(FakeEngine::echo()).model("a", &identity()).model("b.c-d", &identity()).ready();
    let document = server.request("GET", "/openapi.json", &[], b"").json();
    assert_eq!(server.request("GET", "/swagger.json?version=3.1", &[], b"").json(), document, "there is no default");
    let post = &document["paths"]["/api/v1/service/b.c-d/score"]["post"];
    assert_eq!(post["operationId"], "RunMLService_b.c-d");
    let schema = &post["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/ServiceInput_b.c-d");
    assert!(document["components"]["schemas"]["ServiceInput_a"].is_object());
}

#[test]
fn the_sample_is_shown_only_where_anyone_may_score() {
    let sample = json!({"data": [[41.0, 43.0]]});
    for (auth, shown) in [("none", sample.clone()), ("key", json!({"data": [[0.0, 0.0]]}))] {
        let folder = crate::support::Folder::new();
        let path = folder.path().join("echo.onnx");
        identity().write(&path);
        std::fs::write(folder.path().join("echo.sample_input.json"), sample.to_string()).unwrap();
        let server = Start::with(FakeEngine::echo()).argument(path.display().to_string()).set("auth", auth).ready();
        let document = server.request("GET", "/swagger.json", &[], b"").json();
        assert_eq!(document["definitions"]["ServiceInput"]["example"], shown, "auth = {auth}");
    }
}

#[test]
fn a_client_that_has_a_document_is_not_sent_it_again_until_it_changes() {
    let gate = Gate::new();
    let engine = FakeEngine::echo().behind(&gate);
    let server = Start::with(engine).model("a", &identity()).now();
    let before = server.request("GET", "/openapi.json", &[], b"");
    let tag = before.header("etag").unwrap().to_owned();
    let again = || server.request("GET", "/openapi.json", &[("if-none-match", &tag)], b"");
    let same = again();
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(tag.as_str())));
    assert_eq!((same.header("cache-control"), same.header("content-type")), (Some("no-cache"), None));
    gate.open();
    server.app().block_on(server.app().loaded());
    let after = again();
    assert_eq!(after.status, 200, "another model is served now");
    assert_ne!(after.header("etag"), Some(tag.as_str()));
    assert!(after.json()["paths"]["/api/v1/service/a/score"].is_object());
    assert_eq!(server.request("GET", "/openapi.json", &[], b"").body, after.body);
}

#[test]
fn pages_of_allowed_origins_may_read_documents() {
    let start = Start::with(FakeEngine::echo()).model("a", &identity()).set("cors_origins", "https://a.example");
    let answer = start.ready().request("GET", "/swagger.json", &[("origin", "https://a.example")], b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
}
