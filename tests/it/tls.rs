//! TLS, from outside: what is spoken, who is let in, and certificates that change under traffic.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rcgen::date_time_ymd;
use scoria::engine::fake::FakeEngine;
use scoria::http::tls::{Occasion, Reload};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned, SupportedProtocolVersion,
};

use crate::authority::{ALL_VERSIONS, Authority, Pair, TlsConnection, connect, server_name};
use crate::client::Connection;
use crate::drain::Process;
use crate::server::{Server, Start, bundled, identity};

const GOOD: &[u8] = br#"{"data": [[1, 2]]}"#;

/// A server called `name`, whose certificate `authority` has issued.
pub fn start(authority: &Authority, name: &str) -> Start {
    let start = Start::with(FakeEngine::echo()).model("echo", &identity());
    let pair = authority.server(name);
    let (certificate, key) = (start.file("cert.pem", &pair.certificate), start.file("key.pem", &pair.key));
    // Only what a test asks for is to be reloaded.
    start.set("tls_cert", certificate).set("tls_key", key).set("tls_reload_interval_ms", "3600000")
}

fn exchange(server: &Server, pair: &Pair) {
    server.write("cert.pem", &pair.certificate);
    server.write("key.pem", &pair.key);
}

fn reload(server: &Server) -> Reload {
    server.app().scoring_tls.as_ref().expect("the port speaks TLS").reload(Occasion::Asked)
}

fn post(connection: &mut TlsConnection) -> u16 {
    connection.request("POST", "/score", &[], GOOD).status
}

/// What became of a handshake: TLS 1.3 has a client finish before the server has judged it, so that the verdict is read.
fn verdict(config: ClientConfig, address: SocketAddr) -> Result<ProtocolVersion, String> {
    let mut session = ClientConnection::new(Arc::new(config), server_name("localhost")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    session.writer().write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    while session.wants_write() {
        session.write_tls(&mut stream).map_err(|error| error.to_string())?;
    }
    let mut answer = String::new();
    tokio_rustls::rustls::Stream::new(&mut session, &mut stream)
        .read_to_string(&mut answer)
        .map_err(|error| error.to_string())?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(session.protocol_version().unwrap())
}

#[test]
fn both_versions_are_spoken_unless_the_older_is_ruled_out() {
    let authority = Authority::new("authority");
    let both = start(&authority, "localhost").ready();
    let ask = |server: &Server, versions: &[&'static SupportedProtocolVersion]| {
        verdict(authority.trusting(versions, None), server.address())
    };
    assert_eq!(ask(&both, &[&TLS12]), Ok(ProtocolVersion::TLSv1_2));
    assert_eq!(ask(&both, &[&TLS13]), Ok(ProtocolVersion::TLSv1_3));
    assert_eq!(ask(&both, ALL_VERSIONS), Ok(ProtocolVersion::TLSv1_3));
    let newer = start(&authority, "localhost").set("tls_min_version", "1.3").ready();
    let refused = ask(&newer, &[&TLS12]).unwrap_err();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    assert_eq!(ask(&newer, ALL_VERSIONS), Ok(ProtocolVersion::TLSv1_3));
    let failures = r#"scoria_tls_handshake_failures_total{port="scoring",reason="refused"}"#;
    assert_eq!(newer.metric(failures), Some(1.0));
}

#[test]
fn the_protocol_is_chosen_by_alpn() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").ready();
    let with_alpn = |protocols: &[&str]| {
        let mut config = authority.trusting(ALL_VERSIONS, None);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    };
    for protocols in [&["http/1.1"][..], &[]] {
        let mut connection = connect(&Arc::new(with_alpn(protocols)), server.address(), "localhost");
        let answer = connection.request("POST", "/score", &[], GOOD);
        assert_eq!((answer.status, answer.text()), (200, "[[1.0,2.0]]"));
        assert_eq!(connection.stream().conn.alpn_protocol(), protocols.first().map(|name| name.as_bytes()));
    }
    let refused = verdict(with_alpn(&["smtp"]), server.address()).unwrap_err();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(with_alpn(&["h2", "http/1.1"])));
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let stream = connector.connect(server_name("localhost"), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::post("https://localhost/score")
            .body(http_body_util::Full::new(bytes::Bytes::from_static(GOOD)))
            .unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_beyond_the_limit_is_refused_while_it_is_still_being_sent() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").set("max_body_bytes", "1000").ready();
    let mut connection = authority.connect(server.address(), "localhost");
    connection.send(b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n");
    let piece = vec![b' '; 1 << 20];
    for _ in 0..20 {
        connection.send(&piece);
    }
    let answer = connection.answer().expect("the refusal arrives");
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert_eq!(answer.header("connection"), Some("close"));
    // The end is that of TLS, which cannot be mistaken for a connection that was cut.
    assert!(matches!(connection.into_stream().read(&mut [0; 1]), Ok(0)));
    assert_eq!(post(&mut authority.connect(server.address(), "localhost")), 200);
}

#[test]
fn plain_http_is_told_to_use_https() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").ready();
    for body in [GOOD.to_vec(), vec![b' '; 50_000]] {
        let answer = server.connect().request("POST", "/score", &[], &body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "https_required"));
    }
    let failures = r#"scoria_tls_handshake_failures_total{port="scoring",reason="plain_http"}"#;
    assert_eq!(server.metric(failures), Some(2.0));
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_let_go() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").set("tls_handshake_timeout_ms", "50").ready();
    let mut session =
        ClientConnection::new(Arc::new(authority.trusting(ALL_VERSIONS, None)), server_name("localhost")).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    for first in [&hello[..0], &hello[..1], &hello[..hello.len() / 2], &hello[..]] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(first).unwrap();
        // What the server says to a whole hello comes first; then the connection ends by the server's doing.
        drop(stream.read_to_end(&mut Vec::new()));
    }
    let failures = |reason| {
        server.metric(&format!(r#"scoria_tls_handshake_failures_total{{port="scoring",reason="{reason}"}}"#)).unwrap()
    };
    // Each is counted just after its connection has ended.
    server.wait_for_metric(r#"scoria_tls_handshake_failures_total{port="scoring",reason="timeout"}"#, 4.0);
    // One that leaves by itself, as a load balancer's probe does, is no failure.
    TcpStream::connect(server.address()).unwrap().shutdown(Shutdown::Both).unwrap();
    assert_eq!(post(&mut authority.connect(server.address(), "localhost")), 200);
    assert_eq!((failures("timeout"), failures("refused")), (4.0, 0.0));
}

#[test]
fn a_handshake_has_time_of_its_own() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").set("header_timeout_ms", "50").ready();
    let config = Arc::new(authority.trusting(ALL_VERSIONS, None));
    let mut session = ClientConnection::new(Arc::clone(&config), server_name("localhost")).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let (first, rest) = hello.split_at(hello.len() / 2);
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(first).unwrap();
    // Another client is let go meanwhile for not sending a head in time, so more than that time has passed.
    let mut silent = authority.connect(server.address(), "localhost");
    silent.send(b"POST");
    assert!(silent.is_closed());
    slow.write_all(rest).unwrap();
    let mut slow = Connection::over(StreamOwned::new(session, slow));
    assert_eq!(post(&mut slow), 200);
}

#[test]
fn the_limits_of_a_connection_hold_within_tls() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").set("header_timeout_ms", "50").set("write_timeout_ms", "50").ready();
    let closed = |reason| format!(r#"scoria_connections_closed_total{{port="scoring",reason="{reason}"}}"#);
    let mut half = authority.connect(server.address(), "localhost");
    half.send(b"POST /score HTTP/1.1\r\nhost:");
    assert!(half.is_closed());
    server.wait_for_metric(&closed("header_timeout"), 1.0);

    // More than the sockets between us hold; the client takes nothing of its answer.
    let body = vec![0; 16_000_000];
    let kind = "content-type: application/octet-stream\r\nconnection: close";
    let mut greedy = authority.connect(server.address(), "localhost");
    greedy.send(
        format!("POST /score HTTP/1.1\r\nhost: test\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
    );
    greedy.send(&body);
    server.wait_for_metric(&closed("slow_client"), 1.0);
    server.wait_for_metric(r#"scoria_connections{port="scoring"}"#, 0.0);
}

#[test]
fn the_end_of_the_server_does_not_wait_for_handshakes() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").set("tls_handshake_timeout_ms", "3600000").ready();
    let mut silent = TcpStream::connect(server.address()).unwrap();
    let mut busy = authority.connect(server.address(), "localhost");
    assert_eq!(post(&mut busy), 200);
    drop(server);
    assert!(matches!(silent.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(busy.is_closed());
}

#[test]
fn a_reload_reaches_new_connections_and_leaves_open_ones_alone() {
    let authority = Authority::new("authority");
    let server = start(&authority, "old.test").ready();
    let mut open = authority.connect(server.address(), "old.test");
    assert_eq!(post(&mut open), 200);
    let new = authority.server("new.test");

    server.write("cert.pem", &new.certificate);
    assert_eq!(reload(&server), Reload::Kept, "half a pair");
    assert_eq!(post(&mut authority.connect(server.address(), "old.test")), 200);

    server.write("key.pem", &new.key);
    assert_eq!(reload(&server), Reload::Loaded);
    assert_eq!(post(&mut authority.connect(server.address(), "new.test")), 200);
    assert!(authority.connect(server.address(), "old.test").into_stream().write(b"GET").is_err());
    assert_eq!(post(&mut open), 200, "the connection from before goes on");
    let reloads =
        |outcome| server.metric(&format!(r#"scoria_tls_reloads_total{{outcome="{outcome}",port="scoring"}}"#));
    assert_eq!((reloads("loaded"), reloads("failed")), (Some(1.0), Some(1.0)));
    let expiry = server.metric(r#"scoria_tls_certificate_expiry_timestamp_seconds{port="scoring"}"#);
    assert_eq!(expiry, Some(67_090_118_400.0), "the beginning of 4096, which is rcgen's default");
}

#[test]
fn changed_files_are_noticed() {
    let authority = Authority::new("authority");
    let server = start(&authority, "old.test").set("tls_reload_interval_ms", "5").ready();
    exchange(&server, &authority.server("new.test"));
    // Until they are, a client that expects the new name turns away.
    while authority.connect(server.address(), "new.test").into_stream().write(b"GET").is_err() {}
}

#[test]
fn a_thousand_reloads_under_traffic_lose_nothing() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").ready();
    let pairs = [authority.server("localhost"), authority.server("localhost")];
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let fresh = Arc::new(authority.trusting(ALL_VERSIONS, None));
    let (address, fresh, stop, answered) = (server.address(), &fresh, &stop, &answered);
    std::thread::scope(|scope| {
        let client = |reconnects: bool| {
            move || {
                let mut connection = connect(fresh, address, "localhost");
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(post(&mut connection), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if reconnects {
                        connection = connect(fresh, address, "localhost");
                    }
                }
            }
        };
        let clients: Vec<_> = [true, true, false].map(|reconnects| scope.spawn(client(reconnects))).into();
        for number in 0..1_000 {
            exchange(&server, &pairs[number % 2]);
            assert_eq!(reload(&server), Reload::Loaded);
            // At least one request between two reloads.
            let before = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) == before && !clients.iter().any(|client| client.is_finished()) {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) >= 1_000);
    let refused = server.metric(r#"scoria_tls_handshake_failures_total{port="scoring",reason="refused"}"#);
    assert_eq!(refused, Some(0.0));
}

#[test]
fn a_session_is_resumed_until_the_next_reload() {
    let authority = Authority::new("authority");
    let server = start(&authority, "localhost").ready();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(authority.trusting(&[version], None));
        let kind = || {
            let mut connection = connect(&config, server.address(), "localhost");
            assert_eq!(post(&mut connection), 200);
            connection.stream().conn.handshake_kind().unwrap()
        };
        assert_eq!((kind(), kind()), (HandshakeKind::Full, HandshakeKind::Resumed));
        reload(&server);
        assert_eq!((kind(), kind()), (HandshakeKind::Full, HandshakeKind::Resumed));
    }
}

#[test]
fn the_admin_port_lets_in_whoever_has_a_certificate_of_its_authority() {
    let (authority, operators, strangers) =
        (Authority::new("authority"), Authority::new("operators"), Authority::new("strangers"));
    let start = start(&authority, "localhost");
    let client_ca = start.file("ca.pem", &operators.pem());
    let server = start.set("admin_client_ca", client_ca).ready();
    let admin = server.app().admin_listen;
    let expired = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let (right, late, wrong) = (operators.client(|_| {}), operators.client(expired), strangers.client(|_| {}));
    let forged = Authority::new("operators").client(|_| {});
    let for_servers = operators.server("localhost");
    for version in [&TLS12, &TLS13] {
        let ask = |own| verdict(authority.trusting(&[version], own), admin);
        assert_eq!(ask(Some(&right)), Ok(version.version));
        // Each sees the reason, even where TLS 1.3 has let it send a request first.
        let refusals = [
            (None, "CertificateRequired"),
            (Some(&wrong), "UnknownCA"),
            (Some(&forged), "DecryptError"),
            (Some(&late), "CertificateExpired"),
            (Some(&for_servers), "UnsupportedCertificate"),
        ];
        for (own, alert) in refusals {
            let refused = ask(own).unwrap_err();
            assert!(refused.contains(alert), "expected {alert}: {refused}");
        }
    }
    assert_eq!(verdict(authority.trusting(ALL_VERSIONS, None), server.address()), Ok(ProtocolVersion::TLSv1_3));

    // An authority that is taken away is gone for new connections, with a session to resume or without.
    let config = Arc::new(authority.trusting(ALL_VERSIONS, Some(&right)));
    let livez = |connection: &mut TlsConnection| connection.request("GET", "/livez", &[], b"").status;
    let mut open = connect(&config, admin, "localhost");
    assert_eq!(livez(&mut open), 200);
    server.write("ca.pem", &strangers.pem());
    server.app().reload_certificates();
    assert_eq!(livez(&mut open), 200);
    let mut late = connect(&config, admin, "localhost");
    late.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(late.answer().is_none());
    assert_eq!(verdict(authority.trusting(ALL_VERSIONS, Some(&wrong)), admin), Ok(ProtocolVersion::TLSv1_3));
}

#[test]
fn the_admin_port_has_its_own_certificate_or_that_of_scoring() {
    let authority = Authority::new("authority");
    let livez = |server: &Server, name| {
        let mut connection = authority.connect(server.app().admin_listen, name);
        connection.request("GET", "/livez", &[], b"").status
    };
    let shared = start(&authority, "localhost").set("admin_listen", "0.0.0.0:0").set("auth", "key").ready();
    let local = SocketAddr::from(([127, 0, 0, 1], shared.app().admin_listen.port()));
    assert_eq!(authority.connect(local, "localhost").request("GET", "/livez", &[], b"").status, 200);
    let start = start(&authority, "localhost");
    let pair = authority.server("admin.test");
    let (certificate, key) = (start.file("admin.pem", &pair.certificate), start.file("admin.key", &pair.key));
    let own = start.set("admin_tls_cert", certificate).set("admin_tls_key", key).ready();
    assert_eq!(livez(&own, "admin.test"), 200);
    assert_eq!(post(&mut authority.connect(own.address(), "localhost")), 200);
}

#[test]
fn the_program_says_https_and_reloads_on_sighup() {
    let authority = Authority::new("authority");
    let folder = crate::support::Folder::new();
    let write = |pair: &Pair| {
        let paths = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], &pair.certificate).unwrap();
        std::fs::write(&paths[1], &pair.key).unwrap();
        paths.map(|path| path.display().to_string())
    };
    let [certificate, key] = write(&authority.server("localhost"));
    let ridge = bundled("ridge").display().to_string();
    let interval = ["--tls-reload-interval-ms", "3600000"];
    let arguments = [&ridge, "--tls-cert", &certificate, "--tls-key", &key, interval[0], interval[1]];
    let process = Process::start(&arguments);
    let port = process.banner.split("score  https://localhost:").nth(1).expect("the name of the certificate");
    let port: u16 = port.split('/').next().unwrap().parse().unwrap();
    assert!(process.banner.contains(&format!("--cacert {certificate} --resolve localhost:{port}:127.0.0.1 https://")));
    assert!(process.banner.contains("admin    http://"), "the admin port is on loopback: {}", process.banner);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(authority.connect(address, "localhost").request("GET", "/livez", &[], b"").status, 200);

    write(&authority.server("new.test"));
    process.signal("HUP");
    while authority.connect(address, "new.test").into_stream().write(b"GET").is_err() {}
    process.signal("INT");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("certificate loaded").count(), 2, "{log}");
    assert!(log.contains("everybody on this machine may read the private key"), "{log}");
}

#[test]
fn files_that_cannot_be_used_keep_the_server_from_starting() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_scoria"))
        .args(["serve", "--engine", "tract", "--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--auth", "none"])
        .arg(bundled("ridge"))
        .output()
        .expect("the binary runs");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.contains("/nowhere/cert.pem")), (Some(1), true), "{message}");
}

#[test]
fn plain_and_tls_ports_do_not_mix() {
    let authority = Authority::new("authority");
    let plain = Start::with(FakeEngine::echo()).model("echo", &identity()).ready();
    let refused = verdict(authority.trusting(ALL_VERSIONS, None), plain.address());
    assert!(refused.is_err(), "a port without TLS does not speak it");
    let mut connection = Connection::open(plain.address());
    assert_eq!(connection.request("POST", "/score", &[], GOOD).status, 200);
}
