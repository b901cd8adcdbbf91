//! Whether a run of a graph may be recorded on a GPU and replayed.
//!
//! A replay does on the GPU what the recorded run did there, and nothing else. What the processor did for that run is not done again.

use std::collections::HashSet;

use super::graph::domain_name;
use super::onnx;
use crate::tensor::Signature;

/// Operators that draw numbers, which in a replay are those of the recorded run.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// What is made of an input's shape, and so the same for all inputs of that shape.
const OF_THE_SHAPE: [&str; 2] = ["Shape", "Size"];

/// What keeps runs from being recorded, if anything does.
pub(super) fn obstacle(graph: &onnx::Graph, signature: &Signature) -> Option<String> {
    let operators = graph.node.iter().filter(|node| domain_name(&node.domain) == "ai.onnx");
    if let Some(node) = operators.into_iter().find(|node| RANDOM.contains(&node.op_type.as_str())) {
        return Some(format!("{} would draw the same numbers in each run", node.op_type));
    }
    let mut made: HashSet<&str> = signature.inputs.iter().map(|input| input.name.as_str()).collect();
    for node in &graph.node {
        let is_of_shape = domain_name(&node.domain) == "ai.onnx" && OF_THE_SHAPE.contains(&node.op_type.as_str());
        let is_made = node.input.iter().any(|name| made.contains(name.as_str())) && !is_of_shape;
        // A graph inside may use any value of the one around it.
        let has_graphs =
            node.attribute.iter().any(|attribute| attribute.graph.is_some() || !attribute.graphs.is_empty());
        if is_made || has_graphs {
            made.extend(node.output.iter().map(String::as_str));
        }
    }
    let constant = signature.outputs.iter().find(|output| !made.contains(output.name.as_str()));
    // The runtime computes it when it loads the model, and copies it in each run.
    constant.map(|output| format!("output '{}' is the same whatever the inputs' values are", output.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::onnx::{Attribute, Graph, Node};
    use crate::tensor::{DType, OutputSpec, TensorSpec, ValueType};

    fn node(op_type: &str, input: &[&str], output: &str) -> Node {
        Node {
            op_type: op_type.to_owned(),
            input: input.iter().map(|name| name.to_string()).collect(),
            output: vec![output.to_owned()],
            ..Node::default()
        }
    }

    fn obstacle_of(node: Vec<Node>) -> Option<String> {
        let value = ValueType::Tensor { dtype: DType::F32, dims: None };
        let signature = Signature {
            inputs: vec![TensorSpec { name: "x".to_owned(), dtype: DType::F32, dims: None }],
            outputs: vec![OutputSpec { name: "y".to_owned(), value }],
        };
        obstacle(&Graph { node, ..Graph::default() }, &signature)
    }

    #[test]
    fn what_is_made_of_the_inputs_can_be_recorded() {
        assert_eq!(obstacle_of(vec![node("MatMul", &["x", "w"], "z"), node("Tanh", &["z"], "y")]), None);
        let branch = Attribute { graph: Some(Box::default()), ..Attribute::default() };
        let choice = Node { attribute: vec![branch], ..node("If", &["c"], "y") };
        assert_eq!(obstacle_of(vec![choice]), None, "its branches may use the input");
    }

    #[test]
    fn what_a_replay_would_not_do_again_cannot() {
        for nodes in
            [vec![node("Add", &["w", "w"], "y")], vec![node("Shape", &["x"], "z"), node("Cast", &["z"], "y")], vec![]]
        {
            let obstacle = obstacle_of(nodes).expect("y is constant");
            assert!(obstacle.contains("output 'y'"), "{obstacle}");
        }
        let drawn = obstacle_of(vec![node("RandomNormalLike", &["x"], "z"), node("Add", &["x", "z"], "y")]);
        assert!(drawn.is_some_and(|obstacle| obstacle.contains("RandomNormalLike")));
    }
}
