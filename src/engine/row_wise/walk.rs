//! The walk through a graph, the graphs inside its nodes, and the functions that it calls.

use std::cell::Cell;
use std::collections::HashMap;

use super::branches;
use super::call::Call;
use super::known::{Known, Tensor};
use super::operators;
use super::size::Symbols;
use crate::engine::graph::domain_name;
use crate::engine::onnx::{Attribute, Function, Graph, Model, Node, OperatorSet};

/// The most nodes that a walk looks at; it counts those of functions and loops each time. A larger model is not proven.
const NODES_MAX: usize = 2_000_000;

/// The depth to which functions and graphs may lie in each other.
const DEPTH_MAX: usize = 24;

/// The known values of a graph, and of the graphs around it.
#[derive(Default)]
pub struct Scope<'a> {
    values: HashMap<String, Known>,
    around: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    pub fn within<'a>(around: &'a Scope<'a>) -> Scope<'a> {
        Scope { values: HashMap::new(), around: Some(around) }
    }

    pub fn get(&self, name: &str) -> Option<&Known> {
        self.values.get(name).or_else(|| self.around?.get(name))
    }

    pub fn set(&mut self, name: &str, known: Known) {
        self.values.insert(name.to_owned(), known);
    }
}

/// A model, and what is counted and named along the way.
pub struct Subject<'a> {
    functions: HashMap<(&'a str, &'a str, &'a str), &'a Function>,
    opsets: &'a [OperatorSet],
    symbols: Symbols,
    nodes: Cell<usize>,
}

impl<'a> Subject<'a> {
    pub fn new(model: &'a Model, symbols: Symbols) -> Subject<'a> {
        let name = |function: &'a Function| {
            (domain_name(&function.domain), function.name.as_str(), function.overload.as_str())
        };
        let functions = model.functions.iter().map(|function| (name(function), function)).collect();
        Subject { functions, opsets: &model.opset_import, symbols, nodes: Cell::new(0) }
    }

    pub fn walk(&self) -> Walk<'_> {
        Walk { subject: self, opsets: self.opsets, depth: 0 }
    }
}

/// A walk through one graph or function.
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    subject: &'a Subject<'a>,
    opsets: &'a [OperatorSet],
    depth: usize,
}

/// The name of what ends a walk early.
pub type Stopped = String;

impl<'a> Walk<'a> {
    pub fn symbols(&self) -> &'a Symbols {
        &self.subject.symbols
    }

    /// Learns of the values of a graph whose inputs the scope has.
    pub fn graph(&self, graph: &Graph, scope: &mut Scope<'_>) -> Result<(), Stopped> {
        for tensor in &graph.initializer {
            scope.set(&tensor.name, Tensor::of(tensor, self.symbols()));
        }
        for sparse in &graph.sparse_initializer {
            if let Some(values) = &sparse.values {
                scope.set(&values.name, Known::Shared);
            }
        }
        self.nodes(&graph.node, scope)
    }

    fn nodes(&self, nodes: &[Node], scope: &mut Scope<'_>) -> Result<(), Stopped> {
        for node in nodes {
            let seen = &self.subject.nodes;
            seen.set(seen.get() + 1);
            if seen.get() > NODES_MAX {
                return Err(format!("'{}'", node.op_type));
            }
            for (name, known) in node.output.iter().zip(self.node(node, scope)?) {
                scope.set(name, known);
            }
        }
        Ok(())
    }

    /// The outputs of a node, as far as they are known.
    fn node(&self, node: &Node, scope: &Scope<'_>) -> Result<Vec<Known>, Stopped> {
        let mixed = || Known::Mixed { operator: format!("'{}'", node.op_type) };
        let inputs: Vec<Option<Known>> = (node.input.iter())
            .map(|name| (!name.is_empty()).then(|| scope.get(name).cloned().unwrap_or_else(mixed)))
            .collect();
        let call = Call { node, inputs: &inputs, version: self.version(&node.domain), symbols: self.symbols() };
        let outputs = match inputs.iter().flatten().find(|input| matches!(input, Known::Mixed { .. })) {
            Some(input) => vec![input.clone(); node.output.len()],
            None => match self.function(node) {
                Some(function) => self.call(function, &call)?,
                None => match branches::outputs(self, &call, scope)? {
                    Some(outputs) => outputs,
                    None => operators::outputs(&call),
                },
            },
        };
        // Of outputs that no rule speaks of nothing is known.
        Ok(outputs.into_iter().chain(std::iter::repeat_with(mixed)).take(node.output.len()).collect())
    }

    fn version(&self, domain: &str) -> i64 {
        let domain = domain_name(domain);
        self.opsets.iter().find(|set| domain_name(&set.domain) == domain).map_or(1, |set| set.version)
    }

    fn function(&self, node: &Node) -> Option<&'a Function> {
        self.subject.functions.get(&(domain_name(&node.domain), &node.op_type, &node.overload)).copied()
    }

    /// Walks through a function with the inputs and attributes of a call.
    fn call(&self, function: &'a Function, call: &Call<'_>) -> Result<Vec<Known>, Stopped> {
        // A runtime has operators of these names already; which of the two it takes is its own affair.
        let is_standard = domain_name(&function.domain).starts_with("ai.onnx") || function.domain == "com.microsoft";
        if is_standard || self.depth >= DEPTH_MAX {
            return Err(format!("'{}'", function.name));
        }
        let mut scope = Scope::default();
        for (name, known) in function.input.iter().zip(call.inputs) {
            if let Some(known) = known {
                scope.set(name, known.clone());
            }
        }
        let given = |name: &str| {
            call.attribute(name).or_else(|| function.attribute_proto.iter().find(|attribute| attribute.name == name))
        };
        let nodes: Vec<Node> = function.node.iter().map(|node| bound(node, &given)).collect();
        let inside = Walk { opsets: &function.opset_import, depth: self.depth + 1, ..*self };
        inside.nodes(&nodes, &mut scope)?;
        let mixed = || Known::Mixed { operator: format!("'{}'", function.name) };
        Ok(function.output.iter().map(|name| scope.get(name).cloned().unwrap_or_else(mixed)).collect())
    }

    /// The same walk, one graph further inside.
    pub fn inside(&self, node: &Node) -> Result<Walk<'a>, Stopped> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("'{}'", node.op_type));
        }
        Ok(Walk { depth: self.depth + 1, ..*self })
    }
}

/// A function's node with the attributes that a call gives, instead of references to them.
fn bound<'n>(node: &Node, given: &impl Fn(&str) -> Option<&'n Attribute>) -> Node {
    let attribute = node.attribute.iter().filter_map(|attribute| bound_attribute(attribute, given)).collect();
    Node { attribute, ..node.clone() }
}

fn bound_attribute<'n>(attribute: &Attribute, given: &impl Fn(&str) -> Option<&'n Attribute>) -> Option<Attribute> {
    if !attribute.ref_attr_name.is_empty() {
        return given(&attribute.ref_attr_name)
            .map(|value| Attribute { name: attribute.name.clone(), ..value.clone() });
    }
    let mut attribute = attribute.clone();
    for graph in attribute.graph.iter_mut().map(|graph| &mut **graph).chain(&mut attribute.graphs) {
        graph.node.iter_mut().for_each(|node| *node = bound(node, given));
    }
    Some(attribute)
}
