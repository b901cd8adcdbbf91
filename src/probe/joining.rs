//! Whether rows of several requests may be joined into one run.
//!
//! Two things have to hold. The operators prove that each row of the outputs is made of the same row of the inputs alone
//! ([`RowWise`]); and rows that are run together give what they give apart ([`trial`](super::trial)). A proof can have a hole, and runs
//! say nothing of the values that were not tried, so both are asked. What the signature calls its dimensions counts for neither:
//! exporters write what they like.
//!
//! [`examine`] runs a model through whatever the caller has: a session of its own, or one in use under a deadline.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::trial::{RunModel, Trial};
use crate::engine::{Graph, RowWise};
use crate::tensor::{Dim, Signature, Tensor, ValueType};

/// What was found out about joining rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joining {
    /// What the signature says against it.
    pub obstacle: Option<Obstacle>,
    /// What the operators say of it.
    pub row_wise: RowWise,
    /// What runs have shown; `None` where the signature leaves nothing to try.
    pub evidence: Option<Evidence>,
}

/// A declaration that keeps rows from being joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// `input` or `output`; neither if the model has no inputs, or no outputs.
    pub place: Place,
    pub name: String,
    pub kind: ObstacleKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Input,
    Output,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    /// There is none at all.
    None,
    /// A sequence or a map.
    NotATensor,
    /// Not even the number of dimensions is declared.
    UnknownRank,
    /// No dimension to join along.
    Scalar,
    /// The first dimension is always this size, which is never taken for a batch.
    FixedRows(usize),
}

/// What runs have shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Joined rows gave the same bits as separate ones.
    Same,
    /// The same but for rounding: the greatest differences.
    Rounded { absolute: f64, relative: f64 },
    /// They did not.
    Differs { output: String, absolute: Option<f64> },
    /// An output had not as many rows as the inputs.
    OtherRowCount { output: String, rows: usize, got: Option<usize> },
    /// The same input gave two answers, so that nothing can be compared.
    NotRepeatable { output: String },
    /// Rows that ran apart did not run together.
    JoinedFails { reason: String },
    /// The model did not run on what was made up.
    NotRun { reason: String },
}

impl Joining {
    /// Whether rows may be joined: proven so, and shown so.
    pub fn is_safe(&self) -> bool {
        self.row_wise == RowWise::Proven && self.is_shown()
    }

    /// Whether nothing but the missing proof speaks against it.
    pub fn is_shown(&self) -> bool {
        self.obstacle.is_none() && self.evidence.as_ref().is_some_and(Evidence::is_for)
    }
}

impl Evidence {
    /// Whether the runs speak for joining.
    pub fn is_for(&self) -> bool {
        matches!(self, Evidence::Same | Evidence::Rounded { .. })
    }
}

/// What the signature says against joining; `None` if nothing.
pub fn obstacle(signature: &Signature) -> Option<Obstacle> {
    let found = |place, name: &str, kind| Some(Obstacle { place, name: name.to_owned(), kind });
    if signature.inputs.is_empty() {
        return found(Place::Input, "", ObstacleKind::None);
    }
    if signature.outputs.is_empty() {
        return found(Place::Output, "", ObstacleKind::None);
    }
    let inputs = signature.inputs.iter().map(|input| (Place::Input, &input.name, Some(&input.dims)));
    let outputs = signature.outputs.iter().map(|output| match &output.value {
        ValueType::Tensor { dims, .. } => (Place::Output, &output.name, Some(dims)),
        _ => (Place::Output, &output.name, None),
    });
    inputs.chain(outputs).find_map(|(place, name, dims)| {
        let kind = match dims.map(|dims| dims.as_ref().map(|dims| dims.first())) {
            None => ObstacleKind::NotATensor,
            Some(None) => ObstacleKind::UnknownRank,
            Some(Some(None)) => ObstacleKind::Scalar,
            Some(Some(Some(Dim::Fixed(rows)))) => ObstacleKind::FixedRows(*rows),
            Some(Some(Some(Dim::Dynamic(_)))) => return None,
        };
        found(place, name, kind)
    })
}

/// What a proof says, as a clause.
pub const PROVEN: &str = "every operator keeps rows apart";

/// Why the operators are no proof, as a clause; `None` if they are one.
pub fn doubt(row_wise: &RowWise) -> Option<String> {
    match row_wise {
        RowWise::Proven => None,
        RowWise::Unknown => Some("nothing is known of the operators".to_owned()),
        RowWise::Unproven { operator } => Some(format!("{operator} is not known to keep rows apart")),
    }
}

/// Finds out whether rows may be joined, by at most some sixty runs of few rows.
///
/// `sample` is a request that the model takes, if one is known: its other dimensions are used, and its values too. No input has
/// more than `max_elements`.
pub fn examine(graph: &Graph, sample: Option<&[Tensor]>, max_elements: usize, run: &mut RunModel<'_>) -> Joining {
    let obstacle = obstacle(&graph.signature);
    let evidence = match &obstacle {
        Some(_) => None,
        None => Some(Trial::new(graph, sample, max_elements, run).evidence()),
    };
    Joining { obstacle, row_wise: graph.row_wise.clone(), evidence }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        let place = match self.place {
            Place::Input => "input",
            Place::Output => "output",
        };
        match &self.kind {
            ObstacleKind::None => write!(f, "there is no {place}"),
            ObstacleKind::NotATensor => write!(f, "{place} '{name}' is a sequence or a map, not a tensor"),
            ObstacleKind::UnknownRank => write!(f, "{place} '{name}' does not declare how many dimensions it has"),
            ObstacleKind::Scalar => write!(f, "{place} '{name}' is a scalar, which has no rows"),
            ObstacleKind::FixedRows(rows) => write!(f, "the first dimension of {place} '{name}' is always {rows}"),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Same => f.write_str("joined rows give the same bits as separate ones"),
            Evidence::Rounded { absolute, .. } => {
                write!(f, "joined rows give what separate ones do but for rounding, {absolute:.1e} at most")
            }
            Evidence::Differs { output, absolute } => match absolute {
                Some(absolute) => write!(
                    f,
                    "joined rows give other answers than separate ones: output '{output}' differs by {absolute:.1e}"
                ),
                None => write!(f, "joined rows give other answers than separate ones in output '{output}'"),
            },
            Evidence::OtherRowCount { output, rows, got: Some(got) } => {
                write!(f, "output '{output}' has {got} rows for {rows}")
            }
            Evidence::OtherRowCount { output, rows, got: None } => {
                write!(f, "output '{output}' has no rows, for {rows}")
            }
            Evidence::NotRepeatable { output } => {
                write!(f, "output '{output}' is another one each time for the same input")
            }
            Evidence::JoinedFails { reason } => {
                write!(f, "the model runs on some numbers of rows and not on others: {reason}")
            }
            Evidence::NotRun { reason } => write!(f, "the model did not run on made-up rows: {reason}"),
        }
    }
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod tests;
