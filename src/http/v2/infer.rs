//! `POST …/infer`: the way of a scoring request (`http/score.rs`) with the protocol's own bodies.

use std::time::{Duration, Instant};

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::route::Model;
use crate::codec::open_inference::{
    Answering, ERROR_ELEMENTS_MAX, InferReply, InferRequest, JSON_LENGTH_HEADER, Receiver, Wanted, WantedOutput,
    encode, example,
};
use crate::codec::{DecodeError, EncodeError, Request};
use crate::deployment::{Completed, Deployment, Endpoint, Priority};
use crate::error::ErrorKind;
use crate::http::call::{Call, Timed};
use crate::http::error::ApiError;
use crate::http::pack;
use crate::http::request_body::{self, BodyLimits, RequestBody};
use crate::http::score::{Admitted, DEPLOYMENT, InFlight, STALL_BYTES, Served, admit, off_the_loop, policy, run};
use crate::http::unpack::{Coding, Unpacker};
use crate::http::{Body, Scoring};
use crate::telemetry::Stage;
use crate::tensor::Value;

const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Answers an inference request.
pub async fn infer(
    server: &Scoring,
    model: &Model,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
    served: &mut Option<Served>,
) -> Result<Response<Body>, ApiError> {
    let admitted = admit(server, (Some(&model.name), model.version), parts, call, served);
    let mut admitted = admitted.map_err(|error| model.not_admitted(error))?;
    let in_flight = InFlight::begin(admitted.deployment);
    let answer = answer(server, &mut admitted, model, parts, body, call).await;
    in_flight.end();
    answer
}

/// Reads, decodes, runs and encodes.
async fn answer(
    server: &Scoring,
    admitted: &mut Admitted<'_>,
    model: &Model,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
) -> Result<Response<Body>, ApiError> {
    let InferRequest { id, parameters, inputs, wanted } = read(server, admitted, parts, body, call).await?;
    if parameters.priority > 0 {
        admitted.priority = Priority::of_level(parameters.priority);
    }
    admitted.max_wait = parameters.queue_timeout;
    let Completed { outputs, .. } = run(admitted, inputs, call).await?;

    let Admitted { endpoint, deployment, .. } = admitted;
    let encoding = Instant::now();
    let written = elements_to_write(&outputs, &wanted);
    let answering = Answering {
        model_name: &model.name,
        model_version: deployment.model.version,
        id: &id,
        signature: &endpoint.signature,
        labels: &deployment.labels,
    };
    let policy = policy(endpoint);
    let encoded = off_the_loop(written, || encode(outputs, &wanted, &answering, &policy, server.regions()));
    let encoded = encoded.map_err(not_encoded)?;
    let mut response = respond(encoded, deployment);
    let smallest = server.settings.response_compression_min_bytes;
    if smallest > 0 && !response.headers().contains_key(JSON_LENGTH) {
        response = pack::answer(response, &parts.headers, smallest);
    }
    deployment.metrics.response_bytes.inc_by(response.body().len());
    note(call, deployment, (Timed::Encode, Stage::Encode), encoding.elapsed());
    Ok(response)
}

/// The elements that have to be written one by one: those that do not leave as the memory that they are in.
fn elements_to_write(outputs: &[Value], wanted: &Wanted) -> usize {
    let is_written = |output: &&WantedOutput| !output.binary || output.classes > 0;
    wanted.outputs.iter().filter(is_written).filter_map(|output| outputs.get(output.index)).map(Value::len).sum()
}

/// The body, read and decoded.
async fn read(
    server: &Scoring,
    admitted: &mut Admitted<'_>,
    parts: &Parts,
    body: &mut RequestBody,
    call: &mut Call,
) -> Result<InferRequest, ApiError> {
    let Admitted { endpoint, deployment, at, permit, .. } = admitted;
    let helpful = |error: DecodeError| explain(error, endpoint);
    let coding = Coding::of(&parts.headers, server.settings.request_compression)?;
    let max_bytes = endpoint.settings.max_body_bytes;
    let request = Request {
        signature: &endpoint.signature,
        policy: policy(endpoint),
        // What a packed body will be is not announced.
        announced_bytes: request_body::announced_bytes(&parts.headers).filter(|_| coding.is_none()),
        max_bytes,
        raw_shape: None,
    };
    let mut receiver = Receiver::new(request, json_length(parts)?, server.regions()).map_err(helpful)?;
    let mut unpacker = coding.map(Unpacker::new);
    let limits = BodyLimits {
        begun: *at,
        max_bytes,
        timeout: endpoint.settings.body_timeout,
        min_bytes_per_s: endpoint.settings.min_transfer_bytes_per_s,
    };
    let (mut received, mut unpacked) = (0usize, 0usize);
    let mut take = |bytes: &[u8]| {
        unpacked = unpacked.saturating_add(bytes.len());
        if unpacked > max_bytes {
            return Err(request_body::too_large(max_bytes, request_body::Sent::Binary));
        }
        if !permit.hold(unpacked) {
            return Err(request_body::overloaded());
        }
        let json = receiver.json_to_read(bytes.len());
        off_the_loop(json, || receiver.push(bytes)).map_err(helpful)
    };
    while let Some(data) = body.next(limits, received).await? {
        received = received.saturating_add(data.len());
        match &mut unpacker {
            None => take(&data)?,
            // A little can unpack to a lot.
            Some(unpacker) => off_the_loop(STALL_BYTES + 1, || unpacker.unpack(&data, &mut take))?,
        }
    }
    unpacker.map_or(Ok(()), Unpacker::finish)?;
    let read = Instant::now();
    let left = receiver.left_to_read();
    let request = off_the_loop(left, || receiver.finish());
    note(call, deployment, (Timed::Read, Stage::Read), read - *at);
    note(call, deployment, (Timed::Decode, Stage::Decode), read.elapsed());
    deployment.metrics.request_bytes.inc_by(received as u64);
    request.map_err(helpful)
}

fn note(call: &mut Call, deployment: &Deployment, (timed, stage): (Timed, Stage), took: Duration) {
    call.note(timed, took);
    deployment.metrics.stage(stage, took);
}

/// The length of the JSON, if the client has told it.
fn json_length(parts: &Parts) -> Result<Option<usize>, ApiError> {
    let mut values = parts.headers.get_all(JSON_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().unwrap_or_default().trim();
    // Of several, a proxy in front may have looked at another one than we would.
    let is_alone = values.next().is_none();
    let is_whole = is_alone && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = is_whole.then(|| digits.parse().unwrap_or(usize::MAX));
    length.map(Some).ok_or_else(|| {
        let message = format!("{JSON_LENGTH_HEADER} is not one whole number of bytes");
        ApiError::new(ErrorKind::BadInput, "bad_json_length", message)
            .with_expected("0 or more")
            .with_got(String::from_utf8_lossy(value.as_bytes()))
    })
}

/// Adds a request that would be valid for the model.
fn explain(error: DecodeError, endpoint: &Endpoint) -> ApiError {
    ApiError::from(error).with_example(example(&endpoint.signature, ERROR_ELEMENTS_MAX).as_deref())
}

fn not_encoded(error: EncodeError) -> ApiError {
    let message = match &error {
        EncodeError::NonFinite { output, value } => {
            format!("output '{output}' holds {value}, which JSON cannot carry; ask for it with \"binary_data\": true")
        }
        EncodeError::NotRepresentable(message) => message.clone(),
    };
    ApiError::new(error.kind(), "reply_not_representable", message)
}

fn respond(reply: InferReply, deployment: &Deployment) -> Response<Body> {
    let mut response = Response::new(Body::from_parts(reply.parts));
    let headers = response.headers_mut();
    match reply.json_bytes {
        Some(json) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(JSON_LENGTH, HeaderValue::from(json));
        }
        None => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
    }
    // A deployment's name is made of characters that a header can hold.
    if let Ok(name) = HeaderValue::from_str(deployment.name.as_str()) {
        headers.insert(DEPLOYMENT, name);
    }
    response
}
