//! What an ONNX file says of itself: signature, operator sets, producer, external data.
//!
//! Read by us, before any runtime sees the file, so that both engines share one signature (names, symbols, and whether a
//! shape was stated at all, which ONNX Runtime's API does not tell apart from a scalar).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::lookups::Lookup;
use super::onnx_file::{self, FileState};
use super::row_wise::RowWise;
use super::{element_name, external_data, onnx, recordable};
use crate::tensor::{DType, Dim, OutputSpec, Signature, TensorSpec, ValueType};

/// The parts of an ONNX graph that the server reasons about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub signature: Signature,
    /// Whether its operators keep rows apart.
    pub row_wise: RowWise,
    /// Inputs whose numbers are places in a table.
    pub lookups: Vec<Lookup>,
    /// What keeps runs from being recorded on a GPU and replayed, if anything does.
    pub recording_obstacle: Option<String>,
    /// `(domain, version)`; the default domain is `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// The exporter, as it named itself.
    pub producer: String,
    /// The model's own file, if it was read from one.
    pub file: Option<FileState>,
    /// Those that hold weights outside of it, all of them plain files in its folder or below.
    pub external_files: Vec<FileState>,
}

/// Why a file is not a model that can be served. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not an ONNX model: {reason}", path.display())]
    NotOnnx { path: PathBuf, reason: String },
    #[error(
        "{} has {bytes} bytes, and an ONNX file ends at 2 GiB; keep the weights beside it: \
         onnx.save(model, path, save_as_external_data=True)",
        path.display()
    )]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{place} '{name}' is {what}, which cannot be served; {remedy}")]
    Unservable { place: &'static str, name: String, what: String, remedy: &'static str },
    #[error("the weights '{tensor}' lie in '{location}', which is refused: {reason}")]
    ExternalData { tensor: String, location: String, reason: String },
    #[error("{} changed while the model was being loaded; load it again", path.display())]
    Changed { path: PathBuf },
}

impl Graph {
    /// Reads the graph of an ONNX file.
    pub fn read(path: &Path) -> Result<Graph, GraphError> {
        Graph::read_linked(path, &[])
    }

    /// [`Graph::read`], where weights may be links into `folders`.
    pub fn read_linked(path: &Path, folders: &[PathBuf]) -> Result<Graph, GraphError> {
        let (model, state) = onnx_file::read(path)?;
        Graph::of(model, path, Some(state), folders)
    }

    /// [`Graph::read`] of bytes that came from `path`. What becomes of that file is not followed.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Graph, GraphError> {
        Graph::of(onnx_file::parse(Bytes::copy_from_slice(bytes), path)?, path, None, &[])
    }

    fn of(model: onnx::Model, path: &Path, file: Option<FileState>, folders: &[PathBuf]) -> Result<Graph, GraphError> {
        let external_files = external_data::files(&model, onnx_file::folder(path), folders)?;
        let none = onnx::Graph::default();
        let graph = model.graph.as_ref().unwrap_or(&none);
        let signature = signature(graph)?;
        Ok(Graph {
            row_wise: RowWise::of(&model, &signature),
            lookups: Lookup::of(graph, &signature),
            recording_obstacle: recordable::obstacle(graph, &signature),
            opsets: opsets(&model.opset_import),
            producer: [model.producer_name, model.producer_version].join(" ").trim().to_owned(),
            signature,
            file,
            external_files,
        })
    }

    /// Whether the files are still the ones that were read. Asked after a runtime has opened them again by their paths: what
    /// took their place meanwhile has not been checked.
    pub fn check_unchanged(&self) -> Result<(), GraphError> {
        match self.file.iter().chain(&self.external_files).find(|file| !file.is_unchanged()) {
            Some(file) => Err(GraphError::Changed { path: file.path.clone() }),
            None => Ok(()),
        }
    }
}

/// `(domain, version)` of each operator set, the default domain by its name.
pub(super) fn opsets(sets: &[onnx::OperatorSet]) -> Vec<(String, i64)> {
    sets.iter().map(|set| (domain_name(&set.domain).to_owned(), set.version)).collect()
}

/// The default domain is written as nothing.
pub(super) fn domain_name(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

/// The inputs that have a default, and so need not be given.
///
/// Before IR version 4 every initializer was listed among the inputs too; since then that makes it a default which a caller
/// could override. Either way a request need not give it.
pub(super) fn defaults(graph: &onnx::Graph) -> HashSet<&str> {
    (graph.initializer.iter())
        .chain(graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()))
        .map(|tensor| tensor.name.as_str())
        .collect()
}

pub(super) fn signature(graph: &onnx::Graph) -> Result<Signature, GraphError> {
    let defaults = defaults(graph);
    let inputs = (graph.input.iter())
        .filter(|input| !defaults.contains(input.name.as_str()))
        .map(input_spec)
        .collect::<Result<_, _>>()?;
    let outputs = graph.output.iter().map(output_spec).collect::<Result<_, _>>()?;
    Ok(Signature { inputs, outputs })
}

fn input_spec(info: &onnx::ValueInfo) -> Result<TensorSpec, GraphError> {
    let refuse =
        |what: String, remedy| GraphError::Unservable { place: "input", name: info.name.clone(), what, remedy };
    match info.kind.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(onnx::TypeValue::Tensor(tensor)) => {
            let dtype = DType::from_onnx(tensor.elem_type)
                .ok_or_else(|| refuse(format!("a tensor of {}", element_name(tensor.elem_type)), CAST_REMEDY))?;
            Ok(TensorSpec { name: info.name.clone(), dtype, dims: dims(tensor.shape.as_ref()) })
        }
        Some(onnx::TypeValue::Sequence(_)) => Err(refuse("a sequence".into(), TENSOR_INPUT_REMEDY)),
        Some(onnx::TypeValue::Map(_)) => Err(refuse("a map".into(), MAP_INPUT_REMEDY)),
        Some(onnx::TypeValue::Optional(_)) => Err(refuse("optional".into(), TENSOR_INPUT_REMEDY)),
        Some(onnx::TypeValue::Sparse(_)) => Err(refuse("a sparse tensor".into(), TENSOR_INPUT_REMEDY)),
        None => Err(refuse("of no stated type".into(), TENSOR_INPUT_REMEDY)),
    }
}

fn output_spec(info: &onnx::ValueInfo) -> Result<OutputSpec, GraphError> {
    let value = info.kind.as_ref().and_then(|kind| kind.value.as_ref());
    match value_type(value) {
        Ok(value) => Ok(OutputSpec { name: info.name.clone(), value }),
        Err((what, remedy)) => Err(GraphError::Unservable { place: "output", name: info.name.clone(), what, remedy }),
    }
}

fn value_type(value: Option<&onnx::TypeValue>) -> Result<ValueType, (String, &'static str)> {
    let nested = |kind: Option<&onnx::Type>| value_type(kind.and_then(|kind| kind.value.as_ref()));
    match value {
        Some(onnx::TypeValue::Tensor(tensor)) => match DType::from_onnx(tensor.elem_type) {
            Some(dtype) => Ok(ValueType::Tensor { dtype, dims: dims(tensor.shape.as_ref()) }),
            None => Err((format!("a tensor of {}", element_name(tensor.elem_type)), CAST_REMEDY)),
        },
        Some(onnx::TypeValue::Sequence(sequence)) => {
            Ok(ValueType::Sequence(Box::new(nested(sequence.elem_type.as_deref())?)))
        }
        Some(onnx::TypeValue::Map(map)) => match DType::from_onnx(map.key_type) {
            Some(key @ (DType::I64 | DType::String)) => {
                Ok(ValueType::Map { key, value: Box::new(nested(map.value_type.as_deref())?) })
            }
            _ => Err((format!("a map keyed by {}", element_name(map.key_type)), MAP_KEY_REMEDY)),
        },
        Some(onnx::TypeValue::Optional(_)) => Err(("optional".into(), TENSOR_OUTPUT_REMEDY)),
        Some(onnx::TypeValue::Sparse(_)) => Err(("a sparse tensor".into(), TENSOR_OUTPUT_REMEDY)),
        None => Err(("of no stated type".into(), TENSOR_OUTPUT_REMEDY)),
    }
}

fn dims(shape: Option<&onnx::Shape>) -> Option<Vec<Dim>> {
    let dim = |dim: &onnx::Dimension| match &dim.value {
        // Some exporters write -1 for "any".
        Some(onnx::DimensionValue::Size(size)) => usize::try_from(*size).map_or(Dim::Dynamic(None), Dim::Fixed),
        Some(onnx::DimensionValue::Symbol(symbol)) if !symbol.is_empty() => Dim::Dynamic(Some(symbol.clone())),
        _ => Dim::Dynamic(None),
    };
    shape.map(|shape| shape.dim.iter().map(dim).collect())
}

/// What makes sizes of 0 unknown ones.
pub const ZERO_SIZE_REMEDY: &str = "leave that size open: python -c \"import onnx; m = onnx.load('model.onnx'); \
    [setattr(d, 'dim_param', f'dim{k}') for v in [*m.graph.input, *m.graph.output, *m.graph.value_info] \
    for k, d in enumerate(v.type.tensor_type.shape.dim) if d.HasField('dim_value') and d.dim_value == 0]; \
    onnx.save(m, 'model.onnx')\"";
const CAST_REMEDY: &str = "add a Cast to float32 or int32 at this boundary and export again";
const TENSOR_INPUT_REMEDY: &str = "export the model with plain tensor inputs";
const MAP_INPUT_REMEDY: &str = "export the model without DictVectorizer (CastMap): one tensor of features instead";
const TENSOR_OUTPUT_REMEDY: &str = "export the model with plain tensor outputs";
const MAP_KEY_REMEDY: &str = "export the model with int64 or string class labels, or with zipmap disabled";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::onnx::*;

    fn tensor(elem_type: i32, dims: Option<Vec<Option<DimensionValue>>>) -> Option<Type> {
        let shape = dims.map(|dims| Shape { dim: dims.into_iter().map(|value| Dimension { value }).collect() });
        Some(Type { value: Some(TypeValue::Tensor(TensorType { elem_type, shape })) })
    }

    fn value(name: &str, kind: Option<Type>) -> ValueInfo {
        ValueInfo { name: name.to_owned(), kind }
    }

    fn initializer(name: &str) -> onnx::Tensor {
        onnx::Tensor { name: name.to_owned(), ..onnx::Tensor::default() }
    }

    fn signature_of(input: Vec<ValueInfo>, output: Vec<ValueInfo>) -> Result<Signature, GraphError> {
        signature(&onnx::Graph { input, output, ..onnx::Graph::default() })
    }

    #[test]
    fn every_way_to_write_a_dimension_is_understood() {
        let symbol = |name: &str| Some(DimensionValue::Symbol(name.to_owned()));
        let dims = vec![Some(DimensionValue::Size(3)), symbol("N"), symbol(""), None, Some(DimensionValue::Size(-1))];
        let inputs = vec![
            value("x", tensor(1, Some(dims))),
            value("scalar", tensor(1, Some(Vec::new()))),
            value("unranked", tensor(1, None)),
        ];
        let signature = signature_of(inputs, Vec::new()).expect("plain tensors");
        let texts: Vec<_> = signature.inputs.iter().map(TensorSpec::to_string).collect();
        assert_eq!(texts, ["float32[3, N, ?, ?, ?]", "float32[]", "float32[…]"]);
        assert_eq!((&signature.inputs[1].dims, &signature.inputs[2].dims), (&Some(Vec::new()), &None));
    }

    #[test]
    fn inputs_with_a_default_are_not_asked_for() {
        let sparse = SparseTensor { values: Some(initializer("sparse")), indices: None };
        let graph = onnx::Graph {
            initializer: vec![initializer("w"), initializer("elsewhere")],
            sparse_initializer: vec![sparse],
            input: ["w", "x", "sparse"].map(|name| value(name, tensor(1, None))).into(),
            ..onnx::Graph::default()
        };
        let signature = signature(&graph).expect("plain tensors");
        assert_eq!(signature.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn outputs_may_be_sequences_of_maps() {
        let map = MapType { key_type: 7, value_type: tensor(1, None).map(Box::new) };
        let map = Type { value: Some(TypeValue::Map(map)) };
        let sequence = SequenceType { elem_type: Some(Box::new(map)) };
        let kind = Some(Type { value: Some(TypeValue::Sequence(sequence)) });
        let signature = signature_of(Vec::new(), vec![value("p", kind)]).expect("as scikit-learn exports");
        assert_eq!(signature.outputs[0].value.to_string(), "sequence(map(int64, float32[…]))");
    }

    #[test]
    fn types_without_a_name_are_refused_by_number() {
        let text = |kind| signature_of(vec![value("x", kind)], Vec::new()).expect_err("not served").to_string();
        assert!(text(tensor(0, None)).starts_with("input 'x' is a tensor of an undefined type"));
        assert!(text(tensor(99, None)).starts_with("input 'x' is a tensor of element type 99"));
        assert!(text(None).starts_with("input 'x' is of no stated type"));
        let sparse = Type { value: Some(TypeValue::Sparse(Opaque {})) };
        assert!(text(Some(sparse)).starts_with("input 'x' is a sparse tensor"));
    }
}
