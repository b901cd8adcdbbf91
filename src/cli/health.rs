//! `scoria health`: asks a running server's probe, for container engines, in images that hold no other client.
//!
//! Plain HTTP/1.1 over one connection, with one time limit for all of it. Anything but a 2xx answer is a failure.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, arguments, print};

/// A probe's answer is far shorter; what is beyond is not read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The command, without the settings.
pub fn command() -> Command {
    Command::new("health")
        .about("Ask a running server whether it is ready: exit code 0 if so, 1 otherwise")
        .arg(
            Arg::new("url").long("url").value_name("URL").help(
                "What to ask, such as http://127.0.0.1:8081/livez [default: /readyz of the address in admin_listen]",
            ),
        )
        .arg(
            Arg::new("timeout_ms")
                .long("timeout-ms")
                .value_name("VALUE")
                .value_parser(value_parser!(u64).range(1..))
                .default_value("3000")
                .help("How long it may take to answer"),
        )
}

pub fn health(matches: &ArgMatches) -> Result<(), Failure> {
    let url = match matches.get_one::<String>("url") {
        Some(url) => url.clone(),
        None => format!("http://{}/readyz", reachable(arguments::config(matches)?.0.admin_listen)),
    };
    let target = Target::parse(&url).map_err(|expected| Failure::Usage(format!("'{url}': expected {expected}")))?;
    let within = Duration::from_millis(*matches.get_one("timeout_ms").expect("it has a default"));
    let failed = |reason: String| Failure::Failed(format!("{url}: {reason}"));
    let (status, body) = target.ask(within).map_err(|error| failed(error.to_string()))?;
    if (200..300).contains(&status) {
        print(&format!("{}\n", body.trim_end()))
    } else {
        Err(failed(format!("answered {status}: {}", body.trim_end())))
    }
}

/// Where a server that listens on `address` is reached from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The parts of a URL that a request needs.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    /// `host:port`, as it goes into `Host`.
    authority: &'a str,
    path: &'a str,
}

impl<'a> Target<'a> {
    /// Takes a URL apart, or says what was expected.
    fn parse(url: &'a str) -> Result<Target<'a>, &'static str> {
        const FORM: &str = "http://<host>:<port>/<path>, such as http://127.0.0.1:8081/readyz";
        if url.starts_with("https:") {
            return Err("a URL that begins with http:, since this command speaks no TLS");
        }
        let rest = url.strip_prefix("http://").ok_or(FORM)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        // What goes into a request's head must not end its line.
        let plain = |byte: u8| byte.is_ascii_graphic();
        if port.is_none_or(|port| port.parse::<u16>().is_err()) || !url.bytes().all(plain) {
            return Err(FORM);
        }
        Ok(Target { authority, path: if path.is_empty() { "/" } else { path } })
    }

    /// Asks, and gives the status and the body of the answer.
    fn ask(&self, within: Duration) -> io::Result<(u16, String)> {
        let deadline = Instant::now() + within;
        let mut stream = self.connect(deadline)?;
        let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.path, self.authority);
        stream.set_write_timeout(Some(left(deadline)?))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4 * 1024];
        // A limit for each read alone would let a slow peer go on for ever.
        while (answer.len() as u64) < ANSWER_BYTES_MAX {
            stream.set_read_timeout(Some(left(deadline)?))?;
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late()),
                Err(error) => return Err(error),
            }
        }
        parse_answer(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers there does not speak HTTP"))
    }

    /// A name can have several addresses, of which one may be served.
    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(deadline)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(too_late()) } else { Ok(left) }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within the time limit")
}

/// Status and body of an HTTP/1.1 answer.
fn parse_answer(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a peer that sends `bytes` and then does as `after` says is taken for.
    fn asked(bytes: &'static [u8], within: Duration, after: fn(TcpStream)) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:"));
            stream.write_all(bytes).unwrap();
            after(stream);
        });
        let outcome = Target::parse(&url).unwrap().ask(within);
        peer.join().unwrap();
        outcome
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let ready = asked(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", LONG, drop).unwrap();
        assert_eq!(ready, (200, "ok".to_owned()));
        let draining = asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}", LONG, drop).unwrap();
        assert_eq!(draining, (503, "{}".to_owned()));
    }

    #[test]
    fn what_is_no_http_is_said_to_be_none() {
        for bytes in [&b""[..], b"\x15\x03\x03\x00\x02\x02\x0a", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 OK\r\n\r\n"] {
            assert_eq!(asked(bytes, LONG, drop).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_peer_that_never_ends_is_left_at_the_limit() {
        let wait_for_the_client_to_leave = |mut stream: TcpStream| drop(stream.read(&mut [0; 1]));
        let error = asked(b"HTTP/1.1 200 OK\r\n", Duration::from_millis(50), wait_for_the_client_to_leave).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[test]
    fn an_unending_answer_is_cut_off() {
        let endless = |mut stream: TcpStream| while stream.write_all(&[b'x'; 4096]).is_ok() {};
        let (status, body) = asked(b"HTTP/1.1 200 OK\r\n\r\n", LONG, endless).unwrap();
        assert!(status == 200 && body.len() as u64 <= ANSWER_BYTES_MAX + 4096);
    }

    #[test]
    fn urls_are_taken_apart_or_refused_with_what_was_expected() {
        let parse = Target::parse;
        assert_eq!(parse("http://127.0.0.1:8081"), Ok(Target { authority: "127.0.0.1:8081", path: "/" }));
        assert_eq!(parse("http://[::1]:8081/livez"), Ok(Target { authority: "[::1]:8081", path: "/livez" }));
        assert!(parse("https://127.0.0.1:8081/").unwrap_err().contains("no TLS"));
        for url in
            ["", "127.0.0.1:8081", "http://localhost/readyz", "http://:1/", "http://a:b/", "http://a:1/ HTTP/1.1\r\n"]
        {
            assert!(parse(url).unwrap_err().contains("http://<host>:<port>"), "{url}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
