//! Names: how models come to theirs, and by which of them clients find an endpoint.

use std::fs;

use scoria::engine::fake::FakeEngine;

use crate::client::Answer;
use crate::server::{Server, Start, identity};

/// A server of a folder with models of these names.
fn serving(names: &[&str]) -> Server {
    let start = Start::with(FakeEngine::echo());
    let folder = start.file("marker", "").replace("marker", "models");
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        let file = std::path::Path::new(&folder).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        identity().write(&file);
    }
    start.argument(folder).ready()
}

const BODY: &str = r#"{"data": [[1, 2]]}"#;

#[test]
fn an_endpoint_is_found_by_the_letter_case_of_its_file_on_every_route() {
    let server = serving(&["MyModel.onnx", "other.onnx"]);
    for name in ["mymodel", "MyModel", "MYMODEL"] {
        assert_eq!(server.post(&format!("/api/v1/service/{name}/score"), BODY).status, 200, "{name}");
        let instances = r#"{"instances": [[1, 2]]}"#;
        assert_eq!(server.post(&format!("/v1/models/{name}:predict"), instances).status, 200, "{name}");
        for path in [
            format!("/api/v1/service/{name}/swagger.json"),
            format!("/api/v1/service/{name}/openapi.json"),
            format!("/api/v1/service/{name}/docs"),
            format!("/v1/models/{name}"),
            format!("/v1/models/{name}/metadata"),
            format!("/v2/models/{name}"),
            format!("/v2/models/{name}/ready"),
        ] {
            assert_eq!(server.request("GET", &path, &[], b"").status, 200, "{path}");
        }
        assert_eq!(server.admin(&format!("/api/v1/service/{name}")).status, 200, "{name}");
    }
}

#[test]
fn who_asks_by_the_name_of_a_file_is_told_what_it_is_called() {
    let long = format!("{}-fp16", "Resnet".repeat(12));
    let server = serving(&["My Model.onnx", &format!("{long}.onnx"), &format!("{long}x.onnx")]);
    let told = |answer: Answer| {
        assert_eq!(answer.status, 404, "{}", answer.text());
        let (_, name) = answer.text().split_once("this server calls it '").expect("it is told");
        name.split('\'').next().unwrap().to_owned()
    };
    for (asked, known) in [("My%20Model", "my-model"), (long.as_str(), "resnetresnet")] {
        let path = format!("/api/v1/service/{asked}/score");
        let name = told(server.post(&path, BODY));
        assert!(name.starts_with(known) && name.len() <= 64, "{name}");
        assert_eq!(server.post(&path.replace(asked, &name), BODY).status, 200, "{name}");
        for path in
            [format!("/v1/models/{asked}"), format!("/v2/models/{asked}"), format!("/api/v1/service/{asked}/docs")]
        {
            assert_eq!(told(server.request("GET", &path, &[], b"")), name, "{path}");
        }
        assert_eq!(told(server.admin(&format!("/api/v1/service/{asked}"))), name);
    }
    let unknown = server.post("/api/v1/service/nothing/score", BODY);
    assert!(unknown.status == 404 && !unknown.text().contains("calls it"));
}

#[test]
fn models_of_one_name_fail_by_themselves() {
    let server = serving(&["My Model.onnx", "my-model.onnx", "other.onnx"]);
    assert_eq!(server.post("/api/v1/service/other/score", BODY).status, 200);
    let refused = server.post("/api/v1/service/my-model/score", BODY);
    assert_eq!((refused.status, refused.code().as_str()), (503, "model_not_loaded"));
    let status = server.admin("/api/v1/service/my-model");
    for told in ["My Model.onnx", "my-model.onnx", "other-name="] {
        assert!(status.text().contains(told), "{}", status.text());
    }
    assert_eq!(server.admin("/readyz").status, 200);
}

#[test]
fn what_is_wrong_with_one_folder_stops_no_other() {
    let start = Start::with(FakeEngine::echo());
    let folder = start.file("marker", "").replace("marker", "models");
    let folder = std::path::Path::new(&folder);
    for name in ["good", "described", "sampled"] {
        fs::create_dir_all(folder.join(name).join("1")).unwrap();
        identity().write(&folder.join(name).join("1/model.onnx"));
    }
    let pipe = |path: &str| {
        let made = std::process::Command::new("mkfifo").arg(folder.join(path)).status();
        assert!(made.unwrap().success());
    };
    // Whoever opens a pipe and waits for its other end waits for ever.
    pipe("described/config.pbtxt");
    pipe("sampled/1/sample_input.json");
    fs::create_dir_all(folder.join("numbered/1")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("gone")).unwrap();
    let server = start.argument(folder.display().to_string()).ready();
    for (name, status) in [("good", 200), ("sampled", 200), ("described", 503), ("numbered", 503), ("gone", 503)] {
        assert_eq!(server.post(&format!("/api/v1/service/{name}/score"), BODY).status, status, "{name}");
    }
}

#[test]
fn keys_that_cannot_be_read_close_their_own_endpoint_alone() {
    let start = Start::with(FakeEngine::echo()).model("a", &identity()).model("b", &identity()).set("auth", "key");
    let keys = start.file("marker", "").replace("marker", "state/keys");
    fs::create_dir_all(&keys).unwrap();
    fs::write(std::path::Path::new(&keys).join("a.json"), "no keys").unwrap();
    let server = start.ready();
    let key = format!("Bearer {}", server.key("b"));
    let score = |name: &str| {
        let path = format!("/api/v1/service/{name}/score");
        server.request("POST", &path, &[("authorization", &key)], BODY.as_bytes()).status
    };
    assert_eq!((score("b"), score("a")), (200, 503));
}

#[test]
fn options_is_answered_as_a_probe_on_both_ports() {
    let server = serving(&["a.onnx"]);
    for path in ["/", "*", "/livez", "/readyz", "/healthz"] {
        assert_eq!(server.request("OPTIONS", path, &[], b"").status, 200, "{path}");
        assert_eq!(server.connect_admin().request("OPTIONS", path, &[], b"").status, 200, "{path}");
    }
    assert_eq!(server.request("OPTIONS", "/v2/health/ready", &[], b"").status, 200);
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    let answer = server.request("OPTIONS", "/", &preflight, b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
