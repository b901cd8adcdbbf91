//! HTTP/1.1 or HTTP/2? On a plain connection the first bytes tell (RFC 9113, section 3.4, "prior knowledge").
//!
//! Done here rather than by hyper-util's `auto` builder, whose own look at the first bytes has no time limit: a client that
//! connects and stays silent would be kept for ever.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Looks at a connection's first bytes without taking them. `None` when the client closed or sent nothing in time.
pub async fn sniff(stream: &TcpStream, within: Duration) -> io::Result<Option<Protocol>> {
    timeout(within, look(stream)).await.unwrap_or(Ok(None))
}

async fn look(stream: &TcpStream) -> io::Result<Option<Protocol>> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        match judge(&first[..seen]) {
            Some(protocol) => return Ok(Some(protocol)),
            None if seen == 0 => return Ok(None),
            None if stream.ready(Interest::READABLE).await?.is_read_closed() => return Ok(None),
            // Part of the preface: what is there already makes the socket readable, so that more cannot be waited for.
            None => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// The protocol, if these bytes settle it.
fn judge(first: &[u8]) -> Option<Protocol> {
    if first.is_empty() {
        None
    } else if first.starts_with(PREFACE) {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(first) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_and_nothing_else_is_http2() {
        assert_eq!(judge(PREFACE), Some(Protocol::Http2));
        assert_eq!(judge(&PREFACE[..23]), None);
        assert_eq!(judge(b"P"), None);
        for other in [&b"POST /score HTTP/1.1"[..], b"GET", b"PUT", b"PRI * HTTP/1.1\r\n", b"\x16\x03\x01"] {
            assert_eq!(judge(other), Some(Protocol::Http1));
        }
    }
}
