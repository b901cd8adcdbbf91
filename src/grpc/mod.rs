//! gRPC on the scoring port: `inference.GRPCInferenceService` and `grpc.health.v1.Health`, beside HTTP.
//!
//! A request whose content type is gRPC's is a call, any other is HTTP's. Calls go the way of scoring requests, by the same
//! functions (`http::pipeline`); here is what differs: messages and their packing, deadlines, statuses in trailers, streams.
//! The wire is spoken by hand, which is little (`messages`, `reply`, `status`): a library would have read a message whole before
//! it is known whose it is, and copied it once more on its way into the tensors. Why so: `docs/adr/0016-grpc.md`.
//!
//! `infer.rs` is the product in two functions; `service.rs` the other methods; `stream.rs` many requests on one call.

mod coding;
mod deadline;
mod feed;
mod health;
mod infer;
mod messages;
mod reply;
mod service;
mod status;
mod stream;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response, Version};

use self::messages::{MessageLimits, Messages};
pub use self::status::{Code, code};
use crate::error::ErrorKind;
use crate::http::Scoring;
use crate::http::pipeline::{ApiError, Body, Call, Reported, RequestBody, Served};
use crate::http::server::{Service, Stopping};
use crate::telemetry::ConnectionMetrics;

/// The scoring port's service: HTTP and gRPC.
pub struct Grpc {
    server: Arc<Server>,
}

/// What calls need.
struct Server {
    scoring: Arc<Scoring>,
    limits: MessageLimits,
    stopping: Stopping,
}

/// What the operator set about calls. The meaning of each is that of the setting of its name.
#[derive(Clone, Copy, Debug)]
pub struct GrpcSettings {
    pub max_body_bytes: usize,
    pub body_timeout: Duration,
    pub min_transfer_bytes_per_s: u64,
    /// How long a stream may be without a message.
    pub keep_alive_timeout: Duration,
}

impl Grpc {
    /// Serves calls beside what `scoring` serves. Streams end when `stopping` says so.
    pub fn beside(scoring: Scoring, settings: GrpcSettings, stopping: Stopping) -> Grpc {
        let limits = MessageLimits {
            max_bytes: settings.max_body_bytes,
            timeout: settings.body_timeout,
            min_bytes_per_s: settings.min_transfer_bytes_per_s,
            idle_timeout: settings.keep_alive_timeout,
        };
        Grpc { server: Arc::new(Server { scoring: Arc::new(scoring), limits, stopping }) }
    }
}

impl Service for Grpc {
    async fn serve(&self, request: Request<Incoming>, linger: &AtomicBool) -> Response<Body> {
        if is_call(&request) {
            call(&self.server, request).await
        } else {
            self.server.scoring.serve(request, linger).await
        }
    }

    fn connections(&self) -> &Arc<ConnectionMetrics> {
        self.server.scoring.connections()
    }
}

/// What every method gets of its call.
#[derive(Clone, Copy)]
struct Context<'a> {
    server: &'a Arc<Server>,
    headers: &'a HeaderMap,
    /// When the client gives up.
    deadline: Option<Instant>,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method<'a> {
    Infer,
    StreamInfer,
    /// Another one of the inference service.
    Inference(&'a str),
    Health(&'a str),
    Unknown,
}

impl Method<'_> {
    fn of(path: &str) -> Method<'_> {
        match path.strip_prefix('/').and_then(|path| path.split_once('/')) {
            Some(("inference.GRPCInferenceService", "ModelInfer")) => Method::Infer,
            Some(("inference.GRPCInferenceService", "ModelStreamInfer")) => Method::StreamInfer,
            Some(("inference.GRPCInferenceService", method)) => Method::Inference(method),
            Some(("grpc.health.v1.Health", method)) => Method::Health(method),
            _ => Method::Unknown,
        }
    }

    /// Whether it asks how the server is; such come by the second.
    fn is_probe(self) -> bool {
        matches!(self, Method::Health(_) | Method::Inference("ServerLive" | "ServerReady" | "ModelReady"))
    }
}

/// Whether a request is a call: HTTP/2, POST, and a content type of gRPC's with protobuf in it.
fn is_call(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    let subtype = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    request.version() == Version::HTTP_2
        && subtype.is_some_and(|rest| matches!(rest, [] | [b';', ..]) || rest.starts_with(b"+proto"))
}

/// Answers a call, whatever comes of it.
async fn call(server: &Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (mut call, ids) = server.scoring.begin(&parts.headers);
    let method = Method::of(parts.uri.path());
    let mut served = None;
    let outcome = match ids {
        Ok(()) => dispatch(server, method, &parts, body, &mut call, &mut served).await,
        Err(error) => Err(error),
    };
    let (mut response, status) = match outcome {
        Ok(response) => (response, 200),
        Err(error) => (reply::failure(&error), error.status().as_u16()),
    };
    // A stream's requests are reported one by one.
    if !response.body().is_fed() {
        let reported = Reported {
            method: &parts.method,
            path: parts.uri.path(),
            status,
            response_bytes: response.body().len(),
            is_probe: method.is_probe(),
        };
        server.scoring.report(reported, &call, served.as_ref());
    }
    call.stamp(response.headers_mut());
    response
}

async fn dispatch(
    server: &Arc<Server>,
    method: Method<'_>,
    parts: &Parts,
    body: Incoming,
    call: &mut Call,
    served: &mut Option<Served>,
) -> Result<Response<Body>, ApiError> {
    let headers = &parts.headers;
    let deadline = deadline::timeout(headers)?.map(|timeout| call.started + timeout);
    let mut messages = Messages::new(RequestBody::new(body), headers, server.limits)?;
    let coding = coding::of_answer(headers);
    let context = Context { server, headers, deadline };
    let answer = match method {
        Method::Infer => infer::unary(context, &mut messages, call, served).await,
        Method::StreamInfer => return stream::open(context, messages).map(|feed| reply::stream(feed, coding)),
        Method::Inference(method) => service::answer(context, method, &mut messages).await,
        Method::Health("Watch") => match health::watch(context, &mut messages).await {
            Ok(feed) => return Ok(reply::stream(feed, None)),
            Err(error) => Err(error),
        },
        Method::Health(method) => health::answer(context, method, &mut messages).await,
        Method::Unknown => Err(unknown_method()),
    };
    match answer {
        Ok(message) => Ok(reply::unary(message, coding)),
        Err(error) => {
            messages.drain(headers).await;
            Err(error)
        }
    }
}

fn unknown_method() -> ApiError {
    let message = "there is no such method; the services are inference.GRPCInferenceService and grpc.health.v1.Health";
    ApiError::new(ErrorKind::MethodNotAllowed, "unknown_method", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_methods() {
        assert_eq!(Method::of("/inference.GRPCInferenceService/ModelInfer"), Method::Infer);
        assert_eq!(Method::of("/inference.GRPCInferenceService/Nothing"), Method::Inference("Nothing"));
        assert_eq!(Method::of("/grpc.health.v1.Health/Check"), Method::Health("Check"));
        for unknown in ["/", "", "/inference.GRPCInferenceService", "/other/ModelInfer", "/score"] {
            assert_eq!(Method::of(unknown), Method::Unknown, "{unknown}");
        }
        assert!(Method::of("/inference.GRPCInferenceService/ServerLive").is_probe() && !Method::Infer.is_probe());
    }
}
