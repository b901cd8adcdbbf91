//! OpenAPI documents of the scoring contract, made from what a model takes and gives.
//!
//! Pure: no HTTP, no files. The paths, operation ids and names of schemas are those of Azure's inference server, so that what
//! was generated from its documents fits. What JSON Schema cannot say (rows of one length, equal columns in each record) is
//! left to the answers of the server. `http/document.rs` is the caller.

mod bodies;
mod feedback;
mod inference;
mod inference_bodies;
mod operations;
mod schema;
mod server;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use self::operations::ErrorForm;
use self::schema::Null;
use crate::config::{ExtraColumns, NonFiniteOutput, NullInput};
use crate::name::Name;
use crate::tensor::{DType, Signature, TensorSpec};

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Swagger 2.0, Azure's default.
    V2,
    /// OpenAPI 3.0.3.
    V3_0,
    /// OpenAPI 3.1.0.
    V3_1,
}

impl Version {
    pub const ALL: [Version; 3] = [Version::V2, Version::V3_0, Version::V3_1];

    /// What clients may call the versions; Azure's words and the full ones.
    pub const NAMES: [&str; 5] = ["2", "2.0", "3", "3.0", "3.1"];

    /// The version of one of [`Version::NAMES`].
    pub fn parse(name: &str) -> Option<Version> {
        Some(match name {
            "2" | "2.0" => Version::V2,
            "3" | "3.0" => Version::V3_0,
            "3.1" => Version::V3_1,
            _ => return None,
        })
    }

    /// The short name, for files.
    pub const fn name(self) -> &'static str {
        match self {
            Version::V2 => "2.0",
            Version::V3_0 => "3.0",
            Version::V3_1 => "3.1",
        }
    }
}

/// Whether scoring needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    Key,
}

/// Whether outcomes of answers can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// The endpoint is of a registry: deployments are compared by them.
    Counted,
    NotCounted,
}

/// An endpoint, as far as its contract goes.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    pub name: &'a Name,
    pub signature: &'a Signature,
    /// A valid body as JSON text. It is shown to whoever may read the document.
    pub example: Option<&'a str>,
    pub access: Access,
    pub outcomes: Outcomes,
    pub null_input: NullInput,
    pub extra_columns: ExtraColumns,
    pub non_finite_output: NonFiniteOutput,
    /// The deployments that a client can ask for by name.
    pub deployments: Vec<&'a str>,
    pub inference: Inference,
}

/// What the Open Inference Protocol makes of an endpoint.
#[derive(Clone, Debug)]
pub struct Inference {
    /// The protocol's name of an element type.
    pub datatype: fn(DType) -> &'static str,
    /// The outputs that it can carry, as tensors.
    pub outputs: Vec<TensorSpec>,
    /// A valid request as JSON text, shown as [`Service::example`] is.
    pub example: Option<String>,
}

impl Service<'_> {
    fn null_input(&self) -> Null {
        if self.null_input == NullInput::NaN { Null::InFloats } else { Null::Never }
    }

    fn null_output(&self) -> Null {
        if self.non_finite_output == NonFiniteOutput::Null { Null::InFloats } else { Null::Never }
    }
}

/// The document of one endpoint.
pub fn endpoint_document(version: Version, service: &Service<'_>) -> Json {
    let mut document = Document::new(version, service.name.as_str());
    document.add(service, "", &[]);
    document.add_documents(&format!("/api/v1/service/{}", service.name));
    document.finish()
}

/// The document of all endpoints together: names of operations and schemas end with that of their endpoint.
pub fn server_document(version: Version, services: &[Service<'_>]) -> Json {
    let mut document = Document::new(version, "Scoria");
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    for service in services {
        document.add(service, &suffix(service.name.as_str(), &names), &[service.name.as_str()]);
    }
    document.add_documents("");
    document.add_probes();
    document.finish()
}

/// What names of an endpoint's schemas and operations end with. Generators make types of them and keep letters and digits only,
/// so that `a-b`, `a.b` and `a_b` would be one: each of such names gets a digest of its own.
fn suffix(name: &str, names: &[&str]) -> String {
    /// Bytes of the digest: enough to tell endpoints apart, and short to read.
    const DIGEST_BYTES: usize = 4;
    let kept = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if names.iter().filter(|other| kept(other) == kept(name)).count() < 2 {
        return format!("_{name}");
    }
    let digest = Sha256::digest(name);
    let digest: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("_{name}_{digest}")
}

/// A document in the making.
struct Document {
    version: Version,
    title: String,
    paths: Map<String, Json>,
    schemas: Map<String, Json>,
    access: Access,
}

impl Document {
    fn new(version: Version, title: &str) -> Document {
        let mut schemas = Map::new();
        schemas.insert("ErrorResponse".to_owned(), operations::error_schema(version));
        schemas.extend(inference_bodies::shared());
        let mut paths = Map::new();
        paths.insert("/".to_owned(), server::health(version));
        Document { version, title: title.to_owned(), paths, schemas, access: Access::Open }
    }

    fn add(&mut self, service: &Service<'_>, suffix: &str, tags: &[&str]) {
        bodies::Bodies { version: self.version, service, suffix }.define(&mut self.schemas);
        let path = format!("/api/v1/service/{}/score", service.name);
        self.paths.insert(path, operations::scoring(self.version, service, suffix, tags));
        if service.outcomes == Outcomes::Counted {
            self.schemas.extend(feedback::schemas(self.version).map(|(name, schema)| (name.to_owned(), schema)));
            let path = format!("/api/v1/service/{}/feedback", service.name);
            self.paths.insert(path, feedback::operation(self.version, service, suffix, tags));
        }
        inference_bodies::define(self.version, service, suffix, &mut self.schemas);
        self.paths.extend(inference::model(self.version, service, suffix, tags));
        if service.access == Access::Key {
            self.access = Access::Key;
        }
    }

    /// Adds the routes of the documents themselves, below a path.
    fn add_documents(&mut self, below: &str) {
        self.paths.insert(format!("{below}/swagger.json"), server::swagger(self.version));
        self.paths.insert(format!("{below}/openapi.json"), server::openapi(self.version));
    }

    fn add_probes(&mut self) {
        self.schemas.insert("Readiness".to_owned(), server::readiness_schema());
        self.paths.extend(server::probes(self.version).map(|(path, operation)| (path.to_owned(), operation)));
        self.paths.extend(inference::server(self.version, self.access));
    }

    fn finish(self) -> Json {
        let info = json!({
            "title": self.title,
            "version": "1.0",
            "description": "Scores ONNX models. What the documents of this format cannot say is told by the answers: \
                            an error names the place, what was expected, and a body that is valid.",
        });
        let security = match self.access {
            Access::Open => json!({}),
            Access::Key => json!({ "Bearer": bearer(self.version) }),
        };
        let mut responses = operations::error_responses(self.version, self.access, ErrorForm::Own);
        responses.extend(operations::error_responses(self.version, self.access, ErrorForm::Inference));
        match self.version {
            Version::V2 => json!({
                "swagger": "2.0",
                "info": info,
                "paths": self.paths,
                "definitions": self.schemas,
                "responses": responses,
                "securityDefinitions": security,
            }),
            Version::V3_0 | Version::V3_1 => json!({
                "openapi": if self.version == Version::V3_0 { "3.0.3" } else { "3.1.0" },
                "info": info,
                "servers": [{ "url": "/" }],
                "paths": self.paths,
                "components": { "schemas": self.schemas, "responses": responses, "securitySchemes": security },
            }),
        }
    }
}

/// The key, as each version can say it. In 2.0, as in Azure's documents, it is the header whole.
fn bearer(version: Version) -> Json {
    match version {
        Version::V2 => json!({
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "description": "`Bearer <key>`, with the primary or the secondary key of the endpoint.",
        }),
        Version::V3_0 | Version::V3_1 => json!({
            "type": "http",
            "scheme": "bearer",
            "description": "The primary or the secondary key of the endpoint.",
        }),
    }
}

#[cfg(test)]
mod tests;
