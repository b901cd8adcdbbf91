//! The way of an inference request over gRPC: [`receive`] reads it and finds who answers, [`answer`] has it run.
//!
//! It is the way of a scoring request, but that the endpoint's name is in the message: a key that nobody has is refused before
//! anything is read, the right to an endpoint is checked as soon as that has been named, and only then are its inputs read.

use std::time::Instant;

use bytes::Bytes;

use super::Context;
use super::messages::{Messages, Refused, missing};
use crate::codec::open_inference::protobuf::{Message, ModelId, Opening, Receiver, encode};
use crate::codec::open_inference::{Answering, InferRequest, Wanted, WantedOutput};
use crate::codec::{Request, quoted};
use crate::deployment::{Completed, Permit, Priority};
use crate::error::ErrorKind;
use crate::http::pipeline::{
    Admitted, ApiError, Call, InFlight, Model, Served, Timed, check_key, enter, off_the_loop, overloaded, policy, run,
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
    let model = model(&said.model.name, &said.model.version)?;
    let asked = (Some(model.name.as_str()), model.version);
    let entered = enter(&context.server.scoring, asked, context.headers, call, served);
    let mut admitted = entered.map_err(|error| model.not_admitted(error))?.admit(permit)?;
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
    let mut receiver = Receiver::new(opening, request, context.server.scoring.regions())?;
    let mut outcome = receiver.push(&rest);
    while outcome.is_ok() {
        let Some(piece) = messages.next(permit).await? else { break };
        let gathered = receiver.gathered_to_read(piece.len());
        outcome = off_the_loop(gathered, || receiver.push(&piece));
    }
    receiver.id().clone_into(&mut said.id);
    outcome?;
    let bytes = messages.received();
    let read = Instant::now();
    let left = receiver.left_to_read();
    let decoded = off_the_loop(left, || receiver.finish());
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
    let Received { mut admitted, in_flight, request, model_name } = received;
    let answer = answer_admitted(context, &mut admitted, request, &model_name, call).await;
    in_flight.end();
    answer
}

async fn answer_admitted(
    context: Context<'_>,
    admitted: &mut Admitted<'_>,
    request: InferRequest,
    model_name: &str,
    call: &mut Call,
) -> Result<Message, ApiError> {
    let InferRequest { inputs, wanted, id, parameters } = request;
    if parameters.priority > 0 {
        admitted.priority = Priority::of_level(parameters.priority);
    }
    admitted.max_wait = parameters.queue_timeout;
    let Completed { outputs, .. } = run(admitted, inputs, call).await?;
    let Admitted { endpoint, deployment, .. } = admitted;
    let encoding = Instant::now();
    let answering = Answering {
        model_name,
        model_version: deployment.model.version,
        id: &id,
        signature: &endpoint.signature,
        labels: &deployment.labels,
    };
    let written = elements_to_write(&outputs, &wanted);
    let message = off_the_loop(written, || encode(outputs, &wanted, &answering, context.server.scoring.regions()))?;
    let took = encoding.elapsed();
    call.note(Timed::Encode, took);
    deployment.metrics.stage(Stage::Encode, took);
    deployment.metrics.response_bytes.inc_by(message.len() as u64);
    Ok(message)
}

/// How many elements have to be written one by one; numbers go out in their own memory.
fn elements_to_write(outputs: &[Value], wanted: &Wanted) -> usize {
    let has_to_be = |output: &&WantedOutput| {
        output.classes > 0
            || !matches!(&outputs[output.index], Value::Tensor(tensor) if tensor.dtype().size().is_some())
    };
    wanted.outputs.iter().filter(has_to_be).map(|output| outputs[output.index].len()).sum()
}

/// A model as a message names it.
pub fn model(name: &str, version: &str) -> Result<Model, ApiError> {
    let number = (!version.is_empty()).then(|| version.parse::<u64>());
    let version = number.transpose().map_err(|_| {
        let message = format!("the version '{}' is not a whole number; none means whichever answers", quoted(version));
        ApiError::new(ErrorKind::BadInput, "bad_version", message)
    })?;
    Ok(Model { name: name.to_owned(), version })
}

/// The client's own deadline.
pub fn deadline_passed() -> ApiError {
    let message = "the deadline passed before the request had been read";
    ApiError::new(ErrorKind::DeadlineExceeded, "deadline_exceeded", message)
}
