//! Listening and accepting, for both ports.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection::{self, roster::Roster};
pub use super::connection::{BusyPolling, Limits};
use super::tls::Tls;
use super::{Admin, Body, Scoring};
use crate::telemetry::ConnectionMetrics;

/// A port: what answers, over what, and within which bounds.
pub struct Port<S> {
    pub service: Arc<S>,
    /// `None` for plain HTTP.
    pub tls: Option<Arc<Tls>>,
    pub max_connections: usize,
    /// What bounds each of its connections.
    pub limits: Arc<Limits>,
    /// Which of its connections is waited for awake.
    pub busy_polling: Arc<BusyPolling>,
}

/// What answers a port's requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Sets `linger` when the connection must end although its client may still be sending.
    fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> impl Future<Output = Response<Body>> + Send;

    /// Counts the port's connections.
    fn connections(&self) -> &Arc<ConnectionMetrics>;
}

impl Service for Scoring {
    fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> impl Future<Output = Response<Body>> + Send {
        Scoring::serve(self, request, linger)
    }

    fn connections(&self) -> &Arc<ConnectionMetrics> {
        &self.metrics.scoring_connections
    }
}

impl Service for Admin {
    async fn serve(&self, request: Request<Incoming>, _: &AtomicBool) -> Response<Body> {
        Admin::serve(self, request).await
    }

    fn connections(&self) -> &Arc<ConnectionMetrics> {
        &self.metrics.admin_connections
    }
}

/// When a port stops.
#[derive(Clone, Debug)]
pub struct Stopping {
    phase: watch::Receiver<Phase>,
}

/// What a port is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Serve,
    /// Accept no more; end each connection after the request it is in.
    Stop,
}

/// The other end of [`Stopping`].
pub fn stopping() -> (watch::Sender<Phase>, Stopping) {
    let (sender, phase) = watch::channel(Phase::Serve);
    (sender, Stopping { phase })
}

impl Stopping {
    /// Returns once the port stops.
    pub async fn wait(&mut self) {
        // A sender that is gone will never say stop; its server is gone too.
        drop(self.phase.wait_for(|phase| *phase == Phase::Stop).await);
    }
}

/// Serves a port until it is told to stop, then until its connections have ended or `drain_timeout` has passed.
pub async fn serve(listener: TcpListener, port: Port<impl Service>, mut stopping: Stopping, drain_timeout: Duration) {
    let roster = Roster::new(port.max_connections);
    let port = Arc::new(port);
    loop {
        // One that there is no place for yet is held here, and further clients in the kernel's backlog.
        let next = async {
            let (stream, _) = listener.accept().await?;
            Ok((stream, roster.admit().await))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stopping.wait() => break,
        };
        match accepted {
            Ok((stream, seat)) => {
                tokio::spawn(connection::serve(stream, seat, Arc::clone(&port), stopping.clone()));
            }
            Err(error) => wait_after(error).await,
        }
    }
    drop(listener);
    roster.retire();
    if timeout(drain_timeout, roster.emptied()).await.is_err() {
        tracing::warn!("connections were still busy when the drain timeout passed");
    }
}

/// Serves one connection that need not be a socket. This is how the fuzzer reaches what [`serve`] does for each.
#[doc(hidden)]
pub async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    port: Arc<Port<impl Service>>,
    stopping: Stopping,
) {
    let seat = Roster::new(port.max_connections).admit().await;
    connection::serve_plain(stream, seat, port, stopping).await;
}

/// Accepting fails for a client that left already, which costs nothing, or because file descriptors have run out; then trying
/// again at once would only spin.
async fn wait_after(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "cannot accept connections; trying again");
        sleep(Duration::from_millis(100)).await;
    }
}
