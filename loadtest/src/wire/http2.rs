//! A connection that speaks HTTP/2 from its first byte ("prior knowledge", RFC 9113, 3.3), shared by its streams.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::{Answer, Failure, Outgoing, open};

/// The connection, which is made again when it has ended.
#[derive(Debug)]
pub struct Http2 {
    addresses: Arc<[SocketAddr]>,
    /// Locked while it is connected anew, so that one stream does it for all.
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
    connects: Cell<u64>,
}

/// hyper's tasks stay on the thread of their connection.
#[derive(Debug, Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Http2 {
    pub fn new(addresses: Arc<[SocketAddr]>) -> Http2 {
        Http2 { addresses, sender: Mutex::new(None), connects: Cell::new(0) }
    }

    pub async fn connect(&self) -> io::Result<()> {
        self.sender().await.map(drop)
    }

    pub fn connects(&self) -> u64 {
        self.connects.get()
    }

    async fn sender(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.lock().await;
        if let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TokioIo::new(open(&self.addresses).await?);
        let (new, connection) = http2::handshake(OnThisThread, stream).await.map_err(io::Error::other)?;
        // What ends it is seen by the exchanges on it.
        tokio::task::spawn_local(async move { drop(connection.await) });
        self.connects.set(self.connects.get() + 1);
        *sender = Some(new.clone());
        Ok(new)
    }

    pub async fn exchange(&self, request: &Outgoing, keep_bytes: usize) -> Result<Answer, Failure> {
        let mut sender = self.sender().await.map_err(|_| Failure::Connect)?;
        let request = Request::from_parts(request.head.clone(), Full::new(request.body.clone()));
        sender.ready().await.map_err(|_| Failure::Disconnected)?;
        let response = sender.send_request(request).await.map_err(|_| Failure::Disconnected)?;
        let status = response.status().as_u16();
        let (mut body, mut body_bytes, mut beginning) = (response.into_body(), 0, Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Failure::Disconnected)?.into_data() else { continue };
            body_bytes += piece.len() as u64;
            let wanted = keep_bytes.saturating_sub(beginning.len()).min(piece.len());
            beginning.extend_from_slice(&piece[..wanted]);
        }
        Ok(Answer { status, body_bytes, beginning, reusable: true })
    }
}
