//! Runs of rows apart and together, and what they show.

use std::time::{Duration, Instant};

use super::hostile::{Batch, Kind, Maker, Reach, is_float};
use super::joining::Evidence;
use super::made_up::{Numbers, Shapes, Values};
use super::rounding::{Apart, COARSE_TOLERANCE, Nudge, apart, nudged, tolerance};
use crate::engine::{Graph, RowWise, RunError};
use crate::splitmix::SplitMix64;
use crate::tensor::{Tensor, Value, split_rows};

/// A run of the model on these inputs.
pub type RunModel<'a> = dyn FnMut(&[Tensor]) -> Result<Vec<Value>, RunError> + 'a;

/// No further kind of rows is begun after so many runs, or so long.
const RUNS_MAX: usize = 40;
const TIME_MAX: Duration = Duration::from_secs(1);

/// Runs by which a row that differs shows how far it goes by itself. Of two answers that are as good as equal, each of them gives
/// either one by chance: all of them give the same one once in 256 times.
const NUDGES: usize = 8;

/// What a joined row may differ by, in what its own answer goes when its inputs are moved.
const NUDGES_APART_MAX: f64 = 8.0;

/// What a run may take longer whose numbers are larger, if they are not to be how many of something the model makes.
const GROWTH_MAX: u32 = 4;
const GROWTH_FREE: Duration = Duration::from_micros(200);

pub(super) struct Trial<'a, 'r> {
    graph: &'a Graph,
    sample: Option<&'a [Tensor]>,
    max_elements: usize,
    run: &'a mut RunModel<'r>,
    runs: usize,
    begun: Instant,
}

/// Inputs that the model runs on.
struct Recipe {
    shapes: Shapes,
    values: Values,
}

/// A row whose joined answer differs by more than well-conditioned ones do.
struct Suspect {
    part: usize,
    output: usize,
    row: usize,
    apart: Apart,
}

/// How far joined rows were from separate ones, at most: absolutely and relatively. `None`: the same bits.
type Rounded = Option<(f64, f64)>;

/// What is to be said of a batch.
enum Tested {
    /// Its rows do not even run apart.
    NotRun(String),
    Agrees(Rounded),
}

impl<'a, 'r> Trial<'a, 'r> {
    pub fn new(
        graph: &'a Graph,
        sample: Option<&'a [Tensor]>,
        max_elements: usize,
        run: &'a mut RunModel<'r>,
    ) -> Trial<'a, 'r> {
        Trial { graph, sample, max_elements, run, runs: 0, begun: Instant::now() }
    }

    pub fn evidence(mut self) -> Evidence {
        let recipe = match self.recipe() {
            Ok(recipe) => recipe,
            Err(reason) => return Evidence::NotRun { reason },
        };
        let maker = self.maker(&recipe);
        let mut first_reason = "a few rows have more elements than max_elements".to_owned();
        let (mut rounded, mut is_tried): (Rounded, bool) = (None, false);
        for kind in Kind::ALL {
            if is_tried && (self.runs > RUNS_MAX || self.begun.elapsed() > TIME_MAX) {
                break;
            }
            let Some(batch) = maker.batch(kind) else { continue };
            match self.test(&batch, !is_tried) {
                Ok(Tested::NotRun(reason)) => first_reason = reason,
                Ok(Tested::Agrees(apart)) => {
                    is_tried = true;
                    rounded = farther(rounded, apart);
                }
                Err(evidence) => return evidence,
            }
        }
        match rounded {
            _ if !is_tried => Evidence::NotRun { reason: first_reason },
            None => Evidence::Same,
            Some((absolute, relative)) => Evidence::Rounded { absolute, relative },
        }
    }

    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        self.runs += 1;
        (self.run)(inputs)
    }

    /// The first kind of made-up inputs that the model runs on.
    fn recipe(&mut self) -> Result<Recipe, String> {
        let signature = &self.graph.signature;
        let sizes = [1, 8, 64, 224].map(|size| Shapes::declared(signature, size));
        let of_sample = self.sample.map(|inputs| Shapes::of(signature, inputs));
        let mut tried: Vec<Shapes> = Vec::new();
        let mut first_reason = None;
        for shapes in of_sample.into_iter().chain(sizes) {
            if tried.contains(&shapes) {
                continue;
            }
            for values in Values::ALL {
                let Some(inputs) = shapes.rows(signature, 1, values, 1, self.max_elements) else {
                    first_reason.get_or_insert_with(|| "one row has more elements than max_elements".to_owned());
                    continue;
                };
                match self.run(&inputs) {
                    Ok(_) => return Ok(Recipe { shapes, values }),
                    Err(error) => drop(first_reason.get_or_insert_with(|| error.to_string())),
                }
            }
            tried.push(shapes);
        }
        Err(first_reason.unwrap_or_default())
    }

    /// Finds out how large the numbers may be that the model takes, input by input.
    fn maker<'m>(&mut self, recipe: &'m Recipe) -> Maker<'m>
    where
        'a: 'm,
    {
        let graph = self.graph;
        let place = |input: usize| graph.lookups.iter().find(|lookup| lookup.input == input);
        let inputs = &graph.signature.inputs;
        let base = Reach::of(recipe.values);
        let reach = (0..inputs.len()).map(|input| place(input).map_or(base, |lookup| Reach::places(lookup.places)));
        let mut maker = Maker {
            graph,
            sample: self.sample,
            shapes: &recipe.shapes,
            values: recipe.values,
            reach: reach.collect(),
            max_elements: self.max_elements,
        };
        let mut open: Vec<usize> = (0..inputs.len())
            .filter(|&input| place(input).is_none() && Reach::step(1, inputs[input].dtype).is_some())
            .collect();
        let Some(usual) = (!open.is_empty()).then(|| self.timed(&maker.reaching(&maker.reach))).flatten() else {
            return maker;
        };
        for step in Reach::STEPS {
            let together = self.reaches(&maker, &open, step, &usual);
            open.retain(|&input| {
                together || (self.runs < RUNS_MAX / 2 && self.reaches(&maker, &[input], step, &usual))
            });
            for &input in &open {
                maker.reach[input] = Reach::step(step, inputs[input].dtype).unwrap_or(base);
            }
        }
        maker
    }

    /// Whether the model runs as usual with numbers of these inputs as large as `step`.
    fn reaches(
        &mut self,
        maker: &Maker<'_>,
        inputs: &[usize],
        step: i128,
        usual: &(Duration, Vec<Vec<usize>>),
    ) -> bool {
        let mut reach = maker.reach.clone();
        for &input in inputs {
            let wider = Reach::step(step, self.graph.signature.inputs[input].dtype);
            reach[input] = wider.unwrap_or(reach[input]);
        }
        let Some((took, shapes)) = (!inputs.is_empty()).then(|| self.timed(&maker.reaching(&reach))).flatten() else {
            return false;
        };
        // Where the operators prove that rows stay apart, no number decides how much there is to do.
        let is_proven = self.graph.row_wise == RowWise::Proven;
        shapes == usual.1 && (is_proven || took <= usual.0 * GROWTH_MAX + GROWTH_FREE)
    }

    fn timed(&mut self, inputs: &[Tensor]) -> Option<(Duration, Vec<Vec<usize>>)> {
        let begun = Instant::now();
        let outputs = self.run(inputs).ok()?;
        let shape =
            |value: &Value| if let Value::Tensor(tensor) = value { tensor.shape().to_vec() } else { Vec::new() };
        Some((begun.elapsed(), outputs.iter().map(shape).collect()))
    }

    /// One batch, joined and apart; twice, if it is also to be seen whether answers are the same each time.
    fn test(&mut self, batch: &Batch, is_first: bool) -> Result<Tested, Evidence> {
        let mut apart = Vec::with_capacity(batch.parts.len());
        for part in &batch.parts {
            match self.run(part) {
                Ok(outputs) => apart.push(outputs),
                Err(error) => return Ok(Tested::NotRun(error.to_string())),
            }
        }
        let fails = |error: RunError| Evidence::JoinedFails { reason: error.to_string() };
        let together = self.run(&batch.joined).map_err(fails)?;
        if is_first {
            let again = self.run(&batch.joined).map_err(fails)?;
            self.check_repeatable(batch, &together, &again)?;
        }
        let (rounded, suspects) = self.compare(batch, &apart, &together)?;
        match suspects.iter().find(|suspect| !self.is_ill_conditioned(batch, &apart, suspect)) {
            None => Ok(Tested::Agrees(rounded)),
            Some(suspect) => {
                let absolute = Some(suspect.apart.absolute()).filter(|apart| apart.is_finite());
                Err(Evidence::Differs { output: self.output(suspect.output), absolute })
            }
        }
    }

    fn output(&self, index: usize) -> String {
        self.graph.signature.outputs[index].name.clone()
    }

    /// Threads may round differently from run to run; a draw of lots differs by more.
    fn check_repeatable(&self, batch: &Batch, together: &[Value], again: &[Value]) -> Result<(), Evidence> {
        for index in 0..self.graph.signature.outputs.len() {
            let not_repeatable = || Evidence::NotRepeatable { output: self.output(index) };
            let (Some(once), Some(twice)) = (tensor(together, index), tensor(again, index)) else { continue };
            if once.shape().is_empty() {
                // It has no rows, which is told below.
                continue;
            }
            let rows = apart(once, twice).ok_or_else(not_repeatable)?;
            let counts = |row: usize| batch.counts.get(row).copied().unwrap_or(true);
            if rows.iter().enumerate().any(|(row, apart)| counts(row) && apart.relative() > tolerance(once.dtype())) {
                return Err(not_repeatable());
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        batch: &Batch,
        separate: &[Vec<Value>],
        together: &[Value],
    ) -> Result<(Rounded, Vec<Suspect>), Evidence> {
        let (mut rounded, mut suspects): (Rounded, _) = (None, Vec::new());
        for output in 0..self.graph.signature.outputs.len() {
            let differs = || Evidence::Differs { output: self.output(output), absolute: None };
            // The signature has promised tensors.
            let joined = tensor(together, output).ok_or_else(differs)?;
            let rows = batch.sizes.iter().sum();
            let Some(split) = split_rows(joined, batch.sizes) else {
                let got = joined.shape().first().copied();
                return Err(Evidence::OtherRowCount { output: self.output(output), rows, got });
            };
            let mut counts = batch.counts.iter();
            for (part, (joined, alone)) in split.iter().zip(separate).enumerate() {
                let alone = tensor(alone, output).ok_or_else(differs)?;
                let rows = apart(alone, joined).ok_or_else(differs)?;
                for (row, apart) in rows.into_iter().enumerate().filter(|_| counts.next() == Some(&true)) {
                    if apart.relative() > tolerance(alone.dtype()) {
                        suspects.push(Suspect { part, output, row, apart });
                    } else if apart != Apart::Same {
                        rounded = farther(rounded, Some((apart.absolute(), apart.relative())));
                    }
                }
            }
        }
        Ok((rounded, suspects))
    }

    /// Whether a row's answer goes about as far by itself when its inputs are moved by what kernels round.
    fn is_ill_conditioned(&mut self, batch: &Batch, separate: &[Vec<Value>], suspect: &Suspect) -> bool {
        if self.goes_as_far(batch, separate, suspect, Nudge::Fine) {
            return true;
        }
        // A proven model may compute with fewer bits than its inputs have. Without the proof every doubt counts.
        if self.graph.row_wise != RowWise::Proven {
            return false;
        }
        let is_float_apart = matches!(suspect.apart, Apart::Floats { .. });
        if is_float_apart && suspect.apart.relative() > COARSE_TOLERANCE {
            return false;
        }
        // Words cannot be moved by a little.
        let has_floats = self.graph.signature.inputs.iter().any(|input| is_float(input.dtype));
        (is_float_apart && !has_floats) || self.goes_as_far(batch, separate, suspect, Nudge::Coarse)
    }

    fn goes_as_far(&mut self, batch: &Batch, separate: &[Vec<Value>], suspect: &Suspect, nudge: Nudge) -> bool {
        let Some(alone) = tensor(&separate[suspect.part], suspect.output) else { return false };
        let mut random = Numbers(SplitMix64::new(suspect.row as u64 + 1));
        for _ in 0..NUDGES {
            let moved = nudged(&batch.parts[suspect.part], &self.graph.lookups, nudge, &mut random);
            let Ok(outputs) = self.run(&moved) else { continue };
            let Some(rows) = tensor(&outputs, suspect.output).and_then(|moved| apart(alone, moved)) else { continue };
            let goes = rows.get(suspect.row).map_or(0.0, |apart| apart.absolute());
            // Another label, or a number in place of none, is no farther than another such.
            if suspect.apart.absolute() <= NUDGES_APART_MAX * goes {
                return true;
            }
        }
        false
    }
}

fn tensor(values: &[Value], index: usize) -> Option<&Tensor> {
    if let Some(Value::Tensor(tensor)) = values.get(index) { Some(tensor) } else { None }
}

fn farther(so_far: Rounded, apart: Rounded) -> Rounded {
    match (so_far, apart) {
        (Some(most), Some(next)) => Some((most.0.max(next.0), most.1.max(next.1))),
        (most, next) => most.or(next),
    }
}
