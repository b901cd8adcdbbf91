//! One connection, from its first byte to its last.
//!
//! [`serve`] finds out the protocol, by TLS or by the first bytes, and drives hyper over a [`transport::Transport`], which ends
//! what takes too long. The [`roster`] is the list of a port's connections.

mod activity;
mod busy_poll;
mod frames;
mod lines;
pub mod roster;
mod sniff;
mod socket;
mod transport;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use self::activity::Activity;
pub use self::activity::Exchange;
use self::busy_poll::BusyPoll;
pub use self::busy_poll::BusyPolling;
use self::roster::Seat;
pub use self::sniff::Protocol;
use self::sniff::{First, sniff};
use self::socket::Socket;
use self::transport::Transport;
use super::Body;
use super::error::ApiError;
use super::server::{Port, Service, Stopping};
use crate::client::Client;
use crate::error::ErrorKind;
use crate::telemetry::Closed;

/// An HTTP/2 client that is silent for so long is asked whether it is still there, and has so long to say yes.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What one HTTP/2 client may have sent without having been read yet: of one stream, and of all.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// The longest HTTP/2 frame. The default of 16 KiB makes a body of 600 KB cost half as much again; what has come of a frame is
/// held until the rest of it has.
const FRAME_BYTES_MAX: u32 = 64 * 1024;

/// The number of headers that hyper allows an HTTP/1 request unless it is told another.
const HYPER_MAX_HEADERS: usize = 100;

/// What bounds a connection. The meaning of each is that of the setting of its name.
#[derive(Clone, Debug)]
pub struct Limits {
    pub header_timeout: Duration,
    pub keep_alive_timeout: Duration,
    pub write_timeout: Duration,
    pub min_transfer_bytes_per_s: u64,
    pub max_header_bytes: usize,
    pub max_headers: usize,
    pub http2_max_streams: u32,
}

impl Limits {
    /// How long a client may take for so many bytes of an answer: they come at the least rate, and it may pause meanwhile.
    fn time_to_take(&self, bytes: u64) -> Duration {
        self.write_timeout + time_at_rate(bytes, self.min_transfer_bytes_per_s)
    }
}

/// The time that `bytes` take at a rate. The rate 0 stands for no limit, and a year does too.
pub fn time_at_rate(bytes: u64, bytes_per_s: u64) -> Duration {
    const UNLIMITED: Duration = Duration::from_secs(365 * 24 * 3600);
    bytes
        .saturating_mul(1_000)
        .checked_div(bytes_per_s)
        .map_or(UNLIMITED, |ms| Duration::from_millis(ms).min(UNLIMITED))
}

/// Serves a connection until it ends, or until the port stops and the request that it is in is answered: before HTTP begins
/// `stopping` says so, after that the roster.
///
/// What comes later is boxed when it comes, here and below: ten thousand clients that say nothing should cost next to nothing.
pub async fn serve(stream: TcpStream, seat: Seat, port: Arc<Port<impl Service>>, mut stopping: Stopping) {
    // Answers are written whole, so waiting to fill segments only delays them. A socket that cannot be set up fails soon
    // enough by itself.
    drop(stream.set_nodelay(true));
    let Some(tls) = &port.tls else {
        let socket = Socket::new(stream);
        seat.activity.know_client(Client::new(socket.peer()));
        return serve_plain(socket, seat, port, stopping).await;
    };
    let metrics = port.service.connections();
    let _open = metrics.open();
    let activity = &seat.activity;
    let accepted = tokio::select! {
        accepted = unless_asked_to_leave(activity, Box::pin(tls.accept(stream))) => accepted,
        () = stopping.wait() => return,
    };
    match accepted {
        Some(Some((stream, protocol))) => {
            activity.wait_from_now();
            Box::pin(drive(stream, (protocol, First::default()), activity, &port)).await;
        }
        Some(None) => {}
        None => metrics.closed(Closed::MadeRoom),
    }
}

/// Serves a connection without TLS, whatever carries its bytes.
pub async fn serve_plain(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seat: Seat,
    port: Arc<Port<impl Service>>,
    mut stopping: Stopping,
) {
    let metrics = port.service.connections();
    let _open = metrics.open();
    let activity = &seat.activity;
    let sniffed = tokio::select! {
        sniffed = unless_asked_to_leave(activity, sniff(&mut stream, port.limits.header_timeout)) => sniffed,
        () = stopping.wait() => return,
    };
    match sniffed {
        Some(Ok(Some(opening))) => Box::pin(drive(stream, opening, activity, &port)).await,
        Some(Ok(None)) => metrics.closed(Closed::HeaderTimeout),
        Some(Err(_)) => {}
        None => metrics.closed(Closed::MadeRoom),
    }
}

/// Runs HTTP over a byte stream, whose first bytes may have been read already.
async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    opening: (Protocol, First),
    activity: &Arc<Activity>,
    port: &Port<impl Service>,
) {
    let (service, limits, protocol) = (&port.service, &port.limits, opening.0);
    let metrics = Arc::clone(service.connections());
    let io = TokioIo::new(Transport::new(stream, opening, Arc::clone(activity), Arc::clone(limits), metrics));
    match protocol {
        Protocol::Http1 => {
            let answer = service_fn(|request| {
                let exchange = activity.begin();
                async move {
                    let mut response = answer(&**service, activity, request).await;
                    response.body_mut().hold(exchange);
                    Ok::<_, Infallible>(response)
                }
            });
            let mut connection = http1::Builder::new();
            connection
                .timer(TokioTimer::new())
                // The transport times heads, and lets clients pause between requests for longer than within one.
                .header_read_timeout(None)
                .max_header_size(limits.max_header_bytes);
            // hyper's own number comes with memory that need not be filled first.
            if limits.max_headers != HYPER_MAX_HEADERS {
                connection.max_headers(limits.max_headers);
            }
            let connection = connection.serve_connection(io, answer);
            let busy_poll = BusyPoll::new(&port.busy_polling);
            until_ended(Box::pin(connection), activity, busy_poll, |connection| connection.graceful_shutdown()).await;
        }
        Protocol::Http2 => {
            let answer = service_fn(|request: Request<Incoming>| {
                let (service, activity, limits) = (Arc::clone(service), Arc::clone(activity), Arc::clone(limits));
                let mut exchange = activity.begin();
                // Those of HTTP/1 are counted by hyper.
                let has_too_many = request.headers().len() > limits.max_headers;
                async move {
                    if has_too_many {
                        return Ok::<_, Infallible>(too_many_headers(limits.max_headers).into_response());
                    }
                    let mut response = answer(&*service, &activity, request).await;
                    let body = response.body_mut();
                    if body.is_fed() {
                        exchange.answer_in_pieces(limits);
                    } else if !body.is_empty() {
                        exchange.answer_by(Instant::now() + limits.time_to_take(body.len()));
                    }
                    body.hold(exchange);
                    Ok(response)
                }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.http2_max_streams)
                .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
                .max_frame_size(FRAME_BYTES_MAX)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(io, answer);
            let busy_poll = BusyPoll::new(&port.busy_polling);
            until_ended(Box::pin(connection), activity, busy_poll, |connection| connection.graceful_shutdown()).await;
        }
    }
}

/// Answers a request, whatever comes of it.
async fn answer(service: &impl Service, activity: &Activity, request: Request<Incoming>) -> Response<Body> {
    // Boxed, since hyper keeps room for a request on every connection, and a request is 2 KB of state.
    let answer =
        unless_it_panics(Box::pin(Client::serving(activity.client(), service.serve(request, activity.linger())))).await;
    answer.unwrap_or_else(|| ApiError::internal("the server failed on this request").into_response())
}

fn too_many_headers(max_headers: usize) -> ApiError {
    let message = format!("a request has at most {max_headers} headers");
    ApiError::new(ErrorKind::HeaderTooLarge, "too_many_headers", message)
}

/// What `future` gives, or `None` if it panics: a defect of ours, which is to fail one request and not its neighbours on the
/// connection. The panic hook has logged it.
async fn unless_it_panics<F: Future>(mut future: Pin<Box<F>>) -> Option<F::Output> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(outcome) => outcome.map(Some),
        // It is not polled again.
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// What `future` gives, or `None` once the connection is asked to leave.
async fn unless_asked_to_leave<T>(activity: &Activity, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        activity.wake_by(cx.waker());
        if activity.should_leave() { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) }
    })
    .await
}

/// Drives a connection to its end, asking it to finish early once it is retired.
async fn until_ended<C>(
    mut connection: Pin<Box<C>>,
    activity: &Arc<Activity>,
    mut busy_poll: BusyPoll<'_>,
    finish: impl FnOnce(Pin<&mut C>),
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut finish = Some(finish);
    let waker = Waker::from(Arc::clone(activity));
    let mut poll = |cx: &mut Context<'_>| {
        let outcome = connection.as_mut().poll(cx);
        if outcome.is_ready() || !activity.should_retire() {
            return outcome;
        }
        let Some(finish) = finish.take() else { return outcome };
        finish(connection.as_mut());
        connection.as_mut().poll(cx)
    };
    let outcome = poll_fn(|cx| {
        activity.wake_by(cx.waker());
        let outcome = activity.poll(cx, || poll(&mut Context::from_waker(&waker)));
        if outcome.is_pending() && busy_poll.goes_on(activity, Instant::now) {
            // It is polled again once the others of this thread have been, and the sockets have been looked at.
            let _turn = pin!(tokio::task::yield_now()).poll(cx);
        }
        outcome
    });
    if let Err(error) = outcome.await {
        // Clients reset and time out every day.
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_requests_own() {
        assert_eq!(unless_it_panics(Box::pin(async { 1 })).await, Some(1));
        assert_eq!(unless_it_panics(Box::pin(async { panic!("a defect") })).await, None::<()>);
    }

    #[test]
    fn time_at_a_rate() {
        assert_eq!(time_at_rate(2_048, 1_024), Duration::from_secs(2));
        assert!(time_at_rate(0, 0) > Duration::from_secs(1_000_000), "no rate, no limit");
        assert!(time_at_rate(u64::MAX, 1) <= Duration::from_secs(365 * 24 * 3600), "still fits into the clock");
    }
}
