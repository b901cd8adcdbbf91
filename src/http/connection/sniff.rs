//! HTTP/1.1 or HTTP/2? On a plain connection the first bytes tell (RFC 9113, section 3.4, "prior knowledge").
//!
//! Done here rather than by hyper-util's `auto` builder, whose own look at the first bytes has no time limit: a client that
//! connects and stays silent would be kept for ever.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// What every HTTP/2 client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes that were read to tell the protocol. They are part of the first request.
#[derive(Clone, Copy, Debug, Default)]
pub struct First {
    bytes: [u8; PREFACE.len()],
    /// `bytes[at..filled]` are still to be handed on.
    at: usize,
    filled: usize,
}

impl First {
    /// Takes up to `max` bytes.
    pub fn take(&mut self, max: usize) -> &[u8] {
        let from = self.at;
        self.at += max.min(self.filled - from);
        &self.bytes[from..self.at]
    }
}

/// Reads as much as it takes to tell the protocol. `None` when the client closed or sent nothing in time.
pub async fn sniff(stream: &mut (impl AsyncRead + Unpin), within: Duration) -> io::Result<Option<(Protocol, First)>> {
    timeout(within, read(stream)).await.unwrap_or(Ok(None))
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Protocol, First)>> {
    let mut first = First::default();
    loop {
        let count = stream.read(&mut first.bytes[first.filled..]).await?;
        first.filled += count;
        match judge(&first.bytes[..first.filled]) {
            _ if count == 0 => return Ok(None),
            Some(protocol) => return Ok(Some((protocol, first))),
            None => {}
        }
    }
}

/// The protocol, if these bytes settle it.
fn judge(first: &[u8]) -> Option<Protocol> {
    if first.starts_with(PREFACE) {
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

    #[test]
    fn what_was_read_is_handed_on_once() {
        let mut first = First { bytes: *b"GET / HTTP/1.1\r\nhost: a\r", at: 0, filled: 24 };
        assert_eq!(first.take(3), b"GET");
        assert_eq!(first.take(100), b" / HTTP/1.1\r\nhost: a\r");
        assert_eq!(first.take(100), b"");
    }
}
