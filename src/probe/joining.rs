//! Whether rows of several requests may be joined into one run.
//!
//! Two things have to hold. Every input and output has one row for each of the request's: its operators prove it ([`RowWise`]), or
//! else the signature says that the first dimension of all is the same dynamic one, by its name. And rows that are run together
//! give what they give apart. The name can be wrong, since exporters write what they like, and the runs are on made-up rows, which
//! prove nothing about others; so both are asked.
//!
//! [`examine`] runs a model through whatever the caller has: a session of its own, or one in use under a deadline.

use serde::{Deserialize, Serialize};

use super::made_up::{Shapes, Values};
use crate::engine::{Graph, RowWise, RunError};
use crate::tensor::{DType, Difference, Dim, Signature, Tensor, Value, ValueType, difference, join_rows, split_rows};

/// Rows of the requests that are joined, test after test. Batches of one, two and three, since kernels differ between one row
/// and several; and the first row is not always the same one.
const TESTS: [&[usize]; 3] = [&[1, 2], &[3, 1], &[1, 1, 2, 1]];

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
    /// The first dimension is dynamic, and nothing says that it is the others' first.
    UnnamedRows,
    /// The first dimension has another name than the first input's.
    OtherRows { symbol: String, expected: String },
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
    /// Whether rows may be joined: declared or proven so, and shown so.
    pub fn is_safe(&self) -> bool {
        self.objection().is_none() && self.evidence.as_ref().is_some_and(Evidence::is_for)
    }

    /// The obstacle, unless it is one that the operators refute.
    pub fn objection(&self) -> Option<&Obstacle> {
        let is_refuted = |obstacle: &Obstacle| obstacle.kind.can_be_tried() && self.row_wise == RowWise::Proven;
        self.obstacle.as_ref().filter(|obstacle| !is_refuted(obstacle))
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
    let mut shared: Option<&str> = None;
    let mut unnamed = None;
    for (place, name, dims) in inputs.chain(outputs) {
        let kind = match dims.map(|dims| dims.as_ref().map(|dims| dims.first())) {
            None => ObstacleKind::NotATensor,
            Some(None) => ObstacleKind::UnknownRank,
            Some(Some(None)) => ObstacleKind::Scalar,
            Some(Some(Some(Dim::Fixed(rows)))) => ObstacleKind::FixedRows(*rows),
            Some(Some(Some(Dim::Dynamic(None)))) => {
                // What comes later may leave nothing to try, and is told first then.
                unnamed = unnamed.or_else(|| found(place, name, ObstacleKind::UnnamedRows));
                continue;
            }
            Some(Some(Some(Dim::Dynamic(Some(symbol))))) => {
                let expected = *shared.get_or_insert(symbol);
                if symbol != expected {
                    let kind = ObstacleKind::OtherRows { symbol: symbol.clone(), expected: expected.to_owned() };
                    unnamed = unnamed.or_else(|| found(place, name, kind));
                }
                continue;
            }
        };
        return found(place, name, kind);
    }
    unnamed
}

impl ObstacleKind {
    /// Whether the declaration only fails to say what could be true all the same.
    fn can_be_tried(&self) -> bool {
        matches!(self, ObstacleKind::UnnamedRows | ObstacleKind::OtherRows { .. })
    }
}

/// A run of the model on these inputs.
pub type RunModel<'a> = dyn FnMut(&[Tensor]) -> Result<Vec<Value>, RunError> + 'a;

/// Finds out whether rows may be joined, by some twenty runs of few rows.
///
/// `sample` is a request that the model takes, if one is known: its other dimensions are used. No input has more than
/// `max_elements`.
pub fn examine(graph: &Graph, sample: Option<&[Tensor]>, max_elements: usize, run: &mut RunModel<'_>) -> Joining {
    let Graph { signature, row_wise, .. } = graph;
    let obstacle = obstacle(signature);
    let evidence = match &obstacle {
        Some(obstacle) if !obstacle.kind.can_be_tried() => None,
        _ => Some(Trial { signature, max_elements, run }.evidence(sample)),
    };
    Joining { obstacle, row_wise: row_wise.clone(), evidence }
}

struct Trial<'a, 'r> {
    signature: &'a Signature,
    max_elements: usize,
    run: &'a mut RunModel<'r>,
}

/// Inputs that the model runs on.
struct Recipe {
    shapes: Shapes,
    values: Values,
}

impl Trial<'_, '_> {
    fn evidence(&mut self, sample: Option<&[Tensor]>) -> Evidence {
        let recipe = match self.recipe(sample) {
            Ok(recipe) => recipe,
            Err(reason) => return Evidence::NotRun { reason },
        };
        let mut rounded: Option<(f64, f64)> = None;
        for (number, rows) in TESTS.iter().enumerate() {
            match self.test(&recipe, rows, 1000 * (number as u64 + 1)) {
                Ok(None) => {}
                Ok(Some((absolute, relative))) => {
                    let most = rounded.unwrap_or_default();
                    rounded = Some((most.0.max(absolute), most.1.max(relative)));
                }
                Err(evidence) => return evidence,
            }
        }
        rounded.map_or(Evidence::Same, |(absolute, relative)| Evidence::Rounded { absolute, relative })
    }

    /// The first kind of made-up inputs that the model runs on, twice with the same answer.
    fn recipe(&mut self, sample: Option<&[Tensor]>) -> Result<Recipe, String> {
        let sizes = [1, 8, 64, 224].map(|size| Shapes::declared(self.signature, size));
        let of_sample = sample.map(|inputs| Shapes::of(self.signature, inputs));
        let mut tried: Vec<Shapes> = Vec::new();
        let mut first_reason = None;
        for shapes in of_sample.into_iter().chain(sizes) {
            if tried.contains(&shapes) {
                continue;
            }
            for values in Values::ALL {
                let Some(inputs) = shapes.rows(self.signature, 1, values, 1, self.max_elements) else {
                    first_reason.get_or_insert_with(|| "one row has more elements than max_elements".to_owned());
                    continue;
                };
                match (self.run)(&inputs) {
                    Ok(_) => return Ok(Recipe { shapes, values }),
                    Err(error) => drop(first_reason.get_or_insert_with(|| error.to_string())),
                }
            }
            tried.push(shapes);
        }
        Err(first_reason.unwrap_or_default())
    }

    /// One batch, joined and apart: `None` if they are the same, the greatest differences if these are of rounding.
    fn test(&mut self, recipe: &Recipe, sizes: &[usize], seed: u64) -> Result<Option<(f64, f64)>, Evidence> {
        let parts = (sizes.iter().zip(seed..))
            .map(|(&rows, seed)| recipe.shapes.rows(self.signature, rows, recipe.values, seed, self.max_elements))
            .collect::<Option<Vec<_>>>();
        let too_large = || Evidence::NotRun { reason: "a few rows have more elements than max_elements".to_owned() };
        let parts = parts.ok_or_else(too_large)?;
        let joined: Option<Vec<Tensor>> = (0..self.signature.inputs.len())
            .map(|input| join_rows(&parts.iter().map(|part| &part[input]).collect::<Vec<_>>()))
            .collect();
        let joined = joined.expect("the parts are made to one pattern, and have rows");

        let apart = parts.iter().map(|part| (self.run)(part)).collect::<Result<Vec<_>, _>>();
        let apart = apart.map_err(|error| Evidence::NotRun { reason: error.to_string() })?;
        let together = (self.run)(&joined).map_err(|error| Evidence::JoinedFails { reason: error.to_string() })?;
        let again = (self.run)(&joined).map_err(|error| Evidence::JoinedFails { reason: error.to_string() })?;
        self.compare(sizes, &apart, &together, &again)
    }

    fn compare(
        &self,
        sizes: &[usize],
        apart: &[Vec<Value>],
        together: &[Value],
        again: &[Value],
    ) -> Result<Option<(f64, f64)>, Evidence> {
        let mut most: Option<(f64, f64)> = None;
        for (index, spec) in self.signature.outputs.iter().enumerate() {
            let output = || spec.name.clone();
            // The signature has promised tensors.
            let (Some(Value::Tensor(joined)), Some(Value::Tensor(twice))) = (together.get(index), again.get(index))
            else {
                return Err(Evidence::Differs { output: output(), absolute: None });
            };
            // Threads may round differently from run to run; a draw of lots differs by more.
            if is_beyond_rounding(joined.dtype(), difference(joined, twice)) {
                return Err(Evidence::NotRepeatable { output: output() });
            }
            let rows = sizes.iter().sum();
            let Some(split) = split_rows(joined, sizes) else {
                return Err(Evidence::OtherRowCount { output: output(), rows, got: joined.shape().first().copied() });
            };
            for (part, values) in split.iter().zip(apart) {
                let Some(Value::Tensor(alone)) = values.get(index) else {
                    return Err(Evidence::Differs { output: output(), absolute: None });
                };
                let apart = difference(part, alone);
                if is_beyond_rounding(part.dtype(), apart) {
                    let absolute = if let Difference::Floats { absolute, .. } = apart { Some(absolute) } else { None };
                    return Err(Evidence::Differs { output: output(), absolute });
                }
                if let Difference::Floats { absolute, relative } = apart {
                    let so_far = most.unwrap_or_default();
                    most = Some((so_far.0.max(absolute), so_far.1.max(relative)));
                }
            }
        }
        Ok(most)
    }
}

/// Sums of the same numbers in another order come out a little different, and kernels for one row add up in another order
/// than those for several. More than this is another result.
fn is_beyond_rounding(dtype: DType, difference: Difference) -> bool {
    let tolerance = match dtype {
        DType::F16 | DType::BF16 => 2e-2,
        DType::F64 => 1e-10,
        _ => 1e-4,
    };
    match difference {
        Difference::None => false,
        Difference::Floats { relative, .. } => relative > tolerance,
        Difference::Other => true,
    }
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod tests;
