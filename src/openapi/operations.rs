//! The operations of a scoring URI, with their parameters and answers, and the errors that all operations share.

use serde_json::{Map, Value as Json, json};

use super::schema::reference;
use super::{Access, Service, Version};
use crate::tensor::{DType, ValueType};

pub(super) const JSON_TYPE: &str = "application/json";
const NPY_TYPE: &str = "application/x-npy";
const NPZ_TYPE: &str = "application/x-npz";
pub(super) const RAW_TYPE: &str = "application/octet-stream";
const SAFETENSORS_TYPE: &str = "application/x-safetensors";

/// The failures of a scoring route, as `docs/http-status-codes.md` has them.
const ERRORS: [(&str, &str); 14] = [
    ("400", "The request can be mended by its sender: the error says where and how."),
    ("401", "No key, or one that is not known here."),
    ("403", "A key of another endpoint."),
    ("404", "There is no such endpoint, deployment or version."),
    ("405", "The path takes other methods."),
    ("406", "The answer cannot be written in the form that was asked for."),
    ("408", "The body did not arrive in time."),
    ("413", "The body is too long."),
    ("415", "The body's media type is none of those that are read here."),
    ("429", "Too much is in progress. Nothing was run; try again."),
    ("431", "A header is too long. Where the whole head is, the answer has no body."),
    ("500", "The model failed."),
    ("503", "The model is not loaded, or is being taken down."),
    ("504", "The deadline passed before the model had answered."),
];

/// Whose form the errors of an operation have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// The scoring routes'.
    Own,
    /// The Open Inference Protocol's.
    Inference,
}

impl ErrorForm {
    fn schema(self) -> &'static str {
        if self == ErrorForm::Own { "ErrorResponse" } else { "InferenceError" }
    }

    fn response(self, status: &str) -> String {
        if self == ErrorForm::Own { format!("Error{status}") } else { format!("InferenceError{status}") }
    }
}

/// `POST` and `GET` on a scoring URI.
pub(super) fn scoring(version: Version, service: &Service<'_>, suffix: &str, tags: &[&str]) -> Json {
    let input = reference(version, &format!("ServiceInput{suffix}"));
    let output = reference(version, &format!("ServiceOutput{suffix}"));
    let (consumed, produced) = (consumed(service), produced(service));
    let mut responses = failures(version, service.access, ErrorForm::Own);
    let answers = contents(version, &produced, &output);
    let mut headers = run_headers(version);
    headers.extend(scoring_headers(version));
    responses.insert("200".to_owned(), response(version, "The model's outputs.", &answers, headers));

    let about = format!(
        "Runs the model on the inputs in the body. The answer comes in the form of the request, unless Accept names another. \
         Clients of the Open Inference Protocol (KServe v2, Triton) find the same model at POST /v2/models/{}/infer.",
        service.name
    );
    let mut post = json!({
        "operationId": format!("RunMLService{suffix}"),
        "summary": "Score",
        "description": about,
        "parameters": header_parameters(version, service),
        "responses": responses,
    });
    if !tags.is_empty() {
        post["tags"] = json!(tags);
    }
    let mut get = post.clone();
    get["operationId"] = json!(format!("RunMLServiceGet{suffix}"));
    get["summary"] = json!("Score what is in the query");
    get["description"] = json!("Runs the model on the inputs in the query, each of them as JSON.");
    if service.access == Access::Key {
        post["security"] = json!([{ "Bearer": [] }]);
        get["security"] = json!([{ "Bearer": [] }]);
    }
    push_parameters(&mut get, query_parameters(version, service, suffix));
    match version {
        Version::V2 => {
            let body = json!({ "in": "body", "name": "serviceInputPayload", "required": true, "schema": input });
            push_parameters(&mut post, vec![body]);
            // A binary body is none that Swagger 2.0 could describe.
            post["consumes"] = json!([JSON_TYPE]);
            post["produces"] = json!([JSON_TYPE]);
            get["produces"] = json!([JSON_TYPE]);
        }
        Version::V3_0 | Version::V3_1 => {
            push_parameters(&mut post, vec![raw_shape(version)]);
            let content: Map<_, _> = contents(version, &consumed, &input)
                .into_iter()
                .map(|(media_type, schema)| (media_type.to_owned(), json!({ "schema": schema })))
                .collect();
            post["requestBody"] = json!({ "required": true, "content": content });
        }
    }
    json!({ "post": post, "get": get })
}

/// The error body, as `http/error.rs` writes it.
pub(super) fn error_schema(version: Version) -> Json {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let mut code = text("Stable, for programs.");
    code["pattern"] = json!("^[a-z0-9_]+$");
    let mut example = json!({ "description": "A body that this model takes." });
    if version != Version::V3_1 {
        example["type"] = json!("object");
    }
    json!({
        "type": "object",
        "required": ["error", "message"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": code,
                    "message": text("For people."),
                    "path": text("The place in the body: a JSON path, or the name of an input."),
                    "expected": text("What belongs there."),
                    "got": text("What was there."),
                    "example": example,
                },
            },
            "message": text("The message once more, where clients of Azure's server look for it."),
        },
    })
}

/// The answers of failures, by name.
pub(super) fn error_responses(version: Version, access: Access, form: ErrorForm) -> Map<String, Json> {
    let content = [(JSON_TYPE, reference(version, form.schema()))];
    let named = errors(access).map(|(status, about)| {
        let mut headers = request_id(version);
        let mut add = |name: &str, kind: &str, about: &str| {
            headers.insert(name.to_owned(), header(version, Presence::Always, json!({ "type": kind }), about));
        };
        match status {
            "401" => add("www-authenticate", "string", "`Bearer`."),
            "405" => add("allow", "string", "The methods that the path takes."),
            "429" | "503" => add("retry-after", "integer", "Seconds to wait before another try."),
            "500" => add("x-ms-run-function-failed", "string", "`True`."),
            _ => {}
        }
        (form.response(status), response(version, about, &content, headers))
    });
    named.collect()
}

/// All failures that there can be of a run, by status.
pub(super) fn failures(version: Version, access: Access, form: ErrorForm) -> Map<String, Json> {
    errors(access).map(|(status, _)| (status.to_owned(), error_reference(version, form, status))).collect()
}

/// The failures that can be: without keys there are none about keys.
fn errors(access: Access) -> impl Iterator<Item = (&'static str, &'static str)> {
    ERRORS.into_iter().filter(move |(status, _)| access == Access::Key || !matches!(*status, "401" | "403"))
}

pub(super) fn error_reference(version: Version, form: ErrorForm, status: &str) -> Json {
    let below = if version == Version::V2 { "#/responses" } else { "#/components/responses" };
    json!({ "$ref": format!("{below}/{}", form.response(status)) })
}

/// The media types that can carry this model's inputs.
fn consumed(service: &Service<'_>) -> Vec<&'static str> {
    let inputs = &service.signature.inputs;
    let has_strings = inputs.iter().any(|input| input.dtype == DType::String);
    binary_types(inputs.len(), has_strings)
}

/// The media types that can carry its outputs.
fn produced(service: &Service<'_>) -> Vec<&'static str> {
    let dtypes: Option<Vec<_>> = (service.signature.outputs.iter())
        .map(|output| if let ValueType::Tensor { dtype, .. } = output.value { Some(dtype) } else { None })
        .collect();
    // Sequences and maps have a form in JSON only.
    dtypes.map_or(vec![JSON_TYPE], |dtypes| binary_types(dtypes.len(), dtypes.contains(&DType::String)))
}

fn binary_types(tensors: usize, has_strings: bool) -> Vec<&'static str> {
    let mut types = vec![JSON_TYPE, NPZ_TYPE, RAW_TYPE];
    if tensors == 1 {
        types.push(NPY_TYPE);
    }
    if !has_strings {
        types.push(SAFETENSORS_TYPE);
    }
    types
}

/// Each media type with its schema: bytes, but for JSON.
pub(super) fn contents(
    version: Version,
    media_types: &[&'static str],
    json_schema: &Json,
) -> Vec<(&'static str, Json)> {
    let schema = |media_type: &str| {
        let bytes = if version == Version::V2 { "file" } else { "string" };
        if media_type == JSON_TYPE { json_schema.clone() } else { json!({ "type": bytes, "format": "binary" }) }
    };
    media_types.iter().map(|media_type| (*media_type, schema(media_type))).collect()
}

/// An answer. Swagger 2.0 has room for one schema: that of the first content.
pub(super) fn response(version: Version, about: &str, contents: &[(&str, Json)], headers: Map<String, Json>) -> Json {
    let mut response = json!({ "description": about, "headers": headers });
    let Some((_, first)) = contents.first() else { return response };
    match version {
        Version::V2 => response["schema"] = first.clone(),
        Version::V3_0 | Version::V3_1 => {
            let contents = contents.iter();
            response["content"] = contents
                .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })))
                .collect::<Map<_, _>>()
                .into();
        }
    }
    response
}

pub(super) fn request_id(version: Version) -> Map<String, Json> {
    let about = "The request's id: the client's own, or a new one.";
    let id = header(version, Presence::Always, json!({ "type": "string" }), about);
    Map::from_iter([("x-request-id".to_owned(), id)])
}

/// What stands above every answer of a model.
pub(super) fn run_headers(version: Version) -> Map<String, Json> {
    let mut headers = request_id(version);
    for (name, about) in [
        ("server-timing", "Milliseconds in each stage."),
        ("azureml-model-deployment", "The deployment that answered."),
    ] {
        let header = header(version, Presence::Always, json!({ "type": "string" }), about);
        headers.insert(name.to_owned(), header);
    }
    headers
}

fn scoring_headers(version: Version) -> Map<String, Json> {
    use Presence::{Always, Sometimes};
    let headers = [
        ("x-ms-run-function-failed", Always, "string", "`False`."),
        ("x-ms-run-fn-exec-ms", Always, "number", "Milliseconds inside the model."),
        ("x-scoria-dtype", Sometimes, "string", "The types of the outputs in a raw answer."),
        ("x-scoria-shape", Sometimes, "string", "The shapes of the outputs in a raw answer."),
    ];
    let headers = headers.map(|(name, presence, kind, about)| {
        (name.to_owned(), header(version, presence, json!({ "type": kind }), about))
    });
    headers.into_iter().collect()
}

/// Whether a header is always there. Swagger 2.0 does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Always,
    Sometimes,
}

/// A header of an answer.
pub(super) fn header(version: Version, presence: Presence, schema: Json, about: &str) -> Json {
    match version {
        Version::V2 => merged(json!({ "description": about }), schema),
        Version::V3_0 | Version::V3_1 => {
            json!({ "description": about, "required": presence == Presence::Always, "schema": schema })
        }
    }
}

pub(super) fn header_parameters(version: Version, service: &Service<'_>) -> Vec<Json> {
    let text = |most: usize| json!({ "type": "string", "maxLength": most });
    let about_deployment = "The deployment that is to answer.";
    vec![
        parameter(version, ("header", "x-request-id"), "An id for the request, which comes back.", text(100)),
        parameter(
            version,
            ("header", "x-scoria-timeout-ms"),
            "A shorter deadline than the endpoint's, in milliseconds.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        parameter(
            version,
            ("header", "x-scoria-priority"),
            "Who goes first when requests wait.",
            json!({ "type": "string", "enum": ["high", "normal", "low"] }),
        ),
        parameter(
            version,
            ("header", "azureml-model-deployment"),
            about_deployment,
            json!({ "type": "string", "enum": service.deployments }),
        ),
    ]
}

fn raw_shape(version: Version) -> Json {
    parameter(
        version,
        ("header", "x-scoria-shape"),
        "The shapes of the inputs in a raw body, as in `2,10;2`. Ignored with other bodies.",
        json!({ "type": "string" }),
    )
}

/// The inputs of a `GET`: `data` for the only one, else each by its name.
fn query_parameters(version: Version, service: &Service<'_>, suffix: &str) -> Vec<Json> {
    let inputs = &service.signature.inputs;
    let named = inputs.iter().enumerate().map(|(index, input)| {
        let name = if inputs.len() == 1 { "data" } else { &input.name };
        let about = format!("{input}, as JSON.");
        match version {
            Version::V2 => {
                json!({ "in": "query", "name": name, "required": true, "description": about, "type": "string" })
            }
            Version::V3_0 | Version::V3_1 => {
                let schema = reference(version, &format!("Input{}{suffix}", index + 1));
                let content = json!({ JSON_TYPE: { "schema": schema } });
                json!({ "in": "query", "name": name, "required": true, "description": about, "content": content })
            }
        }
    });
    named.collect()
}

/// A parameter that may be left out.
pub(super) fn parameter(version: Version, (place, name): (&str, &str), about: &str, schema: Json) -> Json {
    let parameter = json!({ "in": place, "name": name, "description": about });
    match version {
        Version::V2 => merged(parameter, schema),
        Version::V3_0 | Version::V3_1 => merged(parameter, json!({ "schema": schema })),
    }
}

pub(super) fn push_parameters(operation: &mut Json, more: Vec<Json>) {
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.extend(more);
    }
}

/// The members of both.
fn merged(mut into: Json, from: Json) -> Json {
    if let (Some(into), Json::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
    into
}
