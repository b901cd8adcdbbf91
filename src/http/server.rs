//! Listening, accepting and ending connections, for both ports.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::linger::Lingering;
use super::sniff::{Protocol, sniff};
use super::{Admin, Body, Scoring};

/// What bounds a port's connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    pub max_connections: usize,
    pub header_timeout: Duration,
    pub max_header_bytes: usize,
    pub http2_max_streams: u32,
}

/// What answers a port's requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Sets `linger` when the connection must end although its client may still be sending.
    fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> impl Future<Output = Response<Body>> + Send;

    /// Counts the connections that are open.
    fn connections(&self) -> Option<&IntGauge>;
}

impl Service for Scoring {
    fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> impl Future<Output = Response<Body>> + Send {
        Scoring::serve(self, request, linger)
    }

    fn connections(&self) -> Option<&IntGauge> {
        Some(&self.metrics.connections)
    }
}

impl Service for Admin {
    async fn serve(&self, request: Request<Incoming>, _: &AtomicBool) -> Response<Body> {
        Admin::serve(self, request).await
    }

    fn connections(&self) -> Option<&IntGauge> {
        None
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
    async fn wait(&mut self) {
        // A sender that is gone will never say stop; its server is gone too.
        drop(self.phase.wait_for(|phase| *phase == Phase::Stop).await);
    }
}

/// Serves a port until it is told to stop, then until its connections have ended or `drain_timeout` has passed.
pub async fn serve(
    listener: TcpListener,
    service: Arc<impl Service>,
    limits: ConnectionLimits,
    mut stopping: Stopping,
    drain_timeout: Duration,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    let limits = Arc::new(limits);
    loop {
        // Waiting for a slot first leaves further clients in the kernel's backlog instead of in our memory.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stopping.wait() => break,
        };
        match (slot, accepted) {
            (Ok(slot), Ok((stream, _))) => {
                let (service, limits, stopping) = (Arc::clone(&service), Arc::clone(&limits), stopping.clone());
                tokio::spawn(async move {
                    let open = service.connections().cloned();
                    open.iter().for_each(IntGauge::inc);
                    connection(stream, service, &limits, stopping).await;
                    open.iter().for_each(IntGauge::dec);
                    drop(slot);
                });
            }
            (_, Err(error)) => wait_after(error).await,
            (Err(_), _) => break,
        }
    }
    drop(listener);
    if timeout(drain_timeout, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were still busy when the drain timeout passed");
    }
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

async fn connection(stream: TcpStream, service: Arc<impl Service>, limits: &ConnectionLimits, stopping: Stopping) {
    // Answers are written whole, so waiting to fill segments only delays them. A socket that cannot be set up fails soon
    // enough by itself.
    drop(stream.set_nodelay(true));
    let mut idle = stopping.clone();
    let protocol = tokio::select! {
        protocol = sniff(&stream, limits.header_timeout) => protocol,
        () = idle.wait() => return,
    };
    let Ok(Some(protocol)) = protocol else { return };
    let linger = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Lingering::new(stream, Arc::clone(&linger)));
    let service = service_fn(move |request| {
        let (service, linger) = (Arc::clone(&service), Arc::clone(&linger));
        async move { Ok::<_, Infallible>(service.serve(request, &linger).await) }
    });
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_timeout)
                .max_header_size(limits.max_header_bytes)
                .serve_connection(io, service);
            until_stopped(connection, stopping, |connection| connection.graceful_shutdown()).await;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.http2_max_streams)
                .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
                .keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(10))
                .serve_connection(io, service);
            until_stopped(connection, stopping, |connection| connection.graceful_shutdown()).await;
        }
    }
}

/// Drives a connection to its end, asking it to finish early once the port stops.
async fn until_stopped<C>(connection: C, mut stopping: Stopping, finish: impl FnOnce(std::pin::Pin<&mut C>))
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping.wait() => {
            finish(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = outcome {
        // Clients reset and time out every day.
        tracing::debug!(%error, "connection ended");
    }
}
