//! One exchange with the server: a request out, its answer in.
//!
//! HTTP/1.1 is written here ([`http1`], [`answer`]): a request is bytes made beforehand, one write sends it, one read is
//! usually the whole answer. That costs about as little as `wrk` does, which matters where generator and server share cores.
//! HTTP/2 is hyper's ([`http2`]).

pub mod answer;
mod http1;
mod http2;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

pub use answer::Answer;
pub use http1::Http1;
pub use http2::Http2;

use crate::plan::Protocol;

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// HTTP/1.1: head and body.
    pub bytes: Bytes,
    /// HTTP/2: the head, and the body.
    pub head: hyper::http::request::Parts,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// The connection ended before the answer did.
    Disconnected,
    /// What came is no HTTP answer.
    Malformed,
    /// No answer in time.
    TimedOut,
    /// Open loop: no connection was free in time, so that it was never sent.
    Unsent,
}

/// What was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Failure {
        Failure::Malformed
    }
}

/// A way to the server that carries one exchange at a time.
#[derive(Debug)]
pub enum Channel {
    Http1(Http1),
    /// Shared with the other streams of its connection.
    Http2(Rc<Http2>),
}

impl Channel {
    /// A channel with a connection of its own, which is not made yet.
    pub fn new(protocol: Protocol, addresses: &Arc<[SocketAddr]>) -> Channel {
        match protocol {
            Protocol::Http1 => Channel::Http1(Http1::new(Arc::clone(addresses))),
            Protocol::Http2 => Channel::Http2(Rc::new(Http2::new(Arc::clone(addresses)))),
        }
    }

    /// Connects, if it is not.
    pub async fn connect(&mut self) -> io::Result<()> {
        match self {
            Channel::Http1(channel) => channel.connect().await,
            Channel::Http2(channel) => channel.connect().await,
        }
    }

    /// Connects if need be, sends, and reads the answer.
    pub async fn exchange(&mut self, request: &Outgoing, keep_bytes: usize) -> Result<Answer, Failure> {
        match self {
            Channel::Http1(channel) => channel.exchange(&request.bytes, keep_bytes).await,
            Channel::Http2(channel) => channel.exchange(request, keep_bytes).await,
        }
    }

    /// An exchange was given up: whatever its answer would be must not be taken for another's.
    pub fn abandon(&mut self) {
        match self {
            Channel::Http1(channel) => channel.disconnect(),
            // Dropping the exchange has reset its stream; the connection's other streams go on.
            Channel::Http2(_) => {}
        }
    }

    /// How often a connection was made.
    pub fn connects(&self) -> u64 {
        match self {
            Channel::Http1(channel) => channel.connects(),
            Channel::Http2(channel) => channel.connects(),
        }
    }
}

/// Tries the addresses of a host in turn.
async fn open(addresses: &Arc<[SocketAddr]>) -> io::Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(&addresses[..]).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
