//! The operations of the Open Inference Protocol: on a model, and on the server.
//!
//! Versions are not among the paths: each path of a model is there below `/versions/<n>`, too, as the protocol has it.

use serde_json::{Map, Value as Json, json};

use super::operations::{
    ErrorForm, JSON_TYPE, Presence, RAW_TYPE, contents, failures, header, header_parameters, parameter,
    push_parameters, request_id, response, run_headers,
};
use super::schema::reference;
use super::server::{PROBE_ERRORS, Read};
use super::{Access, Service, Version};

/// Where the JSON ends in a body that goes on with the bytes of tensors.
const JSON_LENGTH: &str = "inference-header-content-length";

const ABOUT_INFERENCE: &str = "Runs the model on the inputs in the body, by the Open Inference Protocol (KServe v2, \
    Triton). In JSON, an input has its elements in `data`. In the form with bytes, an input may have \
    `\"parameters\": {\"binary_data_size\": n}` in its place: Inference-Header-Content-Length says where the JSON ends, and \
    behind it are the tensors' bytes, little-endian, in the order of the inputs; an element of BYTES is its length in four \
    bytes and its text. With a length of 0 there is no JSON, and the body is the only input. Outputs come as bytes where \
    the request says `\"binary_data\": true` of them, or, if it lists none, \
    `\"parameters\": {\"binary_data_output\": true}`.";

const READ_ERRORS: [&str; 5] = ["400", "404", "405", "431", "503"];
const READ_ERRORS_WITH_KEYS: [&str; 7] = ["400", "401", "403", "404", "405", "431", "503"];
const READY_ERRORS: [&str; 4] = ["400", "404", "405", "431"];
const STATISTICS_ERRORS_WITH_KEYS: [&str; 4] = ["400", "401", "405", "431"];

/// The operations of one model, by path.
pub(super) fn model(version: Version, service: &Service<'_>, suffix: &str, tags: &[&str]) -> Vec<(String, Json)> {
    let below = format!("/v2/models/{}", service.name);
    let errors: &[&str] = if service.access == Access::Key { &READ_ERRORS_WITH_KEYS } else { &READ_ERRORS };
    let told = |name: &str, about: &str, schema: &str| {
        let (id, answers) = (format!("{name}{suffix}"), vec![("200", found(version, about, schema))]);
        let read = Read { id: &id, about, produces: JSON_TYPE, answers, errors, form: ErrorForm::Inference };
        let mut path = read.path(version);
        if service.access == Access::Key {
            path["get"]["security"] = json!([{ "Bearer": [] }]);
        }
        path
    };
    let paths = [
        ("", told("ModelMetadata", "The model's inputs and outputs, and the versions that answer.", "ModelMetadata")),
        ("/ready", ready(version, &format!("ModelReady{suffix}"), "Whether the model answers.", "ModelReadiness")),
        ("/config", told("ModelConfig", "The model's configuration, in the words of Triton's.", "ModelConfig")),
        ("/stats", told("ModelStatistics", "What has been counted of the model.", "InferenceStatistics")),
        ("/infer", infer(version, service, suffix)),
    ];
    let tagged = |(leaf, mut path): (&str, Json)| {
        let operations = path.as_object_mut().into_iter().flat_map(Map::values_mut);
        operations.filter(|_| !tags.is_empty()).for_each(|operation| operation["tags"] = json!(tags));
        (format!("{below}{leaf}"), path)
    };
    paths.into_iter().map(tagged).collect()
}

/// The operations of the server, by path.
pub(super) fn server(version: Version, access: Access) -> Vec<(String, Json)> {
    let about = "What the server is, and which extensions of the protocol it has.";
    let answers = vec![("200", found(version, about, "ServerMetadata"))];
    let form = ErrorForm::Inference;
    let metadata = Read { id: "ServerMetadata", about, produces: JSON_TYPE, answers, errors: &PROBE_ERRORS, form };
    let about = "Whether the process answers.";
    let answers = vec![("200", found(version, about, "ServerLiveness"))];
    let live = Read { id: "ServerLive", about, produces: JSON_TYPE, answers, errors: &PROBE_ERRORS, form };
    let about = "What has been counted of every model that the key is for.";
    let answers = vec![("200", found(version, about, "InferenceStatistics"))];
    let errors: &[&str] = if access == Access::Key { &STATISTICS_ERRORS_WITH_KEYS } else { &PROBE_ERRORS };
    let statistics = Read { id: "ServerStatistics", about, produces: JSON_TYPE, answers, errors, form };
    let mut statistics = statistics.path(version);
    if access == Access::Key {
        // Without a key there is nothing that it is for.
        statistics["get"]["security"] = json!([{ "Bearer": [] }, {}]);
    }
    let paths = [
        ("/v2", metadata.path(version)),
        ("/v2/health/live", live.path(version)),
        ("/v2/health/ready", ready(version, "ServerReady", "Whether the server can serve.", "ServerReadiness")),
        ("/v2/models/stats", statistics),
    ];
    paths.map(|(path, operations)| (path.to_owned(), operations)).into()
}

fn found(version: Version, about: &str, schema: &str) -> Json {
    response(version, about, &[(JSON_TYPE, reference(version, schema))], request_id(version))
}

fn ready(version: Version, id: &str, about: &str, schema: &str) -> Json {
    let answers = vec![("200", found(version, "Yes.", schema)), ("503", found(version, "No.", schema))];
    let form = ErrorForm::Inference;
    Read { id, about, produces: JSON_TYPE, answers, errors: &READY_ERRORS, form }.path(version)
}

fn infer(version: Version, service: &Service<'_>, suffix: &str) -> Json {
    let request = reference(version, &format!("InferenceRequest{suffix}"));
    let reply = reference(version, &format!("InferenceReply{suffix}"));
    let media_types = [JSON_TYPE, RAW_TYPE];
    let mut headers = run_headers(version);
    let about = "Of an answer with bytes of tensors: where its JSON ends.";
    let length = json!({ "type": "integer", "minimum": 0 });
    headers.insert(JSON_LENGTH.to_owned(), header(version, Presence::Sometimes, length.clone(), about));
    let mut responses = failures(version, service.access, ErrorForm::Inference);
    let answers = contents(version, &media_types, &reply);
    responses.insert("200".to_owned(), response(version, "The model's outputs.", &answers, headers));

    let mut post = json!({
        "operationId": format!("Infer{suffix}"),
        "summary": "Infer",
        "description": ABOUT_INFERENCE,
        "parameters": header_parameters(version, service),
        "responses": responses,
    });
    if service.access == Access::Key {
        post["security"] = json!([{ "Bearer": [] }]);
    }
    let about = "The length of the JSON in bytes, where the bytes of tensors follow it.";
    push_parameters(&mut post, vec![parameter(version, ("header", JSON_LENGTH), about, length)]);
    match version {
        Version::V2 => {
            let body = json!({ "in": "body", "name": "inferenceRequest", "required": true, "schema": request });
            push_parameters(&mut post, vec![body]);
            post["consumes"] = json!([JSON_TYPE]);
            post["produces"] = json!([JSON_TYPE]);
        }
        Version::V3_0 | Version::V3_1 => {
            let content: Map<_, _> = contents(version, &media_types, &request)
                .into_iter()
                .map(|(media_type, schema)| (media_type.to_owned(), json!({ "schema": schema })))
                .collect();
            post["requestBody"] = json!({ "required": true, "content": content });
        }
    }
    json!({ "post": post })
}
