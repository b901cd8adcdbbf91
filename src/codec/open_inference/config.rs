//! A model's configuration, as clients that know Triton's `model_config.proto` read it: what holds here, in its words.

use std::collections::BTreeMap;

use serde::Serialize;

use super::carried::carried_spec;
use super::datatype;
use super::metadata::{platform, shape};
use crate::tensor::{Dim, Signature, TensorSpec, element_count};

/// What a configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct ModelFacts<'a> {
    pub name: &'a str,
    pub version: u64,
    pub signature: &'a Signature,
    /// The engine's name: `ort`, `tract`.
    pub engine: &'a str,
    /// The execution provider that took the model.
    pub provider: &'a str,
    /// The name of the model's file, without its folder.
    pub file_name: &'a str,
    /// Sessions.
    pub workers: usize,
    /// The most rows that are joined for one run.
    pub max_batch: usize,
    pub max_batch_delay_us: u64,
    /// The most elements that a request may have.
    pub max_elements: usize,
}

/// `GET /v2/models/<name>/config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelConfig {
    pub name: String,
    pub platform: &'static str,
    pub backend: &'static str,
    pub version_policy: VersionPolicy,
    /// The most rows of one request; 0 where the first dimension is none that all inputs and outputs share.
    pub max_batch_size: i32,
    pub input: Vec<ModelInput>,
    pub output: Vec<ModelOutput>,
    pub instance_group: Vec<InstanceGroup>,
    pub default_model_filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_batching: Option<DynamicBatching>,
    pub parameters: BTreeMap<String, StringParameter>,
    pub model_transaction_policy: TransactionPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionPolicy {
    pub specific: Specific,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Specific {
    pub versions: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInput {
    pub name: String,
    /// [`datatype::Datatype::config_name`].
    pub data_type: &'static str,
    pub format: &'static str,
    /// Without the batch's dimension, where `max_batch_size` is not 0.
    pub dims: Vec<i64>,
    pub is_shape_tensor: bool,
    pub allow_ragged_batch: bool,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelOutput {
    pub name: String,
    pub data_type: &'static str,
    pub dims: Vec<i64>,
    pub label_filename: &'static str,
    pub is_shape_tensor: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceGroup {
    pub name: String,
    /// `KIND_CPU` or `KIND_GPU`.
    pub kind: &'static str,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DynamicBatching {
    pub preferred_batch_size: Vec<i32>,
    pub max_queue_delay_microseconds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StringParameter {
    pub string_value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionPolicy {
    /// Whether a request may have several answers.
    pub decoupled: bool,
}

impl ModelConfig {
    pub fn new(facts: &ModelFacts<'_>) -> Self {
        let max_batch_size = max_batch_size(facts);
        let dims = |spec: &TensorSpec| {
            let dims = shape(spec);
            if max_batch_size > 0 { dims[1..].to_vec() } else { dims }
        };
        let input = |spec: &TensorSpec| ModelInput {
            name: spec.name.clone(),
            data_type: datatype::of(spec.dtype).config_name,
            format: "FORMAT_NONE",
            dims: dims(spec),
            is_shape_tensor: false,
            allow_ragged_batch: false,
            optional: false,
        };
        let output = |spec: TensorSpec| ModelOutput {
            data_type: datatype::of(spec.dtype).config_name,
            dims: dims(&spec),
            name: spec.name,
            label_filename: "",
            is_shape_tensor: false,
        };
        let kind = if matches!(facts.provider, "cuda" | "tensorrt") { "KIND_GPU" } else { "KIND_CPU" };
        ModelConfig {
            name: facts.name.to_owned(),
            platform: platform(facts.engine),
            backend: if facts.engine == "ort" { "onnxruntime" } else { "tract" },
            version_policy: VersionPolicy { specific: Specific { versions: vec![facts.version] } },
            max_batch_size,
            input: facts.signature.inputs.iter().map(input).collect(),
            output: facts.signature.outputs.iter().filter_map(carried_spec).map(output).collect(),
            instance_group: vec![InstanceGroup { name: facts.name.to_owned(), kind, count: facts.workers as u64 }],
            default_model_filename: facts.file_name.to_owned(),
            dynamic_batching: (facts.max_batch > 1).then(|| DynamicBatching {
                preferred_batch_size: vec![i32::try_from(facts.max_batch).unwrap_or(i32::MAX)],
                max_queue_delay_microseconds: facts.max_batch_delay_us,
            }),
            parameters: BTreeMap::new(),
            model_transaction_policy: TransactionPolicy { decoupled: false },
        }
    }
}

/// Whether the first dimension of every input and output is a batch: none has a size of its own there, and the graph's names
/// for it, if it has any, are the same. A fixed dimension is never taken for one.
pub fn is_batched(signature: &Signature) -> bool {
    let inputs = signature.inputs.iter().map(|spec| spec.dims.as_deref());
    let outputs: Vec<_> = signature.outputs.iter().map(carried_spec).collect();
    let outputs = outputs.iter().map(|spec| spec.as_ref().and_then(|spec| spec.dims.as_deref()));
    let mut symbol = None;
    let mut shared = inputs.chain(outputs).map(|dims| match dims.and_then(<[Dim]>::first) {
        Some(Dim::Dynamic(Some(name))) => symbol.get_or_insert(name) == &name,
        Some(Dim::Dynamic(None)) => true,
        Some(Dim::Fixed(_)) | None => false,
    });
    !signature.inputs.is_empty() && shared.all(|is_shared| is_shared)
}

/// As many rows as a request has room for, taking what else may vary for 1.
fn max_batch_size(facts: &ModelFacts<'_>) -> i32 {
    if !is_batched(facts.signature) {
        return 0;
    }
    let row_elements =
        facts.signature.inputs.iter().map(|spec| element_count(&spec.example_shape()).unwrap_or(usize::MAX));
    let row_elements = row_elements.fold(0usize, usize::saturating_add).max(1);
    i32::try_from(facts.max_elements / row_elements).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, OutputSpec, ValueType};

    fn signature(input: Vec<Dim>, output: Vec<Dim>) -> Signature {
        let value = ValueType::Tensor { dtype: DType::String, dims: Some(output) };
        Signature {
            inputs: vec![TensorSpec { name: "x".to_owned(), dtype: DType::F32, dims: Some(input) }],
            outputs: vec![OutputSpec { name: "y".to_owned(), value }],
        }
    }

    fn config(signature: &Signature) -> ModelConfig {
        ModelConfig::new(&ModelFacts {
            name: "m",
            version: 3,
            signature,
            engine: "ort",
            provider: "cpu",
            file_name: "model.onnx",
            workers: 2,
            max_batch: 8,
            max_batch_delay_us: 0,
            max_elements: 1_000,
        })
    }

    #[test]
    fn the_batch_is_left_out_of_dims_where_there_is_one() {
        let rows = || Dim::Dynamic(Some("N".to_owned()));
        let batched = config(&signature(vec![rows(), Dim::Fixed(10)], vec![rows()]));
        assert_eq!(
            (batched.max_batch_size, &batched.input[0].dims, &batched.output[0].dims),
            (100, &vec![10], &vec![])
        );
        assert_eq!(batched.output[0].data_type, "TYPE_STRING");
        let fixed = config(&signature(vec![Dim::Fixed(1), Dim::Fixed(10)], vec![rows()]));
        assert_eq!((fixed.max_batch_size, &fixed.input[0].dims, &fixed.output[0].dims), (0, &vec![1, 10], &vec![-1]));
        let other = Dim::Dynamic(Some("T".to_owned()));
        assert_eq!(config(&signature(vec![rows()], vec![other])).max_batch_size, 0);
        assert_eq!(config(&signature(vec![rows()], vec![Dim::Dynamic(None)])).max_batch_size, 1_000);
    }

    #[test]
    fn it_serializes_in_the_words_of_the_configuration() {
        let config = config(&signature(vec![Dim::Fixed(2)], vec![Dim::Fixed(1)]));
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["version_policy"], serde_json::json!({ "specific": { "versions": [3] } }));
        assert_eq!(json["input"][0]["data_type"], "TYPE_FP32");
        assert_eq!(json["model_transaction_policy"], serde_json::json!({ "decoupled": false }));
        assert_eq!(json["dynamic_batching"]["preferred_batch_size"], serde_json::json!([8]));
    }
}
