//! Operations on endpoints over the admin port, and keys.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::client::Answer;
use crate::fleet::{BODY, Fleet, versioned, wait_for};
use crate::server::{Server, Start, identity};
use scoria::engine::fake::FakeEngine;
use scoria::tensor::DType;

use crate::support::onnx::{Model, Node, tensor};

fn ask(server: &Server, method: &str, path: &str, key: Option<&str>, body: &Json) -> Answer {
    let authorization = key.map(|key| format!("Bearer {key}"));
    let mut headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    let bytes = if method == "POST" { body.to_string().into_bytes() } else { Vec::new() };
    headers.push(("content-type", "application/json"));
    server.connect_admin().request(method, &format!("/api/v1/endpoints{path}"), &headers, &bytes)
}

fn score(server: &Server, endpoint: &str, key: &str) -> u16 {
    let authorization = format!("Bearer {key}");
    let path = format!("/api/v1/service/{endpoint}/score");
    server.request("POST", &path, &[("authorization", &authorization)], BODY.as_bytes()).status
}

/// Waits until a key is good. They are made right after the endpoint, and seen by one of the next looks.
fn wait_for_key(server: &Server, endpoint: &str, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while score(server, endpoint, key) != 200 {
        assert!(Instant::now() < deadline, "the key of {endpoint} was never taken");
        std::thread::yield_now();
    }
}

#[test]
fn the_life_of_an_endpoint_over_http() {
    let fleet = Fleet::of_two_versions();
    let other = Model::new().input("x", tensor(DType::F32, "N,3")).output("y", tensor(DType::F32, "N,3"));
    fleet.register("other", &other.node(Node::new("Identity", &["x"], &["y"])));
    let server = fleet.start().set("auth", "key").ready();
    let admin = server.admin_key();
    let post = |path: &str, body: Json| ask(&server, "POST", path, Some(&admin), &body);
    let get = |path: &str| ask(&server, "GET", path, Some(&admin), &Json::Null).json();

    let made = post("/house/deploy", json!({ "model": "m:1", "reason": "the first" }));
    assert_eq!(made.status, 200, "{}", made.text());
    let key = made.json()["keys"]["primary"].as_str().unwrap().to_owned();
    wait_for(&server, "house", "blue", "m:1");
    wait_for_key(&server, "house", &key);
    assert_eq!((score(&server, "house", &key), score(&server, "house", &admin)), (200, 401));

    let second =
        post("/house/deploy", json!({ "model": "m", "traffic": 10, "settings": { "scoring_timeout_ms": 500 } }));
    assert_eq!((second.status, &second.json()["keys"]), (200, &Json::Null), "keys are shown once");
    wait_for(&server, "house", "green", "m:2");
    let split = post("/house/traffic", json!({ "shares": { "green": 40.5 } })).json();
    assert_eq!(
        (&split["deployments"][0]["traffic"], &split["deployments"][1]["traffic"]),
        (&59.5.into(), &40.5.into())
    );
    assert_eq!(post("/house/mirror", json!({ "shares": { "blue": 5 } })).status, 200);
    assert_eq!(post("/house/update", json!({ "deployment": "blue", "model": "m:2" })).status, 200);
    let back = post("/house/rollback", json!({ "to": 1, "reason": "enough" })).json();
    assert_eq!(back["why"], "rolled back to revision 1: enough");

    let history = get("/house/history?limit=2");
    let revisions = history["revisions"].as_array().unwrap();
    assert_eq!((revisions.len(), &revisions[0]["revision"]), (2, &6.into()));
    assert!(revisions[0]["by"].as_str().unwrap().starts_with("admin key "), "{history}");
    assert_eq!(get("")["endpoints"][0]["name"], "house");

    for (path, body, status, code) in [
        ("/house/traffic", json!({ "shares": { "bleu": 1 } }), 404, "not_found"),
        ("/hause/traffic", json!({ "shares": {} }), 404, "not_found"),
        ("/house/traffic", json!({ "shares": { "blue": 101 } }), 400, "bad_operation"),
        ("/house/traffic", json!({ "share": {} }), 400, "bad_operation"),
        ("/house/deploy", json!({ "model": "other" }), 412, "refused_as_it_is"),
        ("/house/deploy", json!({ "model": "m:9" }), 404, "not_found"),
        ("/house/deploy", json!({ "model": "m:2", "name": "blue" }), 409, "conflict"),
        ("/house/deploy", json!({ "model": "m:2", "settings": { "listen": "x" } }), 400, "bad_operation"),
        ("/house/delete", json!({ "deployment": "blue" }), 412, "refused_as_it_is"),
        ("/..%2fx/deploy", json!({ "model": "m:2" }), 400, "bad_operation"),
        ("/house/rollback", json!({ "to": 99 }), 404, "not_found"),
        ("/house/follow", json!({ "follow": { "model": "mm" } }), 404, "not_found"),
    ] {
        let answer = post(path, body.clone());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}: {}", answer.text());
    }
    let near = post("/house/traffic", json!({ "shares": { "bleu": 1 } })).text().to_owned();
    assert!(near.contains("did you mean 'blue'?"), "{near}");
    assert_eq!(post("/house/delete", json!({})).status, 200);
    let gone = ask(&server, "GET", "/house", Some(&admin), &Json::Null);
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("was deleted in revision 7"), "{}", gone.text());
    assert_eq!(get("/house/history")["revisions"][0]["deleted"], true);
}

#[test]
fn keys_are_replaced_one_at_a_time_and_kept_as_digests() {
    let fleet = Fleet::of_two_versions();
    let server = fleet.start().set("auth", "key").ready();
    let keys = fleet.deploy("a", "m:1").keys.expect("it is new");
    let others = fleet.deploy("b", "m:1").keys.expect("it is new");
    wait_for(&server, "a", "blue", "m:1");
    wait_for(&server, "b", "blue", "m:1");
    for (endpoint, keys) in [("a", &keys), ("b", &others)] {
        wait_for_key(&server, endpoint, keys.primary.reveal());
    }
    let (primary, secondary) = (keys.primary.reveal(), keys.secondary.reveal());
    assert_eq!((score(&server, "a", primary), score(&server, "a", secondary)), (200, 200));
    assert_eq!(score(&server, "a", others.primary.reveal()), 403, "a key of another endpoint");

    let admin = server.admin_key();
    let rotated = ask(&server, "POST", "/a/keys/rotate", Some(&admin), &json!({ "slot": "primary" })).json();
    let fresh = rotated["key"].as_str().unwrap();
    wait_for_key(&server, "a", fresh);
    assert_eq!((score(&server, "a", primary), score(&server, "a", secondary)), (401, 200));
    let told = ask(&server, "GET", "/a/keys", Some(&admin), &Json::Null).text().to_owned();
    assert!(told.contains("\"id\"") && !told.contains(&fresh[7..]));
    // Nothing of a key itself is in the registry.
    let mut folders = vec![fleet.path()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let bytes = std::fs::read(&entry).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                assert!([primary, secondary, fresh].iter().all(|key| !text.contains(&key[7..])), "{}", entry.display());
            }
        }
    }
    // A rollback does not bring an old key back.
    fleet.update("a", "blue", "m:2");
    assert_eq!(ask(&server, "POST", "/a/rollback", Some(&admin), &json!({})).status, 200);
    wait_for(&server, "a", "blue", "m:1");
    assert_eq!(score(&server, "a", primary), 401);
}

#[test]
fn operations_are_for_administrators_and_for_programs() {
    let fleet = Fleet::of_two_versions();
    let server = fleet.start().set("auth", "key").ready();
    let key = fleet.deploy("a", "m:1").keys.expect("it is new");
    wait_for(&server, "a", "blue", "m:1");
    wait_for_key(&server, "a", key.primary.reveal());
    let body = json!({ "shares": {} });
    assert_eq!(ask(&server, "POST", "/a/traffic", None, &body).status, 401);
    assert_eq!(ask(&server, "POST", "/a/traffic", Some("scoria_nonsense"), &body).status, 401);
    assert_eq!(ask(&server, "POST", "/a/traffic", Some(key.primary.reveal()), &body).code(), "admin_key_required");
    let admin = format!("Bearer {}", server.admin_key());
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = [&[("authorization", admin.as_str())], headers].concat();
        server.connect_admin().request("POST", "/api/v1/endpoints/a/traffic", &headers, body)
    };
    // What a web page can send without asking first.
    assert_eq!(send(&[("content-type", "text/plain")], b"{\"shares\": {}}").status, 415);
    assert_eq!(send(&[], b"{\"shares\": {}}").status, 415);
    let json = [("content-type", "application/json")];
    assert_eq!(send(&json, &vec![b' '; 70_000]).status, 413);
    assert_eq!(send(&json, b"{").code(), "bad_operation");
    assert_eq!(server.connect_admin().request("GET", "/api/v1/endpoints/a/traffic", &[], b"").status, 405);

    let files = Start::with(FakeEngine::echo()).model("echo", &identity()).ready();
    assert_eq!(ask(&files, "GET", "", None, &Json::Null).code(), "no_registry");
}

#[test]
fn those_who_deploy_at_the_same_time_share_one_history() {
    let fleet = Fleet::new();
    fleet.register("m", &versioned(1.0));
    let names: Vec<String> = (0..12).map(|number| format!("d{number}")).collect();
    let shown = std::thread::scope(|scope| {
        let deploy = |name: &String| {
            let (name, operations) = (name.clone(), fleet.operations());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let addition = |model, profile| scoria::control::operations::Addition {
                    profile,
                    name: Some(crate::fleet::name(&name)),
                    model,
                    traffic: None,
                    settings: Default::default(),
                };
                let (model, amendment) = ("m".parse().unwrap(), Default::default());
                let change = crate::fleet::change(&name);
                let endpoint = crate::fleet::name("e");
                let deployed = operations.deploy(&endpoint, &model, addition, &amendment, &change);
                runtime.block_on(deployed).unwrap().keys.is_some()
            })
        };
        let threads: Vec<_> = names.iter().map(deploy).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|shown| *shown).count()
    });
    assert_eq!(shown, 1, "the keys that hold are shown once");
    let history = fleet.run(fleet.operations().history(&crate::fleet::name("e"), 100)).unwrap();
    let numbers: Vec<_> = history.iter().rev().map(|revision| revision.revision).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_eq!(history[0].deployments.len(), 12);
}
