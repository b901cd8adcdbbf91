//! OpenAPI documents over HTTP: `swagger.json` and `openapi.json`, of an endpoint and of the whole server.
//!
//! Anyone may read them, so they hold the contract and no data: where scoring needs a key, the example is made from the
//! signature and not the sample beside the model.

use hyper::Response;

use super::error::ApiError;
use super::health::text;
use super::router::Document;
use super::score::find_endpoint;
use super::{Body, Scoring};
use crate::codec::json::example_body;
use crate::deployment::Endpoint;
use crate::error::ErrorKind;
use crate::openapi::{Access, Service, Version, endpoint_document, server_document};

/// Answers a request for a document.
pub fn answer(server: &Scoring, document: &Document, query: Option<&str>) -> Result<Response<Body>, ApiError> {
    let table = server.routing.table();
    let loaded = || table.entries().filter_map(|(_, entry)| entry.endpoint.as_deref());
    let json = match document {
        Document::Swagger { endpoint } => {
            let version = version(query)?;
            if endpoint.is_none() && table.default_endpoint().is_none() {
                whole(version, loaded())
            } else {
                single(version, find_endpoint(&table, endpoint.as_deref())?.as_ref())
            }
        }
        Document::OpenApi { endpoint: Some(name) } => {
            single(Version::V3_1, find_endpoint(&table, Some(name))?.as_ref())
        }
        Document::OpenApi { endpoint: None } => whole(Version::V3_1, loaded()),
    };
    Ok(text(json.to_string(), "application/json"))
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

fn whole<'a>(version: Version, endpoints: impl Iterator<Item = &'a Endpoint>) -> serde_json::Value {
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
        null_input: endpoint.settings.null_input,
        non_finite_output: endpoint.settings.non_finite_output,
        deployments: endpoint.deployments.iter().map(|deployment| deployment.name.as_str()).collect(),
    }
}
