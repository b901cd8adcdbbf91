//! What a client may take: time, size, number. Each limit is set so low that it is reached, and the answer is the one that the
//! reference promises; a well-behaved client beside it notices nothing.

use std::io::Read;
use std::net::TcpStream;

use scoria::engine::fake::FakeEngine;
use scoria::tensor::DType;

use crate::client::Connection;
use crate::scheduling::{begin, gated};
use crate::server::{Server, Start, identity};
use crate::support::onnx::{Model, Node, unranked};

const GOOD: &[u8] = br#"{"data": [[1, 2]]}"#;

/// Longer than any test takes.
const FOREVER_MS: &str = "3600000";

fn start() -> Start {
    Start::with(FakeEngine::echo()).model("echo", &identity())
}

fn closed(reason: &str) -> String {
    format!(r#"scoria_connections_closed_total{{port="scoring",reason="{reason}"}}"#)
}

fn head(extra: &str) -> Vec<u8> {
    format!("POST /score HTTP/1.1\r\nhost: test\r\n{extra}\r\n\r\n").into_bytes()
}

fn still_serves(server: &Server) {
    assert_eq!(server.post("/score", GOOD).status, 200);
}

/// HTTP/2 by hand, for clients that no library would be.
mod h2 {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const HEADERS: u8 = 1;
    pub const END_STREAM_AND_HEADERS: u8 = 5;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A header block (RFC 7541) of `GET /healthz`: two entries of the static table, and two literals with names from it.
    pub fn get_healthz() -> Vec<u8> {
        [&[0x82, 0x86, 0x04, 8][..], b"/healthz", &[0x01, 4], b"test"].concat()
    }
}

/// Reads frames until one of this kind comes; false if the server closes first.
fn read_until_frame(stream: &mut TcpStream, kind: u8) -> bool {
    loop {
        let mut header = [0; 9];
        if stream.read_exact(&mut header).is_err() {
            return false;
        }
        if header[3] == kind {
            return true;
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink()).unwrap();
    }
}

#[test]
fn header_timeout_ends_silence_and_heads_that_do_not_end() {
    let server = start().set("header_timeout_ms", "50").set("keep_alive_timeout_ms", FOREVER_MS).ready();
    let mut good = server.connect();
    assert_eq!(good.request("POST", "/score", &[], GOOD).status, 200);
    let open_block =
        [h2::PREFACE, &h2::frame(h2::SETTINGS, 0, 0, b""), &h2::frame(h2::HEADERS, 0, 1, b"\x82")].concat();
    let half_frame = [h2::PREFACE, &h2::frame(h2::SETTINGS, 0, 0, b"")[..5]].concat();
    for first in
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"POST /score HTTP/1.1\r\nhost:", h2::PREFACE, &half_frame, &open_block]
    {
        let mut connection = server.connect();
        connection.send(first);
        connection.drain();
        assert!(connection.is_closed(), "{first:?}");
    }
    let mut second_head = server.connect();
    assert_eq!(second_head.request("POST", "/score", &[], GOOD).status, 200);
    second_head.send(b"POST /sc");
    assert!(second_head.is_closed(), "a head has to end, the second as the first");
    server.wait_for_metric(&closed("header_timeout"), 8.0);
    // It has paused for longer than a head may take, which is another thing.
    assert_eq!(good.request("POST", "/score", &[], GOOD).status, 200);
}

#[test]
fn header_timeout_is_not_for_bodies_or_runs() {
    let (server, gate, _) = gated(&[("header_timeout_ms", "20"), ("keep_alive_timeout_ms", "20")]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let mut sending = server.connect();
    sending.send(&head(&format!("content-length: {}", GOOD.len())));
    sending.send(&GOOD[..5]);
    let mut silent = server.connect();
    assert!(silent.is_closed(), "the time for a head has passed");
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    sending.send(&GOOD[5..]);
    assert_eq!(sending.answer().unwrap().status, 200);
}

#[test]
fn keep_alive_timeout_ends_pauses_between_requests() {
    let server = start().set("keep_alive_timeout_ms", "50").ready();
    let mut connection = server.connect();
    for _ in 0..2 {
        assert_eq!(connection.request("POST", "/score", &[], GOOD).status, 200);
    }
    assert!(connection.is_closed());
    server.wait_for_metric(&closed("idle"), 1.0);
}

#[test]
fn keep_alive_timeout_is_announced_on_http2_whatever_the_client_pings() {
    let server = start().set("keep_alive_timeout_ms", "100").ready();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let opening = [h2::PREFACE, &h2::frame(h2::SETTINGS, 0, 0, b"")].concat();
    std::io::Write::write_all(&mut stream, &opening).unwrap();
    let mut pings = stream.try_clone().unwrap();
    let pinging =
        std::thread::spawn(
            move || while std::io::Write::write_all(&mut pings, &h2::frame(h2::PING, 0, 0, &[0; 8])).is_ok() {},
        );
    assert!(read_until_frame(&mut stream, h2::GOAWAY));
    drop(std::io::copy(&mut stream, &mut std::io::sink()));
    drop(stream);
    pinging.join().unwrap();
    still_serves(&server);
}

#[test]
fn body_timeout_is_a_408() {
    let server = start().set("body_timeout_ms", "50").ready();
    let mut silent = server.connect();
    silent.send(&head("content-length: 100"));
    silent.send(b"{");
    let answer = silent.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_timeout"));
    still_serves(&server);
}

#[test]
fn min_transfer_bytes_per_s_is_a_408_for_a_body() {
    let server = start().set("min_transfer_bytes_per_s", "1000000").ready();
    let mut slow = server.connect();
    slow.send(&head("content-length: 100"));
    slow.send(b"{");
    // After the five seconds that every client has, long before those of `body_timeout_ms`.
    let answer = slow.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_too_slow"));
    still_serves(&server);
}

#[test]
fn max_in_flight_bytes_is_a_429_and_large_promises_leave_room_for_small_bodies() {
    let server = start().set("max_in_flight_bytes", "400000").ready();
    let promise = || {
        let mut connection = server.connect();
        connection.send(&head("content-length: 150000"));
        connection
    };
    let mut promised = [promise(), promise()];
    server.wait_for_metric(r#"scoria_requests_in_flight{deployment="default",endpoint="echo"}"#, 2.0);
    let mut refused = promise();
    let answer = refused.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (429, "overloaded"));
    still_serves(&server);
    promised[0].send(&[vec![b' '; 150_000 - GOOD.len()].as_slice(), GOOD].concat());
    assert_eq!(promised[0].answer().unwrap().status, 200);
}

#[test]
fn a_lone_lf_does_not_end_a_line_of_a_head() {
    let server = start().ready();
    for head in [
        "GET /livez HTTP/1.1\nhost: a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\n\r\n",
        "\nGET /livez HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(head.as_bytes());
        assert_eq!(connection.answer().unwrap().status, 400, "{head:?}");
        assert!(connection.is_closed());
    }
    let mut reused = server.connect();
    assert_eq!(
        reused.request("POST", "/score", &[], b"{\"data\":\n[[1,\n2]]}\n\n").status,
        200,
        "a body has what lines it likes"
    );
    reused.send(b"GET /livez HTTP/1.1\nhost: a\r\n\r\n");
    assert_eq!(reused.answer().unwrap().status, 400, "the second head as the first");
}

#[test]
fn a_flood_of_frames_that_carry_nothing_is_ended_by_goaway() {
    let server = start().ready();
    for kind in [h2::PING, h2::WINDOW_UPDATE, 0xee] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let payload: &[u8] = match kind {
            h2::PING => &[0; 8],
            _ => &[0, 0, 0, 1],
        };
        let flood = h2::frame(kind, 0, 0, payload).repeat(20_000);
        let mut sending = stream.try_clone().unwrap();
        let opening = [h2::PREFACE, &h2::frame(h2::SETTINGS, 0, 0, b"")].concat();
        let sender = std::thread::spawn(move || std::io::Write::write_all(&mut sending, &[opening, flood].concat()));
        assert!(read_until_frame(&mut stream, h2::GOAWAY), "{kind}");
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
        drop(sender.join().unwrap());
    }
    still_serves(&server);
}

/// 16 MB, which is more than the sockets between us hold.
fn ask_for_much(server: &Server) -> Connection {
    let mut connection = server.connect();
    let body = vec![0; 16_000_000];
    let head = format!(
        "POST /score HTTP/1.1\r\nhost: test\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.send(&[head.as_bytes(), &body].concat());
    connection
}

#[test]
fn write_timeout_ends_a_client_that_takes_nothing() {
    let server = start().set("write_timeout_ms", "50").ready();
    let _takes_nothing = ask_for_much(&server);
    server.wait_for_metric(&closed("slow_client"), 1.0);
    server.wait_for_metric(r#"scoria_connections{port="scoring"}"#, 0.0);
    still_serves(&server);
}

#[test]
fn write_timeout_is_not_for_who_takes_it_all() {
    let server = start().set("keep_alive_timeout_ms", "20").ready();
    let mut connection = ask_for_much(&server);
    let mut silent = server.connect();
    assert_eq!(silent.request("POST", "/score", &[], GOOD).status, 200);
    assert!(silent.is_closed(), "the time between requests has passed, though not for an answer on its way");
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 16_000_000));
}

#[test]
fn write_timeout_ends_an_http2_client_that_opens_no_window() {
    let server = start().set("write_timeout_ms", "50").set("min_transfer_bytes_per_s", "1000000000").ready();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0, so that no byte of any body may be sent.
    let settings = h2::frame(h2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let request = h2::frame(h2::HEADERS, h2::END_STREAM_AND_HEADERS, 1, &h2::get_healthz());
    std::io::Write::write_all(&mut stream, &[h2::PREFACE, &settings, &request].concat()).unwrap();
    assert!(read_until_frame(&mut stream, h2::HEADERS), "the head needs no window");
    drop(std::io::copy(&mut stream, &mut std::io::sink()));
    server.wait_for_metric(&closed("slow_client"), 1.0);
    still_serves(&server);
}

#[test]
fn max_connections_makes_room_at_the_expense_of_who_asks_for_nothing() {
    let server = start().set("max_connections", "2").set("header_timeout_ms", FOREVER_MS).ready();
    let mut good = server.connect();
    assert_eq!(good.request("POST", "/score", &[], GOOD).status, 200);
    let mut silent = server.connect();
    let mut newcomer = server.connect();
    assert_eq!(newcomer.request("POST", "/score", &[], GOOD).status, 200);
    assert!(silent.is_closed());
    assert_eq!(
        good.request("POST", "/score", &[], GOOD).status,
        200,
        "who has been served is kept if there is a choice"
    );
    server.wait_for_metric(&closed("made_room"), 1.0);
}

#[test]
fn max_connections_never_ends_a_request_in_progress() {
    let (server, gate, _) = gated(&[("max_connections", "1")]);
    let mut running = begin(&server, "");
    gate.wait_for_arrivals(1);
    let mut waiting = begin(&server, "");
    gate.open();
    assert_eq!(running.answer().unwrap().status, 200);
    assert_eq!(waiting.answer().unwrap().status, 200);
}

#[test]
fn max_admin_connections_is_the_admin_ports_own() {
    let server = start().set("max_admin_connections", "1").ready();
    let _silent = server.connect_admin();
    assert_eq!(server.admin("/readyz").status, 200);
    let made_room = r#"scoria_connections_closed_total{port="admin",reason="made_room"}"#;
    assert!(server.metric(made_room).unwrap() >= 1.0);
    assert_eq!(server.metric(&closed("made_room")), Some(0.0));
}

#[test]
fn max_header_bytes_and_max_headers_are_a_431() {
    let server = start().set("max_headers", "10").ready();
    let many: String = (0..11).map(|index| format!("x-{index}: x\r\n")).collect();
    for extra in [format!("x-long: {}", "x".repeat(100_000)), many.trim_end().to_owned()] {
        let mut connection = server.connect();
        connection.send(&head(&extra));
        assert_eq!(connection.answer().unwrap().status, 431);
        assert!(connection.is_closed());
    }
    still_serves(&server);
}

#[test]
fn max_json_depth_and_max_rank_are_a_400() {
    let kind = || unranked(DType::F32);
    let any_rank = Model::new().input("x", kind()).output("y", kind()).node(Node::new("Identity", &["x"], &["y"]));
    let nested = |depth: usize| format!("{{\"data\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let start = || Start::with(FakeEngine::echo()).model("echo", &any_rank);
    let server = start().set("max_json_depth", "5").ready();
    assert_eq!(server.post("/score", nested(4)).status, 200, "four arrays in an object");
    assert_eq!(server.post("/score", nested(5)).code(), "malformed_body");
    let server = start().set("max_rank", "3").ready();
    assert_eq!(server.post("/score", nested(3)).status, 200);
    assert_eq!(server.post("/score", nested(4)).code(), "wrong_shape");
    let raw = |shape: &str| {
        let headers = [("content-type", "application/octet-stream"), ("x-scoria-shape", shape)];
        server.request("POST", "/score", &headers, &[0; 4])
    };
    assert_eq!(raw("1,1,1").status, 200);
    assert_eq!(raw("1,1,1,1").code(), "wrong_shape");
}

#[test]
fn admin_hosts_are_the_names_that_the_admin_port_answers_to() {
    let server = start().set("admin_hosts", "scoria.internal").ready();
    let ask = |path: &str, host: &str| {
        let mut connection = server.connect_admin();
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        connection.answer().unwrap()
    };
    for host in ["127.0.0.1", "localhost:8081", "[::1]", "scoria.internal"] {
        assert_eq!(ask("/metrics", host).status, 200, "{host}");
    }
    for path in ["/metrics", "/api/v1/service", "/nothing"] {
        let answer = ask(path, "rebound.example");
        assert_eq!((answer.status, answer.code().as_str()), (421, "unknown_host"), "{path}");
    }
    assert_eq!(ask("/readyz", "balancer.example").status, 200, "probes come under any name");
}
