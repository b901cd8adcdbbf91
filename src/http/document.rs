//! OpenAPI documents over HTTP: `swagger.json` and `openapi.json`, of an endpoint and of the whole server.
//!
//! Anyone may read them, so they hold the contract and no data: where scoring needs a key, the example is made from the
//! signature and not the sample beside the model.

use hyper::Response;
use hyper::header::HeaderMap;

use super::error::ApiError;
use super::etag;
use super::router::Document;
use super::score::find_endpoint;
use super::{Body, Scoring};
use crate::codec::json::example_body;
use crate::codec::open_inference::{DOCUMENT_ELEMENTS_MAX, carried_spec, datatype, example};
use crate::deployment::{Endpoint, RoutingTable};
use crate::error::ErrorKind;
use crate::openapi::{Access, Inference, Outcomes, Service, Version, endpoint_document, server_document};
use crate::tensor::Signature;

/// Answers a request for a document.
pub fn answer(
    server: &Scoring,
    document: &Document,
    query: Option<&str>,
    request: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let table = server.routing.table();
    let (version, endpoint) = match document {
        // Without a default endpoint it is the whole server's.
        Document::Swagger { endpoint: None } if table.default_endpoint().is_none() => (version(query)?, None),
        Document::Swagger { endpoint } => (version(query)?, Some(find_endpoint(&table, endpoint.as_deref())?)),
        Document::OpenApi { endpoint: Some(name) } => (Version::V3_1, Some(find_endpoint(&table, Some(name))?)),
        Document::OpenApi { endpoint: None } => (Version::V3_1, None),
    };
    let made = server.documents.get(&table, endpoint.as_ref().map(|endpoint| &endpoint.name), version, || {
        endpoint.as_ref().map_or_else(|| whole(version, &table), |endpoint| single(version, endpoint))
    });
    Ok(etag::answer(request, &made.tag, "no-cache", "application/json", made.json))
}

/// The version asked for; 2 otherwise, as Azure's server has it.
fn version(query: Option<&str>) -> Result<Version, ApiError> {
    let mut arguments = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, asked)) = arguments.find(|(name, _)| name == "version") else { return Ok(Version::V2) };
    Version::parse(&asked).ok_or_else(|| {
        let names = Version::NAMES.join(", ");
        let message = format!("there is no document of this version; the versions are {names}");
        ApiError::new(ErrorKind::NotFound, "unknown_version", message).with_expected(names).with_got(asked)
    })
}

fn single(version: Version, endpoint: &Endpoint) -> serde_json::Value {
    let made_up = example_body(&endpoint.signature);
    endpoint_document(version, &service(endpoint, made_up.as_deref()))
}

fn whole(version: Version, table: &RoutingTable) -> serde_json::Value {
    let endpoints = table.entries().filter_map(|(_, entry)| entry.endpoint.as_deref());
    let endpoints: Vec<_> = endpoints.map(|endpoint| (endpoint, example_body(&endpoint.signature))).collect();
    let services: Vec<_> = endpoints.iter().map(|(endpoint, made_up)| service(endpoint, made_up.as_deref())).collect();
    server_document(version, &services)
}

fn service<'a>(endpoint: &'a Endpoint, made_up: Option<&'a str>) -> Service<'a> {
    let (access, example) = match endpoint.keys {
        Some(_) => (Access::Key, made_up),
        None => (Access::Open, endpoint.example.as_deref()),
    };
    Service {
        name: &endpoint.name,
        signature: &endpoint.signature,
        example,
        access,
        outcomes: if endpoint.revision.is_some() { Outcomes::Counted } else { Outcomes::NotCounted },
        null_input: endpoint.settings.null_input,
        extra_columns: endpoint.settings.extra_columns,
        non_finite_output: endpoint.settings.non_finite_output,
        deployments: endpoint.deployments.iter().map(|deployment| deployment.name.as_str()).collect(),
        inference: inference(&endpoint.signature),
    }
}

/// What the Open Inference Protocol makes of a signature.
pub fn inference(signature: &Signature) -> Inference {
    Inference {
        datatype: datatype::name,
        outputs: signature.outputs.iter().filter_map(carried_spec).collect(),
        example: example(signature, DOCUMENT_ELEMENTS_MAX),
    }
}
