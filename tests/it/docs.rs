//! Swagger UI as it is served; `tests/real/test_docs.py` uses it in a browser.

use scoria::engine::fake::FakeEngine;

use crate::client::Answer;
use crate::server::{Server, Start, identity};

fn server() -> Server {
    Start::with(FakeEngine::echo()).model("a", &identity()).model("b", &identity()).ready()
}

fn get(server: &Server, path: &str) -> Answer {
    server.request("GET", path, &[], b"")
}

/// The paths of the files that a page asks for, from the root.
fn files_of(page: &Answer, below: &str) -> Vec<String> {
    let quoted = page.text().split('"').skip(1).step_by(2);
    let files: Vec<_> = quoted.filter(|text| text.contains("/docs/")).map(str::to_owned).collect();
    assert_eq!(files.len(), 4, "{}", page.text());
    files.iter().map(|file| file.strip_prefix(below).unwrap_or_else(|| panic!("{file}")).to_owned()).collect()
}

#[test]
fn the_pages_are_guarded_and_their_files_are_there() {
    let server = server();
    for (path, root) in [("/docs", "."), ("/api/v1/service/b/docs", "../../../..")] {
        let page = get(&server, path);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"));
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            assert_eq!(page.header(name), Some(value));
        }
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert!(!page.text().contains("//"), "no link leads to another host");
        for file in files_of(&page, root) {
            let asset = get(&server, &file);
            assert_eq!(asset.status, 200, "{file}");
            assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
            assert_eq!(
                (asset.header("x-content-type-options"), asset.header("vary")),
                (Some("nosniff"), Some("accept-encoding"))
            );
            let tag = asset.header("etag").unwrap();
            let known = server.request("GET", &file, &[("if-none-match", tag)], b"");
            assert_eq!((known.status, known.body.len()), (304, 0));
        }
        let tag = page.header("etag").unwrap();
        assert_eq!(server.request("GET", path, &[("if-none-match", tag)], b"").status, 304);
    }
}

#[test]
fn files_are_sent_compressed_to_those_who_take_it() {
    let server = server();
    let files = files_of(&get(&server, "/docs"), ".");
    let script = files.iter().find(|file| file.ends_with("swagger-ui-bundle.js")).unwrap();
    let plain = get(&server, script);
    assert!(plain.header("content-encoding").is_none() && plain.text().contains("SwaggerUI"));
    let zipped = server.request("GET", script, &[("accept-encoding", "br, gzip")], b"");
    assert_eq!((zipped.header("content-encoding"), &zipped.body[..2]), (Some("gzip"), &[0x1f, 0x8b][..]));
    assert!(zipped.body.len() < plain.body.len() / 3);
    assert_ne!(zipped.header("etag"), plain.header("etag"));
}

#[test]
fn what_is_no_page_and_no_file_of_one_is_404() {
    let server = server();
    let files = files_of(&get(&server, "/docs"), ".");
    let digest = files[0].split('/').nth(2).unwrap();
    for path in [
        "/docs/",
        &format!("/docs/{digest}"),
        &format!("/docs/{digest}/"),
        &format!("/docs/{digest}/nothing.js"),
        &format!("/docs/{digest}/../../Cargo.toml"),
        &format!("/docs/{digest}/%2e%2e/LICENSE"),
        "/docs/0123456789abcdef/start.js",
        "/api/v1/service/b/docs/start.js",
    ] {
        let answer = get(&server, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_route"), "{path}");
    }
    let answer = get(&server, "/api/v1/service/c/docs");
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_endpoint"));
    for path in ["/docs", files[0].as_str()] {
        let answer = server.post(path, "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    }
    let mut connection = server.connect();
    connection.send(b"HEAD /docs HTTP/1.1\r\nhost: test\r\n\r\nGET /livez HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(connection.head().map(|answer| answer.status), Some(200));
    assert_eq!(connection.answer().map(|answer| answer.body), Some(b"ok".to_vec()), "HEAD has no body");
}

#[test]
fn an_operator_can_do_without() {
    let server = Start::with(FakeEngine::echo()).model("a", &identity()).set("docs", "false").ready();
    for path in ["/docs", "/api/v1/service/a/docs"] {
        let answer = get(&server, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_route"), "{path}");
    }
    assert_eq!(get(&server, "/openapi.json").status, 200, "the documents stay");
}
