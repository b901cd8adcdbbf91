//! The operations that every server has, whatever its models: probes and documents.

use serde_json::{Map, Value as Json, json};

use super::Version;
use super::operations::{ErrorForm, JSON_TYPE, Presence, error_reference, header, parameter, request_id, response};
use super::schema::reference;

const HTML_TYPE: &str = "text/html";
const TEXT_TYPE: &str = "text/plain";

pub(super) const PROBE_ERRORS: [&str; 3] = ["400", "405", "431"];
const DOCUMENT_ERRORS: [&str; 5] = ["400", "404", "405", "431", "503"];

/// `GET /`.
pub(super) fn health(version: Version) -> Json {
    let about = "Whether the server answers. For load balancers; it asks no model.";
    let healthy = response(version, "The server answers.", &[text(HTML_TYPE)], request_id(version));
    let answers = vec![("200", healthy)];
    Read { id: "ServiceHealthCheck", about, produces: HTML_TYPE, answers, errors: &PROBE_ERRORS, form: ErrorForm::Own }
        .path(version)
}

/// The probes of orchestrators, by path.
pub(super) fn probes(version: Version) -> [(&'static str, Json); 3] {
    let states =
        |about: &str| response(version, about, &[(JSON_TYPE, reference(version, "Readiness"))], request_id(version));
    let live = Read {
        id: "Live",
        about: "Whether the process answers.",
        produces: TEXT_TYPE,
        answers: vec![("200", response(version, "It does.", &[text(TEXT_TYPE)], request_id(version)))],
        errors: &PROBE_ERRORS,
        form: ErrorForm::Own,
    };
    let ready = Read {
        id: "Ready",
        about: "Whether scoring can be served.",
        produces: JSON_TYPE,
        answers: vec![("200", states("It can.")), ("503", states("It cannot, and why."))],
        errors: &PROBE_ERRORS,
        form: ErrorForm::Own,
    };
    let health = Read {
        id: "Health",
        about: "The text of `/readyz`, always 200.",
        produces: JSON_TYPE,
        answers: vec![("200", states("Whether scoring can be served or not."))],
        errors: &PROBE_ERRORS,
        form: ErrorForm::Own,
    };
    [("/livez", live.path(version)), ("/readyz", ready.path(version)), ("/healthz", health.path(version))]
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
    let answers = vec![("200", found), ("304", same)];
    let mut path =
        Read { id, about, produces: JSON_TYPE, answers, errors: &DOCUMENT_ERRORS, form: ErrorForm::Own }.path(version);
    path["get"]["parameters"] = json!(parameters);
    path
}

fn text(media_type: &'static str) -> (&'static str, Json) {
    (media_type, json!({ "type": "string" }))
}

/// A path that is only read.
pub(super) struct Read<'a> {
    pub id: &'a str,
    pub about: &'a str,
    pub produces: &'a str,
    pub answers: Vec<(&'a str, Json)>,
    pub errors: &'a [&'a str],
    pub form: ErrorForm,
}

impl Read<'_> {
    pub fn path(self, version: Version) -> Json {
        let errors = self.errors.iter();
        let errors = errors.map(|status| ((*status).to_owned(), error_reference(version, self.form, status)));
        let mut responses: Map<_, _> = errors.collect();
        responses.extend(self.answers.into_iter().map(|(status, answer)| (status.to_owned(), answer)));
        let mut operation = json!({ "operationId": self.id, "summary": self.about, "responses": responses });
        if version == Version::V2 {
            operation["produces"] = json!([self.produces]);
        }
        json!({ "get": operation })
    }
}
