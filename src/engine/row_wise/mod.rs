//! Whether a graph keeps the rows of its inputs apart, proven from its operators.
//!
//! The proof walks the graph once, in the order of its nodes, with what is [`Known`] of each value: the same for every request,
//! or made row by row. Operators that are listed (`operators`) carry that on to their outputs; whatever else there is, and every
//! use of a listed operator along the first dimension, ends it. A graph without proof may be row by row all the same.
//!
//! Exporters for scikit-learn, LightGBM and XGBoost leave the first dimension unnamed, so that nothing else says that an
//! output's rows are the inputs'.

mod known;
mod operators;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use self::known::{Constant, Known};
use super::graph::domain_name;
use super::onnx;
use crate::tensor::{Dim, Signature, TensorSpec};

/// What the operators of a graph say of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowWise {
    /// Row `i` of each output is made of row `i` of the inputs alone, and there are as many.
    Proven,
    /// Nobody has looked.
    #[default]
    Unknown,
    /// This operator is the first that is not known to keep rows apart.
    Unproven { operator: String },
}

impl RowWise {
    /// Looks for the proof. `signature` is that of the model's graph.
    pub(super) fn of(model: &onnx::Model, signature: &Signature) -> RowWise {
        let Some(graph) = &model.graph else { return RowWise::Unknown };
        // A function of the model's own may have the name of an operator that is not what it does.
        if let Some(function) =
            model.functions.iter().find(|function| domain_name(&function.domain).starts_with("ai.onnx"))
        {
            return RowWise::Unproven { operator: format!("'{}'", function.name) };
        }
        let mut values: HashMap<&str, Known> = HashMap::new();
        for input in &signature.inputs {
            match row_of(input) {
                Some(row) => values.insert(&input.name, Known::Rows(row)),
                None => return RowWise::Unproven { operator: format!("input '{}'", input.name) },
            };
        }
        for tensor in &graph.initializer {
            values.insert(&tensor.name, Known::Constant(Constant::of(tensor)));
        }
        for sparse in graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()) {
            values.insert(&sparse.name, Known::Constant(Constant::default()));
        }
        for node in &graph.node {
            let outputs = operators::apply(node, &values);
            values.extend(node.output.iter().map(String::as_str).zip(outputs));
        }
        for output in &signature.outputs {
            match values.get(output.name.as_str()) {
                Some(Known::Rows(_)) => {}
                Some(Known::Mixed { operator }) => return RowWise::Unproven { operator: operator.clone() },
                Some(Known::Constant(_) | Known::Line) | None => {
                    return RowWise::Unproven { operator: format!("output '{}'", output.name) };
                }
            }
        }
        RowWise::Proven
    }
}

/// The dimensions of one row; `None` where there are no rows, or always as many.
fn row_of(input: &TensorSpec) -> Option<Vec<Option<usize>>> {
    let size = |dim: &Dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None };
    match input.dims.as_deref()?.split_first()? {
        (Dim::Dynamic(_), row) => Some(row.iter().map(size).collect()),
        (Dim::Fixed(_), _) => None,
    }
}

#[cfg(test)]
mod tests;
