//! The operation that tells what became of answers, as `http/feedback.rs` has it.

use serde_json::{Map, Value as Json, json};

use super::operations::{ErrorForm, JSON_TYPE, error_reference, request_id, response};
use super::schema::{any_of, reference};
use super::{Access, Service, Version};

/// Reports of one request, as `http/feedback.rs` bounds them.
const REPORTS_MAX: usize = 1_000;

const ERRORS: [&str; 10] = ["400", "401", "403", "404", "405", "408", "413", "429", "431", "503"];

/// The schemas of bodies and answers, which are those of every endpoint.
pub(super) fn schemas(version: Version) -> [(&'static str, Json); 2] {
    let count = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    let outcome = any_of(version, vec![json!({ "type": "number" }), json!({ "type": "boolean" })]);
    let outcome = match version {
        // It has no word for one of two types.
        Version::V2 => json!({ "description": "`true`, `false` or a number." }),
        _ => outcome,
    };
    let report = json!({
        "type": "object",
        "required": ["request_id", "outcome"],
        "additionalProperties": false,
        "properties": {
            "request_id": { "type": "string", "description": "The answer's `x-request-id`." },
            "outcome": outcome,
            "deployment": {
                "type": "string",
                "description": "The answer's `azureml-model-deployment`; needed where the client made the request's id.",
            },
        },
    });
    let summary = json!({
        "type": "object",
        "required": ["counted", "again", "unknown"],
        "properties": {
            "counted": count("Reports that were counted."),
            "again": count("Reports of requests that had been reported before."),
            "unknown": count("Reports of requests that are not known, or not any more."),
            "unknown_ids": { "type": "array", "items": { "type": "string" }, "description": "Some of these." },
        },
    });
    [("FeedbackReport", report), ("FeedbackSummary", summary)]
}

/// `POST …/feedback`.
pub(super) fn operation(version: Version, service: &Service<'_>, suffix: &str, tags: &[&str]) -> Json {
    let report = reference(version, "FeedbackReport");
    let several = json!({ "type": "array", "items": report, "maxItems": REPORTS_MAX });
    let body = any_of(version, vec![report, several]);
    let needs_key = |status: &&str| service.access == Access::Key || !matches!(*status, "401" | "403");
    let errors = ERRORS.iter().filter(|status| needs_key(status));
    let mut responses: Map<_, _> =
        errors.map(|status| ((*status).to_owned(), error_reference(version, ErrorForm::Own, status))).collect();
    let summary = [(JSON_TYPE, reference(version, "FeedbackSummary"))];
    responses.insert("200".to_owned(), response(version, "What became of the reports.", &summary, request_id(version)));
    let mut post = json!({
        "operationId": format!("ReportOutcomes{suffix}"),
        "summary": "Report outcomes",
        "description": format!(
            "Tells what became of answers: a report, or a list of up to {REPORTS_MAX}. Any replica takes it. Deployments are \
             compared by it."
        ),
        "parameters": [],
        "responses": responses,
    });
    if !tags.is_empty() {
        post["tags"] = json!(tags);
    }
    if service.access == Access::Key {
        post["security"] = json!([{ "Bearer": [] }]);
    }
    match version {
        Version::V2 => {
            post["parameters"] = json!([{ "in": "body", "name": "feedback", "required": true, "schema": body }]);
            post["consumes"] = json!([JSON_TYPE]);
            post["produces"] = json!([JSON_TYPE]);
        }
        Version::V3_0 | Version::V3_1 => {
            post["requestBody"] = json!({ "required": true, "content": { JSON_TYPE: { "schema": body } } });
        }
    }
    json!({ "post": post })
}
