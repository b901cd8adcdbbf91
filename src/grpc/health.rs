//! `grpc.health.v1.Health`: whether the server, a service or a model answers. Without a key, like every probe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::feed::{Driven, Outbox};
use super::messages::Messages;
use super::reply::{Form, framed};
use super::service::{decode, read};
use super::{Context, Server, unknown_method};
use crate::codec::open_inference::protobuf::Message;
use crate::deployment::State;
use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, Feed};

/// Made of `schemas/health.proto` by `build.rs`.
#[allow(clippy::doc_markdown, missing_docs, reason = "generated")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

use proto::health_check_response::ServingStatus;

/// How often a watched status is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What answers as long as the server does.
const SERVICES: [&str; 3] = ["", "grpc.health.v1.Health", "inference.GRPCInferenceService"];

/// `Check` and `List`.
pub async fn answer(context: Context<'_>, method: &str, messages: &mut Messages) -> Result<Message, ApiError> {
    match method {
        "Check" => {
            let request: proto::HealthCheckRequest = decode(&read(context, messages).await?)?;
            let status = status(context.server, &request.service).ok_or_else(|| {
                let message = "there is no service or model of this name";
                ApiError::new(ErrorKind::NotFound, "unknown_service", message)
            })?;
            Ok(Message::of(&proto::HealthCheckResponse { status: status.into() }))
        }
        "List" => {
            let proto::HealthListRequest {} = decode(&read(context, messages).await?)?;
            let table = context.server.scoring.routing.table();
            let services = SERVICES.into_iter().map(str::to_owned);
            let names = services.chain(table.entries().map(|(name, _)| name.to_string()));
            let statuses: BTreeMap<_, _> = names
                .filter_map(|name| {
                    let status = status(context.server, &name)?.into();
                    Some((name, proto::HealthCheckResponse { status }))
                })
                .collect();
            Ok(Message::of(&proto::HealthListResponse { statuses }))
        }
        _ => Err(unknown_method()),
    }
}

/// `Watch`: the status now, and whenever it has changed. It does not count as a request in progress, so it does not keep a
/// connection that is used for nothing else.
pub async fn watch(context: Context<'_>, messages: &mut Messages) -> Result<impl Feed + use<>, ApiError> {
    let request: proto::HealthCheckRequest = decode(&read(context, messages).await?)?;
    let (server, outbox) = (Arc::clone(context.server), Arc::new(Outbox::default()));
    Ok(Driven::new(Arc::clone(&outbox), async move {
        let (mut told, mut stopping) = (None, server.stopping.clone());
        let mut interval = tokio::time::interval(WATCH_INTERVAL);
        loop {
            let status = status(&server, &request.service).unwrap_or(ServingStatus::ServiceUnknown);
            if told.replace(status) != Some(status) {
                let message = Message::of(&proto::HealthCheckResponse { status: status.into() });
                outbox.put(framed(message, Form::Plain, None));
            }
            tokio::select! {
                _ = interval.tick() => {}
                () = stopping.wait() => {
                    return Err(ApiError::new(ErrorKind::Unavailable, "draining", "the server is being taken down"));
                }
            }
        }
    }))
}

/// `None` for what is not here.
fn status(server: &Server, service: &str) -> Option<ServingStatus> {
    let serving = |is_serving| if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    if SERVICES.contains(&service) {
        return Some(serving(server.scoring.is_ready()));
    }
    let table = server.scoring.routing.table();
    let entry = table.find(service)?;
    Some(serving(entry.state == State::Ready && !server.scoring.lifecycle.is_draining()))
}
