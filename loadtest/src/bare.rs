//! The floor that servers are compared with: hyper on tokio, which reads the body of whatever request comes and answers the
//! same 31 bytes. HTTP/1.1 and, for clients that start with its preface, HTTP/2.
//!
//! It is no more than that on purpose: no routing, no limits, no time-outs. Never expose it.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};

/// As long as a score of ten floats: `{"predictions":[-307.9486694]}` and a line's end.
const ANSWER: &[u8; 31] = b"{\"predictions\":[-307.9486694]}\n";

/// What is done with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is put together in memory, as who parses it would need it.
    Collect,
    /// Its pieces are dropped as they come: the least that a server can do.
    Drain,
}

/// Serves until accepting fails for good.
pub async fn serve(listener: TcpListener, reading: Reading) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // The client left, or spoke something else: there is nobody to tell.
            drop(converse(stream, reading).await);
        });
    }
}

async fn converse(stream: TcpStream, reading: Reading) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| answer(request, reading));
    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
}

async fn answer(request: Request<Incoming>, reading: Reading) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    match reading {
        // A body that was cut off ends the connection; hyper knows.
        Reading::Collect => drop(body.collect().await),
        Reading::Drain => while let Some(Ok(_)) = body.frame().await {},
    }
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
