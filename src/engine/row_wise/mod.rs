//! Whether a graph keeps the rows of its inputs apart, proven from its operators.
//!
//! The proof walks the graph once, in the order of its nodes, with what is [`Known`] of each value: the same whichever rows run
//! together, or made row by row, and along which dimension the rows are. Operators that are listed (`operators`) carry that on to
//! their outputs; an operator that is not listed, and each use of a listed one across rows, ends it. Sizes are computed along
//! (`size`), since exporters compute shapes inside the graph. A graph without proof may be row by row all the same.
//!
//! Requests are joined only if all inputs agree in every dimension but the first, so that sizes other than the number of rows
//! are the same for all of them. Their values are not: nothing here may rest on how many elements a value happens to have that the
//! elements of other rows decide.

mod branches;
mod call;
mod known;
mod operators;
mod size;
mod walk;

use serde::{Deserialize, Serialize};

use self::known::{Batch, Known, Tensor};
use self::size::{Size, Symbols};
use self::walk::{Scope, Subject};
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
        let symbols = Symbols::default();
        let mut scope = Scope::default();
        for input in &signature.inputs {
            match rows_of(input, &symbols) {
                Some(rows) => scope.set(&input.name, Known::Tensor(rows)),
                None => return RowWise::Unproven { operator: format!("input '{}'", input.name) },
            }
        }
        if let Err(operator) = Subject::new(model, symbols).walk().graph(graph, &mut scope) {
            return RowWise::Unproven { operator };
        }
        for output in &signature.outputs {
            match scope.get(&output.name) {
                Some(Known::Tensor(Tensor { batch: Some(batch), .. })) if *batch == Batch::plain(0) => {}
                Some(Known::Mixed { operator }) => return RowWise::Unproven { operator: operator.clone() },
                _ => return RowWise::Unproven { operator: format!("output '{}'", output.name) },
            }
        }
        RowWise::Proven
    }
}

/// The rows of an input; `None` where there are none, or always as many.
fn rows_of(input: &TensorSpec, symbols: &Symbols) -> Option<Tensor> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => known::size(*size),
        Dim::Dynamic(_) => symbols.size(),
    };
    match input.dims.as_deref()?.split_first()? {
        (Dim::Dynamic(_), row) => {
            let dims = std::iter::once(Size::rows()).chain(row.iter().map(size)).collect();
            Some(Tensor::new(dims, Some(Batch::plain(0))))
        }
        (Dim::Fixed(_), _) => None,
    }
}

#[cfg(test)]
mod tests;
