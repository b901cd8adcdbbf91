//! Inputs whose numbers are places in a table, and how long the table is.
//!
//! A place that is not there is an error on the processor. On a GPU nobody looks: ONNX Runtime's kernels answer with zeros, or with what
//! the memory held before (`Gather` and `GatherElements` of 1.31.1). So it is looked at here, as far as the graph shows it: an
//! input that is looked up as it came, in a table among the weights.

use std::collections::HashMap;

use super::graph::domain_name;
use super::onnx::{self, Node};
use crate::tensor::{Signature, Tensor};

/// Operators that leave the numbers of their first input what they are.
const SAME_NUMBERS: [&str; 7] = ["Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// One input's numbers are from `-places` to `places - 1`, the negative ones counted from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// In the signature's order.
    pub input: usize,
    pub places: u64,
}

impl Lookup {
    /// All that the graph shows.
    pub(super) fn of(graph: &onnx::Graph, signature: &Signature) -> Vec<Lookup> {
        let tables: HashMap<&str, &[i64]> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice())).collect();
        // Values that are an input's numbers, by the input.
        let mut numbers: HashMap<&str, usize> =
            signature.inputs.iter().enumerate().map(|(index, input)| (input.name.as_str(), index)).collect();
        let mut found: Vec<Lookup> = Vec::new();
        for node in &graph.node {
            let source = |at: usize| node.input.get(at).and_then(|name| numbers.get(name.as_str())).copied();
            for (table, axis, indices) in looked_up(node) {
                let dims = node.input.get(table).and_then(|name| tables.get(name.as_str()));
                let places = dims.and_then(|dims| dims.get(axis_of(axis, dims.len())?)).copied();
                let Some((input, places)) = source(indices).zip(places.and_then(|places| u64::try_from(places).ok()))
                else {
                    continue;
                };
                match found.iter_mut().find(|lookup| lookup.input == input) {
                    Some(lookup) => lookup.places = lookup.places.min(places),
                    None => found.push(Lookup { input, places }),
                }
            }
            let is_same = domain_name(&node.domain) == "ai.onnx" && SAME_NUMBERS.contains(&node.op_type.as_str());
            if let Some((input, output)) = source(0).filter(|_| is_same).zip(node.output.first()) {
                numbers.insert(output, input);
            }
        }
        found
    }

    /// Says which number of the input has no place.
    pub(super) fn check(&self, tensor: &Tensor) -> Result<(), String> {
        let outside = match tensor {
            Tensor::I64(array) => self.outside(array.iter().copied()),
            Tensor::I32(array) => self.outside(array.iter().map(|&number| i64::from(number))),
            // What is cast to whole numbers is not told apart here.
            _ => None,
        };
        match outside {
            None => Ok(()),
            Some(number) => Err(format!(
                "{number} is looked up in a table of {places} rows: expected -{places} to {last}",
                places = self.places,
                last = self.places.saturating_sub(1)
            )),
        }
    }

    fn outside(&self, mut numbers: impl Iterator<Item = i64>) -> Option<i64> {
        let is_inside = |number: i64| {
            if number >= 0 { number.unsigned_abs() < self.places } else { number.unsigned_abs() <= self.places }
        };
        numbers.find(|&number| !is_inside(number))
    }
}

/// Which inputs of a node are table and places, and along which axis of the table.
fn looked_up(node: &Node) -> Vec<(usize, i64, usize)> {
    let axis = || node.attribute.iter().find(|attribute| attribute.name == "axis").map_or(0, |axis| axis.i);
    match (domain_name(&node.domain), node.op_type.as_str()) {
        ("ai.onnx", "Gather" | "GatherElements") => vec![(0, axis(), 1)],
        // Words and segments; the places of positions, if there are any, are optional.
        ("com.microsoft", "EmbedLayerNormalization") => vec![(2, 0, 0), (4, 0, 1)],
        _ => Vec::new(),
    }
}

fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    usize::try_from(if axis < 0 { axis.checked_add(rank)? } else { axis }).ok()
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;
    use crate::engine::onnx::{Attribute, Graph, Tensor as Weights};
    use crate::tensor::{DType, Element, TensorSpec};

    fn signature(names: &[&str]) -> Signature {
        let input = |name: &&str| TensorSpec { name: name.to_string(), dtype: DType::I64, dims: None };
        Signature { inputs: names.iter().map(input).collect(), outputs: Vec::new() }
    }

    fn table(name: &str, dims: &[i64]) -> Weights {
        Weights { name: name.to_owned(), dims: dims.to_vec(), ..Weights::default() }
    }

    fn node(op_type: &str, input: &[&str], output: &str, axis: i64) -> Node {
        Node {
            op_type: op_type.to_owned(),
            input: input.iter().map(|name| name.to_string()).collect(),
            output: vec![output.to_owned()],
            attribute: vec![Attribute { name: "axis".to_owned(), i: axis, ..Attribute::default() }],
            ..Node::default()
        }
    }

    #[test]
    fn an_input_that_is_looked_up_as_it_came_has_the_tables_places() {
        let graph = Graph {
            initializer: vec![table("words", &[30_522, 768]), table("types", &[2, 768]), table("wide", &[5, 7])],
            node: vec![
                node("Gather", &["words", "ids"], "a", 0),
                node("Unsqueeze", &["segments"], "b", 0),
                node("Cast", &["b"], "c", 0),
                node("Gather", &["types", "c"], "d", 0),
                node("GatherElements", &["wide", "columns"], "e", -1),
                // Of other numbers than the input's, and in what is not among the weights.
                node("Add", &["sums", "sums"], "f", 0),
                node("Gather", &["words", "f"], "g", 0),
                node("Gather", &["a", "sums"], "h", 0),
            ],
            ..Graph::default()
        };
        let found = Lookup::of(&graph, &signature(&["segments", "ids", "columns", "sums"]));
        let lookup = |input, places| Lookup { input, places };
        assert_eq!(found, [lookup(1, 30_522), lookup(0, 2), lookup(2, 7)]);
    }

    #[test]
    fn the_shortest_table_counts_and_axes_beyond_a_table_say_nothing() {
        let graph = Graph {
            initializer: vec![table("long", &[10]), table("short", &[4])],
            node: vec![
                node("Gather", &["long", "x"], "a", 0),
                node("Gather", &["short", "x"], "b", 0),
                node("Gather", &["short", "y"], "c", 1),
                node("Gather", &["short", "y"], "d", -2),
            ],
            ..Graph::default()
        };
        assert_eq!(Lookup::of(&graph, &signature(&["x", "y"])), [Lookup { input: 0, places: 4 }]);
    }

    #[test]
    fn what_has_no_place_is_told() {
        let lookup = Lookup { input: 0, places: 3 };
        for inside in [vec![], vec![0i64, 2, -1, -3]] {
            assert_eq!(lookup.check(&i64::wrap(arr1(&inside).into_dyn())), Ok(()));
        }
        for outside in [3i64, -4, i64::MAX, i64::MIN] {
            let told = lookup.check(&i64::wrap(arr1(&[0, outside]).into_dyn())).expect_err("it is outside");
            assert_eq!(told, format!("{outside} is looked up in a table of 3 rows: expected -3 to 2"));
        }
        assert!(lookup.check(&i32::wrap(arr1(&[7i32]).into_dyn())).is_err());
        assert!(lookup.check(&f32::wrap(arr1(&[7f32]).into_dyn())).is_ok());
    }
}
