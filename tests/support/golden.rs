//! The OpenAPI documents of the bundled models, as `schemas/openapi/` keeps them: read from the models' files, so that no
//! engine has a say in them. Shared by the test that compares and the example that writes.

use std::path::{Path, PathBuf};

use scoria::codec::json::example_body;
use scoria::config::{NonFiniteOutput, NullInput};
use scoria::engine::Graph;
use scoria::name::Name;
use scoria::openapi::{Access, Service, Version, endpoint_document};

/// Each document's file and text.
pub fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    for model in ["ridge", "digits", "wine", "text-encoder"] {
        let path = root.join("models").join(model).join("1/model.onnx");
        let graph = Graph::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let example = example_body(&graph.signature);
        let service = Service {
            name: &Name::parse(model).expect("the models' names are names"),
            signature: &graph.signature,
            example: example.as_deref(),
            access: Access::Key,
            null_input: NullInput::Reject,
            non_finite_output: NonFiniteOutput::Null,
            deployments: vec!["default"],
        };
        for version in Version::ALL {
            let text = format!("{:#}\n", endpoint_document(version, &service));
            documents.push((root.join(format!("schemas/openapi/{model}.{}.json", version.name())), text));
        }
    }
    documents
}
