//! System shared memory over REST: regions are registered, used and bounded.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use scoria::engine::fake::FakeEngine;
use serde_json::json;

use crate::server::{Server, Start, identity};

/// An object of shared memory, removed with the test.
struct Object {
    name: String,
}

impl Object {
    fn new(bytes: &[u8]) -> Object {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let object = Object { name: format!("scoria-it-{}-{number}", std::process::id()) };
        fs::write(object.path(), bytes).expect("the system has shared memory");
        object
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.name)
    }

    fn register(&self, server: &Server, region: &str, offset: u64, byte_size: u64) -> u16 {
        let body = json!({ "key": format!("/{}", self.name), "offset": offset, "byte_size": byte_size });
        let path = format!("/v2/systemsharedmemory/region/{region}/register");
        server.post(&path, body.to_string()).status
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        drop(fs::remove_file(self.path()));
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn start() -> Start {
    Start::with(FakeEngine::echo()).model("echo", &identity()).set("system_shared_memory", "true")
}

fn infer(region: &str, bytes: usize, output: Option<&str>) -> String {
    let parameters = json!({ "shared_memory_region": region, "shared_memory_byte_size": bytes });
    let mut request = json!({
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": parameters }],
    });
    if let Some(output) = output {
        let parameters = json!({ "shared_memory_region": output, "shared_memory_byte_size": bytes });
        request["outputs"] = json!([{ "name": "y", "parameters": parameters }]);
    }
    request.to_string()
}

#[test]
fn tensors_come_from_regions_and_go_into_them() {
    let server = start().ready();
    let object = Object::new(&[floats(&[1.0, 2.0, 3.0, 4.0]), vec![0; 16]].concat());
    assert_eq!(object.register(&server, "in", 0, 16), 200);
    assert_eq!(object.register(&server, "out%20put", 16, 16), 200);
    let answer = server.post("/v2/models/echo/infer", infer("in", 16, Some("out put")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let output = &answer.json()["outputs"][0];
    assert_eq!(output, &json!({ "name": "y", "datatype": "FP32", "shape": [2, 2] }), "no parameters, no data");
    assert_eq!(fs::read(object.path()).unwrap()[16..], floats(&[1.0, 2.0, 3.0, 4.0]));

    let status = server.request("GET", "/v2/systemsharedmemory/status", &[], b"").json();
    assert_eq!(status[1]["name"], "out put");
    assert_eq!(status[0], json!({ "name": "in", "key": format!("/{}", object.name), "offset": 0, "byte_size": 16 }));
    let metadata = server.request("GET", "/v2", &[], b"").json();
    assert!(metadata["extensions"].as_array().unwrap().contains(&json!("system_shared_memory")));
    assert_eq!(server.post("/v2/systemsharedmemory/region/in/unregister", "").status, 200);
    assert_eq!(server.request("GET", "/v2/systemsharedmemory/region/in/status", &[], b"").status, 404);
    assert_eq!(server.post("/v2/systemsharedmemory/unregister", "").status, 200);
    assert_eq!(server.request("GET", "/v2/systemsharedmemory/status", &[], b"").json(), json!([]));
}

#[test]
fn no_region_is_reached_that_was_not_given() {
    let server = start().ready();
    let object = Object::new(&floats(&[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(object.register(&server, "in", 0, 17), 400, "beyond the object");
    assert_eq!(object.register(&server, "in", 0, 16), 200);
    assert_eq!(object.register(&server, "in", 0, 16), 400, "a second time");
    for body in [infer("other", 16, None), infer("in", 20, None), infer("in", 16, Some("other"))] {
        let answer = server.post("/v2/models/echo/infer", body);
        assert!((400..500).contains(&answer.status), "{}", answer.text());
    }
    fs::File::options().write(true).open(object.path()).unwrap().set_len(3).unwrap();
    let answer = server.post("/v2/models/echo/infer", infer("in", 16, None));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("has been cut off"), "{}", answer.text());
    let register = |key: &str| {
        let body = json!({ "key": key, "offset": 0, "byte_size": 1 }).to_string();
        server.post("/v2/systemsharedmemory/region/r/register", body).status
    };
    for key in ["/../../etc/passwd", "/etc/passwd", "", "/.", "/none"] {
        assert_eq!(register(key), 400, "{key}");
    }
    assert_eq!(server.post("/v2/systemsharedmemory/region/r/register", "{}").status, 400);
}

#[test]
fn it_is_off_unless_it_is_asked_for_and_then_forgets_politely() {
    let server = Start::with(FakeEngine::echo()).model("echo", &identity()).ready();
    let object = Object::new(&floats(&[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(object.register(&server, "in", 0, 16), 400);
    let page = [("origin", "https://example.org")];
    assert_eq!(server.request("POST", "/v2/systemsharedmemory/unregister", &page, b"").status, 403);
    for memory in ["systemsharedmemory", "cudasharedmemory"] {
        assert_eq!(server.post(&format!("/v2/{memory}/unregister"), "").status, 200);
        assert_eq!(server.post(&format!("/v2/{memory}/region/r/unregister"), "").status, 200);
        assert_eq!(server.request("GET", &format!("/v2/{memory}/status"), &[], b"").json(), json!([]));
        assert_eq!(server.request("GET", &format!("/v2/{memory}/region/r/status"), &[], b"").status, 404);
    }
    assert_eq!(server.post("/v2/cudasharedmemory/region/r/register", "{}").status, 400);
    assert!(server.post("/v2/models/echo/infer", infer("in", 16, None)).text().contains("takes no shared memory"));
}

#[test]
fn a_key_is_needed_to_register() {
    let server = start().set("auth", "key").ready();
    let object = Object::new(&floats(&[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(object.register(&server, "in", 0, 16), 401);
    let body = json!({ "key": format!("/{}", object.name), "byte_size": 16 }).to_string();
    let path = "/v2/systemsharedmemory/region/in/register";
    for (key, status) in [("scoria_wrong".to_owned(), 401), (server.key("echo"), 200)] {
        let key = format!("Bearer {key}");
        assert_eq!(server.request("POST", path, &[("authorization", &key)], body.as_bytes()).status, status);
    }
}
