//! Models of the registry, over the admin port.

use serde_json::{Value as Json, json};

use crate::client::Answer;
use crate::fleet::Fleet;
use crate::server::Server;

fn ask(server: &Server, method: &str, path: &str, body: &Json) -> Answer {
    let authorization = format!("Bearer {}", server.admin_key());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let bytes = if method == "POST" { body.to_string().into_bytes() } else { Vec::new() };
    server.connect_admin().request(method, &format!("/api/v1/models{path}"), &headers, &bytes)
}

fn versions(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let models = answer.json()["models"].as_array().unwrap().clone();
    models.iter().map(|model| format!("{}:{}", model["name"].as_str().unwrap(), model["version"])).collect()
}

#[test]
fn models_are_found_described_archived_and_deleted() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("house", "m:1");
    let server = fleet.start().set("auth", "key").ready();
    let get = |path: &str| ask(&server, "GET", path, &Json::Null);
    let post = |path: &str, body: Json| ask(&server, "POST", path, &body);

    assert_eq!(versions(&get("")), ["m:2", "m:1"]);
    let tagged =
        post("/m/1/tag", json!({ "tags": { "stage": "prod" }, "properties": { "commit": "1a" }, "reason": "tried" }));
    assert_eq!((tagged.status, &tagged.json()["tags"]), (200, &json!({ "stage": "prod" })), "{}", tagged.text());
    assert_eq!(versions(&get("?tag=stage%3Dprod")), ["m:1"]);
    assert_eq!(versions(&get("/m?property=commit")), ["m:1"]);
    assert_eq!(versions(&get("?latest=true")), ["m:2"]);
    assert_eq!(get("/m/1").json()["properties"], json!({ "commit": "1a" }));

    assert_eq!(post("/m/2/archive", json!({})).status, 200);
    assert_eq!(get("/m/latest").json()["version"], 1);
    assert_eq!(versions(&get("/m?archived=true")), ["m:2", "m:1"]);
    assert_eq!(post("/m/2/restore", json!({})).status, 200);

    for (path, body, status, code) in [
        ("/m/1/tag", json!({ "properties": { "commit": "2b" } }), 409, "conflict"),
        ("/m/1/tag", json!({}), 400, "bad_operation"),
        ("/m/1/tag", json!({ "tag": {} }), 400, "bad_operation"),
        ("/m/9/tag", json!({ "tags": { "a": "b" } }), 404, "not_found"),
        ("/m/0/archive", json!({}), 400, "bad_operation"),
        ("/..%2fm/1/archive", json!({}), 400, "bad_operation"),
        ("/m/1/delete", json!({}), 412, "refused_as_it_is"),
    ] {
        let answer = post(path, body.clone());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}: {}", answer.text());
    }
    assert!(post("/m/1/delete", json!({})).text().contains("endpoint house"));
    let deleted = post("/m/2/delete", json!({ "reason": "no longer needed" }));
    assert_eq!((deleted.status, &deleted.json()["deleted"]), (200, &json!("m:2")), "{}", deleted.text());
    assert_eq!(get("/m/2").status, 404);
    assert_eq!(get("?nonsense=1").code(), "bad_operation");
    assert_eq!(server.connect_admin().request("GET", "/api/v1/models", &[], b"").status, 401);
}
