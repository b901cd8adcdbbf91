//! Everything that an ONNX file holds, as far as it can be told without a runtime: for people who ask what is wrong with it.
//!
//! The server itself needs less and reads a [`Graph`](super::Graph). What the one refuses is a finding here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::external_data::{self, ExternalData, tensor_bytes};
use super::graph::{self, domain_name};
use super::onnx::{self, Node, Tensor};
use super::onnx_file::{self, FileState};
use super::{GraphError, element_bits, element_name};
use crate::tensor::Signature;

/// The parts of a model.
#[derive(Debug)]
pub struct Inventory {
    pub file: FileState,
    pub ir_version: i64,
    pub producer: String,
    pub model_version: i64,
    /// `(domain, version)`; the default domain is `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// The exporter's own notes.
    pub metadata: BTreeMap<String, String>,
    /// What a server would take and give, or why it would not.
    pub signature: Result<Signature, GraphError>,
    /// Inputs that are never asked for, because an initializer gives them.
    pub defaults: Vec<String>,
    /// By domain and name. The model's own functions are counted where they are called, and so is what they are made of.
    pub operators: Vec<Operator>,
    pub initializers: Initializers,
    pub external_data: Vec<ExternalData>,
}

/// An operator and how often it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub domain: String,
    pub name: String,
    pub count: usize,
    /// Whether the model brings it along as a function.
    pub is_function: bool,
}

/// The weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initializers {
    pub count: usize,
    /// By their types and dimensions; strings count nothing.
    pub bytes: u64,
    /// `(count, bytes)` by element type.
    pub types: BTreeMap<String, (usize, u64)>,
}

impl Inventory {
    /// Reads the file at `path` and looks at the files that it names, without a runtime.
    pub fn read(path: &Path) -> Result<Inventory, GraphError> {
        Inventory::read_linked(path, &[])
    }

    /// [`Inventory::read`], where weights may be links into `folders`.
    pub fn read_linked(path: &Path, folders: &[PathBuf]) -> Result<Inventory, GraphError> {
        let (model, file) = onnx_file::read(path)?;
        let external_data = external_data::inspect(&model, onnx_file::folder(path), folders);
        let operators = operators(&model);
        let graph = model.graph.unwrap_or_default();
        let defaults = graph::defaults(&graph);
        let metadata = model.metadata.into_iter().map(|entry| (entry.key, entry.value));
        Ok(Inventory {
            file,
            ir_version: model.ir_version,
            producer: [model.producer_name, model.producer_version].join(" ").trim().to_owned(),
            model_version: model.model_version,
            opsets: graph::opsets(&model.opset_import),
            metadata: metadata.collect(),
            signature: graph::signature(&graph),
            defaults: (graph.input.iter())
                .map(|input| input.name.clone())
                .filter(|name| defaults.contains(name.as_str()))
                .collect(),
            operators,
            initializers: initializers(&graph),
            external_data,
        })
    }
}

fn initializers(graph: &onnx::Graph) -> Initializers {
    let sparse = graph.sparse_initializer.iter().flat_map(|sparse| sparse.values.iter().chain(&sparse.indices));
    let mut sum = Initializers::default();
    for tensor in graph.initializer.iter().chain(sparse) {
        let bytes = tensor_bytes(tensor).unwrap_or(0);
        sum.count += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
        let of_type = sum.types.entry(type_name(tensor)).or_default();
        *of_type = (of_type.0 + 1, of_type.1.saturating_add(bytes));
    }
    sum
}

fn type_name(tensor: &Tensor) -> String {
    if element_bits(tensor.data_type).is_some() || tensor.data_type == 8 {
        element_name(tensor.data_type)
    } else {
        "unknown".to_owned()
    }
}

fn operators(model: &onnx::Model) -> Vec<Operator> {
    let functions: BTreeSet<_> =
        model.functions.iter().map(|function| (domain_name(&function.domain), function.name.as_str())).collect();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    model.graph.iter().for_each(|graph| count(&graph.node, &mut counts));
    model.functions.iter().for_each(|function| count(&function.node, &mut counts));
    let operator = |((domain, name), count): ((&str, &str), usize)| Operator {
        domain: domain.to_owned(),
        name: name.to_owned(),
        count,
        is_function: functions.contains(&(domain, name)),
    };
    counts.into_iter().map(operator).collect()
}

fn count<'a>(nodes: &'a [Node], counts: &mut BTreeMap<(&'a str, &'a str), usize>) {
    for node in nodes {
        *counts.entry((domain_name(&node.domain), &node.op_type)).or_default() += 1;
        for attribute in &node.attribute {
            // The decoder has bounded how deep graphs are nested.
            let graphs = attribute.graph.iter().map(AsRef::as_ref).chain(&attribute.graphs);
            graphs.for_each(|graph| count(&graph.node, counts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::onnx::{Attribute, Function, Graph, Model};

    fn node(domain: &str, op_type: &str, bodies: Vec<Graph>) -> Node {
        let attribute = Attribute { graphs: bodies, ..Attribute::default() };
        Node { op_type: op_type.to_owned(), domain: domain.to_owned(), attribute: vec![attribute], ..Node::default() }
    }

    fn graph(node: Vec<Node>) -> Graph {
        Graph { node, ..Graph::default() }
    }

    #[test]
    fn operators_are_counted_in_bodies_and_functions_too() {
        let body = graph(vec![node("", "Relu", Vec::new())]);
        let function = Function {
            name: "Twice".into(),
            domain: "local".into(),
            node: vec![node("ai.onnx", "Relu", Vec::new())],
            ..Function::default()
        };
        let nodes = vec![node("", "If", vec![body]), node("local", "Twice", Vec::new()), node("x", "Y", Vec::new())];
        let model = Model { graph: Some(graph(nodes)), functions: vec![function], ..Model::default() };
        let found = operators(&model);
        let found: Vec<_> = found.iter().map(|op| (&*op.domain, &*op.name, op.count, op.is_function)).collect();
        let expected = [
            ("ai.onnx", "If", 1, false),
            ("ai.onnx", "Relu", 2, false),
            ("local", "Twice", 1, true),
            ("x", "Y", 1, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn weights_are_measured_by_what_they_declare_without_overflow() {
        let tensor = |data_type, dims: &[i64]| Tensor { data_type, dims: dims.to_vec(), ..Tensor::default() };
        let initializer = vec![
            tensor(1, &[2, 3]),
            tensor(22, &[3]),
            tensor(1, &[i64::MAX, i64::MAX]),
            tensor(8, &[5]),
            tensor(99, &[]),
        ];
        let found = initializers(&Graph { initializer, ..Graph::default() });
        assert_eq!((found.count, found.bytes), (5, 24 + 2));
        let types: Vec<_> = found.types.iter().map(|(name, sum)| (name.as_str(), *sum)).collect();
        assert_eq!(types, [("float32", (2, 24)), ("int4", (1, 2)), ("string", (1, 0)), ("unknown", (1, 0))]);
    }
}
