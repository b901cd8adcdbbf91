//! What a server and a model say of themselves.

use serde::Serialize;

use super::carried::carried_spec;
use super::datatype;
use super::extensions::{Capabilities, extensions};
use crate::tensor::{Dim, Signature, TensorSpec};

/// `GET /v2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerMetadata {
    pub name: &'static str,
    pub version: &'static str,
    pub extensions: Vec<&'static str>,
}

impl ServerMetadata {
    pub fn new(capabilities: Capabilities) -> Self {
        ServerMetadata { name: "scoria", version: env!("CARGO_PKG_VERSION"), extensions: extensions(capabilities) }
    }
}

/// `GET /v2/models/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelMetadata {
    pub name: String,
    /// The versions that answer, in ascending order.
    pub versions: Vec<String>,
    pub platform: &'static str,
    pub inputs: Vec<TensorMetadata>,
    pub outputs: Vec<TensorMetadata>,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorMetadata {
    pub name: String,
    pub datatype: &'static str,
    /// With -1 for what may vary, the batch included. Where the model does not state even the rank, it is `[-1]`.
    pub shape: Vec<i64>,
}

impl ModelMetadata {
    /// The metadata of a model that `engine` runs. Outputs that the protocol cannot carry are not among its outputs.
    pub fn new(name: &str, versions: impl IntoIterator<Item = u64>, engine: &str, signature: &Signature) -> Self {
        let mut versions: Vec<u64> = versions.into_iter().collect();
        versions.sort_unstable();
        versions.dedup();
        ModelMetadata {
            name: name.to_owned(),
            versions: versions.iter().map(u64::to_string).collect(),
            platform: platform(engine),
            inputs: signature.inputs.iter().map(TensorMetadata::new).collect(),
            outputs: signature.outputs.iter().filter_map(carried_spec).map(|spec| TensorMetadata::new(&spec)).collect(),
        }
    }
}

impl TensorMetadata {
    fn new(spec: &TensorSpec) -> Self {
        TensorMetadata { name: spec.name.clone(), datatype: datatype::name(spec.dtype), shape: shape(spec) }
    }
}

/// Triton's name for ONNX Runtime and ONNX; the protocol's own for ONNX by anything else.
pub fn platform(engine: &str) -> &'static str {
    if engine == "ort" { "onnxruntime_onnx" } else { "onnx_onnxv1" }
}

/// The declared dimensions, -1 for those that may vary.
pub(super) fn shape(spec: &TensorSpec) -> Vec<i64> {
    let size = |dim: &Dim| match *dim {
        Dim::Fixed(size) => i64::try_from(size).unwrap_or(i64::MAX),
        Dim::Dynamic(_) => -1,
    };
    spec.dims.as_ref().map_or_else(|| vec![-1], |dims| dims.iter().map(size).collect())
}
