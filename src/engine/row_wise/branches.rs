//! Operators that run graphs: `If`, `Loop` and `Scan`.

use super::call::Call;
use super::known::{Batch, Known, Tensor};
use super::size::{Size, Symbols};
use super::walk::{Scope, Stopped, Walk};
use crate::engine::graph::domain_name;
use crate::engine::onnx::Graph;

/// After so many rounds, what is known of a loop's values has to hold for all further rounds.
const ROUNDS_MAX: usize = 5;

/// The outputs, as far as they are known; `None` for an operator that runs no graph.
pub fn outputs(walk: &Walk<'_>, call: &Call<'_>, scope: &Scope<'_>) -> Result<Option<Vec<Known>>, Stopped> {
    if domain_name(&call.node.domain) != "ai.onnx" {
        return Ok(None);
    }
    let outputs = match call.op() {
        "If" => choice(walk, call, scope)?,
        "Loop" => repeated(walk, call, scope)?,
        "Scan" => scanned(walk, call, scope)?,
        _ => return Ok(None),
    };
    Ok(Some(outputs.unwrap_or_default()))
}

fn graph<'c>(call: &Call<'c>, name: &str) -> Option<&'c Graph> {
    let attribute = call.node.attribute.iter().find(|attribute| attribute.name == name)?;
    attribute.graph.as_deref()
}

/// The outputs of a graph inside a node.
fn run(
    walk: &Walk<'_>,
    call: &Call<'_>,
    graph: &Graph,
    inputs: Vec<Known>,
    scope: &Scope<'_>,
) -> Result<Vec<Known>, Stopped> {
    let mut inside = Scope::within(scope);
    for (input, known) in graph.input.iter().zip(inputs) {
        inside.set(&input.name, known);
    }
    walk.inside(call.node)?.graph(graph, &mut inside)?;
    let mixed = || Known::Mixed { operator: format!("'{}'", call.op()) };
    Ok(graph.output.iter().map(|output| inside.get(&output.name).cloned().unwrap_or_else(mixed)).collect())
}

/// Both branches, unless it is known which one runs.
fn choice(walk: &Walk<'_>, call: &Call<'_>, scope: &Scope<'_>) -> Result<Option<Vec<Known>>, Stopped> {
    let (Some(yes), Some(no)) = (graph(call, "then_branch"), graph(call, "else_branch")) else { return Ok(None) };
    if !call.is_shared(0) {
        return Ok(None);
    }
    let known = call.numbers(0).and_then(|numbers| numbers.first().copied());
    let branch = |graph| run(walk, call, graph, Vec::new(), scope);
    match known {
        Some(0) => branch(no).map(Some),
        Some(_) => branch(yes).map(Some),
        None => {
            let (yes, no) = (branch(yes)?, branch(no)?);
            let mixed = || Known::Mixed { operator: "'If'".to_owned() };
            let either = |(a, b): (Known, Known)| match (&a, &b) {
                (Known::Mixed { .. }, _) => a,
                (_, Known::Mixed { .. }) => b,
                _ => a.either(&b, walk.symbols()).unwrap_or_else(mixed),
            };
            Ok(Some(yes.into_iter().zip(no).map(either).collect()))
        }
    }
}

/// Rounds whose number and end are the same whichever rows run together.
fn repeated(walk: &Walk<'_>, call: &Call<'_>, scope: &Scope<'_>) -> Result<Option<Vec<Known>>, Stopped> {
    let Some(body) = graph(call, "body") else { return Ok(None) };
    let scalar = || Known::Tensor(Tensor::shared(Vec::new()));
    let first: Vec<Known> = call.inputs.iter().skip(2).flatten().cloned().collect();
    if !call.are_shared([0, 1]) || first.len() + 2 != body.input.len().max(2) {
        return Ok(None);
    }
    let round = |states: &[Known]| {
        let inputs = [scalar(), scalar()].into_iter().chain(states.iter().cloned()).collect();
        run(walk, call, body, inputs, scope)
    };
    let Some(mut outputs) = settled(walk.symbols(), first.clone(), |states| {
        let mut outputs = round(states)?;
        let goes_on = !outputs.is_empty() && outputs.remove(0).is_shared();
        Ok(goes_on.then_some(outputs))
    })?
    else {
        return Ok(None);
    };
    let gathered = outputs.split_off(first.len());
    // As many as there were rounds.
    let rounds = walk.symbols().size();
    outputs.extend(gathered.into_iter().map(|known| stacked(known, 0, &rounds)));
    Ok(Some(outputs))
}

/// Slices of the inputs along a dimension that has no rows, one after the other.
fn scanned(walk: &Walk<'_>, call: &Call<'_>, scope: &Scope<'_>) -> Result<Option<Vec<Known>>, Stopped> {
    let (Some(body), Some(count)) = (graph(call, "body"), call.number("num_scan_inputs")) else { return Ok(None) };
    let inputs: Vec<Known> = call.inputs.iter().flatten().cloned().collect();
    let Some(states) = usize::try_from(count).ok().and_then(|count| inputs.len().checked_sub(count)) else {
        return Ok(None);
    };
    // Version 8 has the rows of a batch apart, and their lengths as its first input.
    if call.version < 9 || inputs.len() != body.input.len() {
        return Ok(None);
    }
    let axes = |name: &str| call.attribute(name).map(|attribute| attribute.ints.clone()).unwrap_or_default();
    let (input_axes, output_axes) = (axes("scan_input_axes"), axes("scan_output_axes"));
    let axis = |axes: &[i64], index: usize| axes.get(index).copied().unwrap_or(0);
    let (first, scanned) = inputs.split_at(states);
    let slices = scanned.iter().enumerate().map(|(index, known)| slice(known, axis(&input_axes, index)));
    let Some(slices) = slices.collect::<Option<Vec<Known>>>() else { return Ok(None) };
    let Some(mut outputs) = settled(walk.symbols(), first.to_vec(), |states| {
        run(walk, call, body, states.iter().chain(&slices).cloned().collect(), scope).map(Some)
    })?
    else {
        return Ok(None);
    };
    let gathered = outputs.split_off(states);
    let length = walk.symbols().size();
    let gathered = gathered.into_iter().enumerate();
    outputs.extend(gathered.map(|(index, known)| stacked(known, axis(&output_axes, index), &length)));
    Ok(Some(outputs))
}

/// Goes on until what is known of the states before a round holds after it, too, and gives all outputs of that round, the states
/// first as they are before and after every round. `None` if that does not come to an end.
fn settled(
    symbols: &Symbols,
    mut states: Vec<Known>,
    round: impl Fn(&[Known]) -> Result<Option<Vec<Known>>, Stopped>,
) -> Result<Option<Vec<Known>>, Stopped> {
    // Sizes that are given up, so that any other one holds for them.
    let mut open: Vec<Vec<Size>> = vec![Vec::new(); states.len()];
    for _ in 0..ROUNDS_MAX {
        let Some(mut outputs) = round(&states)?.filter(|outputs| outputs.len() >= states.len()) else {
            return Ok(None);
        };
        let mut is_settled = true;
        for (index, state) in states.iter_mut().enumerate() {
            if let mixed @ Known::Mixed { .. } = &outputs[index] {
                return Ok(Some(vec![mixed.clone(); outputs.len()]));
            }
            if holds(&outputs[index], state, &open[index]) {
                continue;
            }
            is_settled = false;
            let Some(either) = state.either(&outputs[index], symbols) else { return Ok(None) };
            if let (Known::Tensor(before), Known::Tensor(now)) = (&*state, &either) {
                let changed = now.dims.iter().zip(&before.dims).filter(|(now, before)| now != before);
                open[index].extend(changed.map(|(now, _)| now.clone()));
                open[index].extend(now.elements.iter().flatten().cloned());
            }
            *state = either;
        }
        if is_settled {
            outputs.splice(..states.len(), states);
            return Ok(Some(outputs));
        }
    }
    Ok(None)
}

/// Whether what is known of a state holds of another value, too.
fn holds(value: &Known, state: &Known, open: &[Size]) -> bool {
    let is_one = |(value, state): (&Size, &Size)| value == state || (open.contains(state) && !value.has_rows());
    match (value, state) {
        (Known::Tensor(value), Known::Tensor(state)) => {
            value.rank() == state.rank()
                && value.batch == state.batch
                && value.dims.iter().zip(&state.dims).all(is_one)
                && (state.below.is_none() || state.below == value.below)
                && match (&value.elements, &state.elements) {
                    (_, None) => !value.counts_rows(),
                    (Some(value), Some(state)) => value.len() == state.len() && value.iter().zip(state).all(is_one),
                    (None, Some(_)) => false,
                }
        }
        (value, Known::Shared) => value.is_shared(),
        (value, state) => value == state,
    }
}

/// One of the slices of a value; `None` where they lie across its rows.
fn slice(known: &Known, axis: i64) -> Option<Known> {
    match known {
        Known::Tensor(tensor) if !tensor.counts_rows() => {
            let axis = super::call::axis(axis, tensor.rank())?;
            if !tensor.has_no_rows_along(&[axis]) {
                return None;
            }
            let mut dims = tensor.dims.clone();
            dims.remove(axis);
            let batch = tensor.batch.as_ref().map(|batch| shifted(batch, axis, -1));
            Some(Known::Tensor(Tensor::new(dims, batch)))
        }
        Known::Shared => Some(Known::Shared),
        _ => None,
    }
}

/// Values one after the other along a new dimension.
fn stacked(known: Known, axis: i64, length: &Size) -> Known {
    match known {
        Known::Tensor(tensor) if !tensor.counts_rows() => {
            let Some(axis) = super::call::axis(axis, tensor.rank() + 1) else {
                return Known::Mixed { operator: "'Scan'".to_owned() };
            };
            let mut dims = tensor.dims.clone();
            dims.insert(axis, length.clone());
            let batch = tensor.batch.as_ref().map(|batch| shifted(batch, axis, 1));
            Known::Tensor(Tensor::new(dims, batch))
        }
        Known::Tensor(_) | Known::RowNumbers(..) | Known::RowPlaces(_) => {
            Known::Mixed { operator: "'Loop'".to_owned() }
        }
        known => known,
    }
}

/// Rows after a dimension has come or gone at `axis`.
fn shifted(batch: &Batch, axis: usize, by: isize) -> Batch {
    let is_behind = if by > 0 { batch.axis >= axis } else { batch.axis > axis };
    if is_behind { batch.at(batch.axis.saturating_add_signed(by)) } else { batch.clone() }
}
