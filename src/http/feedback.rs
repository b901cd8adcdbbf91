//! `POST …/feedback`: what became of answers, told by the ids of their requests, to whatever replica.

use std::time::Instant;

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::request_body::{self, BodyLimits, RequestBody};
use super::request_tag::RequestTag;
use super::score::{authenticate, find_endpoint};
use super::{Body, Scoring};
use crate::deployment::{Endpoint, Reported};
use crate::error::ErrorKind;
use crate::experiment::Outcome;
use crate::name::Name;

/// Reports of one request, and what they may take.
const REPORTS_MAX: usize = 1_000;
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How far ahead of this replica another may have been when it answered.
const REVISIONS_AHEAD_MAX: u64 = 8;

/// Ids that an answer names as unknown.
const UNKNOWN_SHOWN_MAX: usize = 10;

const EXAMPLE: &str = r#"{"request_id": "<x-request-id of the answer>", "outcome": true}"#;

/// What became of one answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    request_id: String,
    /// Yes or no, or how much.
    outcome: Outcome,
    /// Who answered, from the answer's `azureml-model-deployment`; needed where the client made the request's id.
    deployment: Option<Name>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reports {
    One(Report),
    Several(Vec<Report>),
}

/// What became of the reports.
#[derive(Default, Serialize)]
struct Summary {
    counted: usize,
    /// Reports of requests that had been reported before.
    again: usize,
    /// Reports of requests that this endpoint does not know, or not any more.
    unknown: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_ids: Vec<String>,
}

/// Counts the reports of a request.
pub async fn answer(
    server: &Scoring,
    name: Option<&str>,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<Body>, ApiError> {
    let endpoint = {
        let table = server.routing.table();
        let endpoint = find_endpoint(&table, name)?;
        authenticate(&endpoint, &parts.headers, &table)?;
        endpoint
    };
    let limits = BodyLimits {
        begun: Instant::now(),
        max_bytes: BODY_BYTES_MAX,
        timeout: endpoint.settings.body_timeout,
        min_bytes_per_s: endpoint.settings.min_transfer_bytes_per_s,
    };
    let _permit = server.admission.admit(BODY_BYTES_MAX).ok_or_else(request_body::overloaded)?;
    let reports = parse(&body.collect(limits).await?)?;
    let mut summary = Summary::default();
    for report in &reports {
        match count(&endpoint, report)? {
            Reported::Counted => summary.counted += 1,
            Reported::Again => summary.again += 1,
            Reported::TooOld | Reported::NotFinite => {
                summary.unknown += 1;
                if summary.unknown_ids.len() < UNKNOWN_SHOWN_MAX {
                    summary.unknown_ids.push(report.request_id.clone());
                }
            }
        }
    }
    if summary.unknown == reports.len() && !reports.is_empty() {
        let message = "no such request is known here: give the x-request-id of an answer of this endpoint, or name the \
                       deployment that answered";
        return Err(ApiError::new(ErrorKind::NotFound, "unknown_request", message).with_example(Some(EXAMPLE)));
    }
    let text = serde_json::to_vec(&summary).expect("numbers and texts serialize");
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn parse(bytes: &[u8]) -> Result<Vec<Report>, ApiError> {
    let refuse = |message: String| {
        ApiError::new(ErrorKind::BadInput, "bad_feedback", message)
            .with_expected("an object, or a list of them, with request_id and outcome (true, false or a number)")
            .with_example(Some(EXAMPLE))
    };
    // First as JSON alone, whose errors have a place; those of a body that may be one thing or another have none.
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| refuse(format!("the body is no JSON: {error}")))?;
    let reports = match serde_json::from_value(value) {
        Ok(Reports::One(report)) => vec![report],
        Ok(Reports::Several(reports)) => reports,
        Err(_) => return Err(refuse("the body is no report of an outcome".to_owned())),
    };
    if reports.len() > REPORTS_MAX {
        return Err(refuse(format!("{REPORTS_MAX} reports are the most of one request; this has {}", reports.len())));
    }
    Ok(reports)
}

/// Counts a report where its request was answered: under the revision and for the deployment that the id says, or that the
/// report names.
fn count(endpoint: &Endpoint, report: &Report) -> Result<Reported, ApiError> {
    let Report { request_id, outcome, deployment } = report;
    let Some(current) = endpoint.revision else {
        let message = "outcomes are counted for endpoints of a registry; this one is of a file";
        return Err(ApiError::new(ErrorKind::NotFound, "no_experiment", message));
    };
    let known = || {
        let served = endpoint.deployments.iter().map(|deployment| deployment.name.clone());
        endpoint.statistics.deployments().into_iter().chain(served)
    };
    let (revision, deployment) = match (RequestTag::read(request_id, &endpoint.name), deployment) {
        (Some(tag), _) => (tag.revision, known().find(|name| tag.is_of(name))),
        (None, Some(deployment)) => (current, known().find(|name| name == deployment)),
        (None, None) => (current, None),
    };
    // Another replica may be ahead of this one, though not by much.
    let Some(deployment) = deployment.filter(|_| revision <= current + REVISIONS_AHEAD_MAX) else {
        return Ok(Reported::TooOld);
    };
    Ok(endpoint.statistics.report(revision, &deployment, request_id, *outcome))
}
