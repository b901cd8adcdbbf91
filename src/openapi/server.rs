//! The operations that every server has, whatever its models: probes and documents.

use serde_json::{Map, Value as Json, json};

use super::Version;
use super::operations::{JSON_TYPE, Presence, error_reference, header, parameter, request_id, response};
use super::schema::reference;

const HTML_TYPE: &str = "text/html";
const TEXT_TYPE: &str = "text/plain";

/// `GET /`.
pub(super) fn health(version: Version) -> Json {
    let about = "Whether the server answers. For load balancers; it asks no model.";
    let healthy = response(version, "The server answers.", &[text(HTML_TYPE)], request_id(version));
    get(version, "ServiceHealthCheck", about, HTML_TYPE, &["400", "405", "431"], [("200", healthy)])
}

/// The probes of orchestrators, by path.
pub(super) fn probes(version: Version) -> [(&'static str, Json); 3] {
    let errors = ["400", "405", "431"];
    let alive = response(version, "The process answers.", &[text(TEXT_TYPE)], request_id(version));
    let states =
        |about: &str| response(version, about, &[(JSON_TYPE, reference(version, "Readiness"))], request_id(version));
    let ready = [("200", states("Scoring can be served.")), ("503", states("It cannot, and why."))];
    let health = [("200", states("Whether it can or not."))];
    [
        ("/livez", get(version, "Live", "Whether the process answers.", TEXT_TYPE, &errors, [("200", alive)])),
        ("/readyz", get(version, "Ready", "Whether scoring can be served.", JSON_TYPE, &errors, ready)),
        ("/healthz", get(version, "Health", "The text of `/readyz`, always 200.", JSON_TYPE, &errors, health)),
    ]
}

/// What `/readyz` answers, as `http/health.rs` writes it.
pub(super) fn readiness_schema() -> Json {
    let state = json!({ "type": "string", "enum": ["loading", "ready", "failed"] });
    json!({
        "type": "object",
        "required": ["status", "endpoints"],
        "properties": {
            "status": { "type": "string", "enum": ["ready", "loading", "draining", "failed", "degraded"] },
            "endpoints": { "type": "object", "additionalProperties": state },
        },
    })
}

/// `GET …/swagger.json`.
pub(super) fn swagger(version: Version) -> Json {
    let wanted = json!({ "type": "string", "enum": Version::NAMES, "default": "2" });
    let wanted = parameter(version, ("query", "version"), "The version.", wanted);
    let about = "This document, in a version of the specification.";
    document(version, "GetSwaggerSpec", about, vec![wanted])
}

/// `GET …/openapi.json`.
pub(super) fn openapi(version: Version) -> Json {
    document(version, "GetOpenApi", "This document as OpenAPI 3.1.", Vec::new())
}

fn document(version: Version, id: &str, about: &str, mut parameters: Vec<Json>) -> Json {
    let known = "The tags of documents that the client has: it is told if one of them is still right.";
    parameters.push(parameter(version, ("header", "if-none-match"), known, json!({ "type": "string" })));
    let mut headers = request_id(version);
    let tag = header(version, Presence::Always, json!({ "type": "string" }), "Names this text of the document.");
    headers.insert("etag".to_owned(), tag);
    let found = response(version, "The document.", &[(JSON_TYPE, json!({ "type": "object" }))], headers.clone());
    let same = response(version, "The client has it already.", &[], headers);
    let errors = ["400", "404", "405", "431", "503"];
    let mut path = get(version, id, about, JSON_TYPE, &errors, [("200", found), ("304", same)]);
    path["get"]["parameters"] = json!(parameters);
    path
}

fn text(media_type: &'static str) -> (&'static str, Json) {
    (media_type, json!({ "type": "string" }))
}

/// A path that is only read.
fn get<const N: usize>(
    version: Version,
    id: &str,
    about: &str,
    produced: &str,
    errors: &[&str],
    answers: [(&str, Json); N],
) -> Json {
    let errors = errors.iter().map(|status| ((*status).to_owned(), error_reference(version, status)));
    let mut responses: Map<_, _> = errors.collect();
    responses.extend(answers.map(|(status, answer)| (status.to_owned(), answer)));
    let mut operation = json!({ "operationId": id, "summary": about, "responses": responses });
    if version == Version::V2 {
        operation["produces"] = json!([produced]);
    }
    json!({ "get": operation })
}
