//! What `schemas/` keeps: the OpenAPI documents of the bundled models, read from the models' files, so that no engine has a say
//! in them, and the JSON Schemas. Shared by the test that compares and the example that writes.

use std::path::{Path, PathBuf};

use scoria::codec::json::example_body;
use scoria::config::{ExtraColumns, NonFiniteOutput, NullInput};
use scoria::engine::Graph;
use scoria::name::Name;
use scoria::openapi::{Access, Outcomes, Service, Version, endpoint_document, server_document};

/// Each file and its text.
pub fn files() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let schemas = scoria::http::schemas().into_iter().chain([("config", scoria::config::schema())]);
    let schemas = schemas.map(|(name, text)| (format!("{name}.schema.json"), text));
    let documents = documents().into_iter().map(|(name, text)| (format!("openapi/{name}.json"), text));
    schemas.chain(documents).map(|(name, text)| (folder.join(name), text)).collect()
}

/// The documents of each model, and of a server that has two of them.
fn documents() -> Vec<(String, String)> {
    let models: Vec<_> = ["ridge", "text-encoder", "digits", "wine"].map(read).into();
    let services: Vec<_> =
        models.iter().map(|(name, graph, example)| service(name, graph, example.as_deref())).collect();
    let mut documents = Vec::new();
    for version in Version::ALL {
        let mut keep =
            |name: &str, document| documents.push((format!("{name}.{}", version.name()), format!("{document:#}\n")));
        for service in &services {
            keep(service.name.as_str(), endpoint_document(version, service));
        }
        keep("server", server_document(version, &services[..2]));
    }
    documents
}

fn read(model: &str) -> (Name, Graph, Option<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join("1/model.onnx");
    let graph = Graph::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let example = example_body(&graph.signature);
    (Name::parse(model).expect("the models' names are names"), graph, example)
}

fn service<'a>(name: &'a Name, graph: &'a Graph, example: Option<&'a str>) -> Service<'a> {
    Service {
        name,
        signature: &graph.signature,
        example,
        access: Access::Key,
        outcomes: Outcomes::NotCounted,
        null_input: NullInput::Reject,
        extra_columns: ExtraColumns::Refuse,
        non_finite_output: NonFiniteOutput::Null,
        deployments: vec!["default"],
        inference: scoria::http::inference(&graph.signature),
    }
}
