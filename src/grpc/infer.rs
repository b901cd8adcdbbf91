//! The way of an inference request over gRPC: [`receive`] reads it and finds who answers, [`answer`] has it run.
//!
//! It is the way of a scoring request, but that the endpoint's name is in the message: a key that nobody has is refused before
//! anything is read, the right to an endpoint is checked as soon as that has been named, and only then are its inputs read.

use std::time::Instant;

use bytes::Bytes;

use super::Context;
use super::messages::{Messages, Refused, missing};
use crate::codec::Request;
use crate::codec::open_inference::protobuf::{Message, ModelId, Opening, Receiver, encode};
use crate::codec::open_inference::{Answering, InferRequest};
use crate::deployment::{Completed, Deployment, Permit};
use crate::error::ErrorKind;
use crate::http::pipeline::{
    Admitted, ApiError, Call, InFlight, Served, Timed, check_key, enter, off_the_loop, overloaded, policy, run,
};
use crate::telemetry::Stage;
use crate::tensor::Value;

/// A request that has been read.
pub struct Received<'a> {
    admitted: Admitted<'a>,
    in_flight: InFlight<'a>,
    request: InferRequest,
    model_name: String,
}

/// What a request has said of itself, for the answer that refuses it.
#[derive(Debug, Default)]
pub struct Said {
    pub id: String,
    pub model: ModelId,
}

/// `ModelInfer`.
pub async fn unary(
    context: Context<'_>,
    messages: &mut Messages,
    call: &mut Call,
    served: &mut Option<Served>,
) -> Result<Message, ApiError> {
    let scoring = &context.server.scoring;
    check_key(&scoring.routing.table(), context.headers)?;
    let permit = scoring.admission.admit(0).ok_or_else(overloaded)?;
    let mut said = Said::default();
    let reading = receive(context, messages, permit, call, served, &mut said);
    let received = match context.deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), reading).await.map_err(|_| deadline_passed())?,
        None => reading.await,
    };
    let received = received.map_err(Refused::into_error)?.ok_or_else(missing)?;
    messages.end()?;
    answer(context, received, call).await
}

/// Reads the next request; `None` if there is none.
pub async fn receive<'a>(
    context: Context<'a>,
    messages: &mut Messages,
    mut permit: Permit,
    call: &mut Call,
    served: &'a mut Option<Served>,
    said: &mut Said,
) -> Result<Option<Received<'a>>, Refused> {
    let Some(begun) = messages.begin(usize::MAX).await? else { return Ok(None) };
    if !permit.hold(begun.bytes) {
        return Err(overloaded().into());
    }
    let mut opening = Opening::new((!begun.is_packed).then_some(begun.bytes));
    let mut rest = Bytes::new();
    while let Some(piece) = messages.next(&mut permit).await? {
        let mut chunk = &piece[..];
        if opening.push(&mut chunk)? {
            rest = piece.slice(piece.len() - chunk.len()..);
            break;
        }
    }
    said.model = opening.model()?.clone();
    let entered = enter(&context.server.scoring, Some(&said.model.name), context.headers, call, served)?;
    check_version(&said.model.version, entered.served().1)?;
    let mut admitted = entered.admit(permit)?;
    admitted.deadline = context.deadline.map_or(admitted.deadline, |deadline| deadline.min(admitted.deadline));
    let in_flight = InFlight::begin(admitted.deployment);
    match read(context, messages, (opening, rest), &mut admitted, call, said).await {
        Ok(request) => Ok(Some(Received { admitted, in_flight, request, model_name: said.model.name.clone() })),
        Err(refused) => {
            in_flight.end();
            Err(refused)
        }
    }
}

/// Reads what follows the model's name, into tensors.
async fn read(
    context: Context<'_>,
    messages: &mut Messages,
    (opening, rest): (Opening, Bytes),
    admitted: &mut Admitted<'_>,
    call: &mut Call,
    said: &mut Said,
) -> Result<InferRequest, Refused> {
    let Admitted { endpoint, deployment, permit, .. } = admitted;
    let request = Request {
        signature: &endpoint.signature,
        policy: policy(endpoint),
        announced_bytes: messages.announced(),
        max_bytes: endpoint.settings.max_body_bytes,
        raw_shape: None,
    };
    let mut receiver = Receiver::new(opening, request, context.server.regions())?;
    let mut outcome = receiver.push(&rest);
    while outcome.is_ok() {
        let Some(piece) = messages.next(permit).await? else { break };
        outcome = receiver.push(&piece);
    }
    receiver.id().clone_into(&mut said.id);
    outcome?;
    let bytes = messages.received();
    let read = Instant::now();
    let decoded = off_the_loop(bytes, || receiver.finish());
    let (reading, decoding) = (read - messages.begun(), read.elapsed());
    call.note(Timed::Read, reading);
    call.note(Timed::Decode, decoding);
    deployment.metrics.stage(Stage::Read, reading);
    deployment.metrics.stage(Stage::Decode, decoding);
    deployment.metrics.request_bytes.inc_by(bytes as u64);
    Ok(decoded?)
}

/// Has the request run, and writes what came of it.
pub async fn answer(context: Context<'_>, received: Received<'_>, call: &mut Call) -> Result<Message, ApiError> {
    let Received { admitted, in_flight, request, model_name } = received;
    let answer = answer_admitted(context, &admitted, request, &model_name, call).await;
    in_flight.end();
    answer
}

async fn answer_admitted(
    context: Context<'_>,
    admitted: &Admitted<'_>,
    request: InferRequest,
    model_name: &str,
    call: &mut Call,
) -> Result<Message, ApiError> {
    let InferRequest { inputs, wanted, id, .. } = request;
    let Completed { outputs, .. } = run(admitted, inputs, call).await?;
    let Admitted { endpoint, deployment, .. } = admitted;
    let encoding = Instant::now();
    let answering =
        Answering { model_name, model_version: deployment.model.version, id: &id, signature: &endpoint.signature };
    let elements = outputs.iter().map(Value::len).sum();
    let message = off_the_loop(elements, || encode(outputs, &wanted, &answering, context.server.regions()))?;
    let took = encoding.elapsed();
    call.note(Timed::Encode, took);
    deployment.metrics.stage(Stage::Encode, took);
    deployment.metrics.response_bytes.inc_by(message.len() as u64);
    Ok(message)
}

/// A version that is named must be the one that answers.
pub fn check_version(asked: &str, deployment: &Deployment) -> Result<(), ApiError> {
    let version = deployment.model.version;
    if asked.is_empty() || asked.parse() == Ok(version) {
        return Ok(());
    }
    let message = format!("the model has no version of this number; {version} answers");
    Err(ApiError::new(ErrorKind::NotFound, "unknown_version", message)
        .with_expected(version.to_string())
        .with_got(asked.chars().take(64).collect::<String>()))
}

/// The client's own deadline.
pub fn deadline_passed() -> ApiError {
    let message = "the deadline passed before the request had been read";
    ApiError::new(ErrorKind::DeadlineExceeded, "deadline_exceeded", message)
}
