//! Connections and bodies: use and reuse, refusals that arrive, HTTP/2.

use scoria::engine::fake::FakeEngine;

use crate::server::{Server, Start, identity};

const GOOD: &[u8] = br#"{"data": [[1, 2]]}"#;

fn start() -> Start {
    Start::with(FakeEngine::echo()).model("echo", &identity())
}

fn head(extra: &str) -> Vec<u8> {
    format!("POST /score HTTP/1.1\r\nhost: test\r\n{extra}\r\n\r\n").into_bytes()
}

fn still_serves(server: &Server) {
    assert_eq!(server.post("/score", GOOD).status, 200);
}

#[test]
fn a_connection_is_used_again_after_success_and_after_a_refusal() {
    let server = start().ready();
    let mut connection = server.connect();
    for body in [GOOD, b"not JSON", GOOD] {
        connection.request("POST", "/score", &[], body);
    }
    assert_eq!(connection.request("POST", "/nowhere", &[], GOOD).status, 404);
    assert_eq!(connection.request("POST", "/score", &[], GOOD).status, 200);
}

#[test]
fn a_chunked_body_is_read_in_pieces() {
    let server = start().ready();
    let mut connection = server.connect();
    connection.send(&head("transfer-encoding: chunked"));
    for piece in GOOD.chunks(1) {
        connection.send(&[b"1\r\n", piece, b"\r\n"].concat());
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.answer().unwrap().text(), "[[1.0,2.0]]");
}

#[test]
fn a_body_beyond_the_limit_is_refused_while_it_is_still_being_sent() {
    let server = start().set("max_body_bytes", "1000").ready();
    let mut announced = server.connect();
    announced.send(&head("content-length: 100000000"));
    // Far more than any socket buffer holds, so that a server which merely closed would be answered by a reset.
    let piece = vec![b' '; 1 << 20];
    for _ in 0..20 {
        announced.send(&piece);
    }
    let answer = announced.answer().expect("the refusal arrives");
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert_eq!(answer.header("connection"), Some("close"));

    let mut chunked = server.connect();
    chunked.send(&head("transfer-encoding: chunked"));
    for _ in 0..20 {
        chunked.send(&[b"100000\r\n", piece.as_slice(), b"\r\n"].concat());
    }
    assert_eq!(chunked.answer().expect("the refusal arrives").status, 413);
    still_serves(&server);
}

#[test]
fn a_client_that_waits_to_be_told_to_send_is_refused_without_having_sent() {
    let server = start().set("max_body_bytes", "1000").ready();
    let mut connection = server.connect();
    connection.send(&head("content-length: 2000\r\nexpect: 100-continue"));
    assert_eq!(connection.answer().unwrap().status, 413);
    let mut connection = server.connect();
    connection.send(&head(&format!("content-length: {}\r\nexpect: 100-continue", GOOD.len())));
    assert_eq!(connection.answer().unwrap().status, 100);
    connection.send(GOOD);
    assert_eq!(connection.answer().unwrap().status, 200);
}

#[test]
fn a_client_that_hangs_up_within_its_first_bytes_is_let_go_at_once() {
    let server = start().ready();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"PRI").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // The end of the stream, long before the ten seconds that a silent client has.
    assert!(matches!(std::io::Read::read(&mut stream, &mut [0; 1]), Ok(0) | Err(_)));
    server.wait_for_metric(r#"scoria_connections{port="scoring"}"#, 0.0);
}

#[test]
fn http2_by_prior_knowledge_shares_the_port() {
    let server = start().ready();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = |body: &'static [u8]| {
            hyper::Request::post("http://test/score")
                .body(http_body_util::Full::new(bytes::Bytes::from_static(body)))
                .unwrap()
        };
        let (good, bad) = tokio::join!(client.clone().send_request(request(GOOD)), client.send_request(request(b"[")));
        assert_eq!((good.unwrap().status(), bad.unwrap().status()), (200.into_status(), 400.into_status()));
    });
}

trait IntoStatus {
    fn into_status(self) -> hyper::StatusCode;
}

impl IntoStatus for u16 {
    fn into_status(self) -> hyper::StatusCode {
        hyper::StatusCode::from_u16(self).unwrap()
    }
}

#[test]
fn a_request_has_one_host() {
    let server = start().ready();
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let mut connection = server.connect();
        let head = format!("POST /score HTTP/1.1\r\n{hosts}content-length: {}\r\n\r\n", GOOD.len());
        connection.send(&[head.as_bytes(), GOOD].concat());
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_host"), "{hosts:?}");
    }
    let mut old = server.connect();
    old.send(&[format!("POST /score HTTP/1.0\r\ncontent-length: {}\r\n\r\n", GOOD.len()).as_bytes(), GOOD].concat());
    assert_eq!(old.answer().unwrap().status, 200, "HTTP/1.0 knows no Host");
}
