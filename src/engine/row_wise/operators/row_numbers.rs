//! Rows that are found by their numbers: `range(rows)` as an index along the rows, as exporters write `x[arange(n), places]`.

use crate::engine::graph::domain_name;
use crate::engine::row_wise::call::{Call, axis};
use crate::engine::row_wise::known::{Batch, Known, Tensor};
use crate::engine::row_wise::size::Size;

use super::layout;

/// The numbers of all rows, if that is what the operator makes.
pub fn made(call: &Call<'_>) -> Option<Tensor> {
    let is_one = |index: usize, number: &Size| call.elements(index) == Some(std::slice::from_ref(number));
    let is_range = domain_name(&call.node.domain) == "ai.onnx" && call.op() == "Range";
    let is_of_rows = is_range && is_one(0, &Size::ZERO) && is_one(1, &Size::rows()) && is_one(2, &Size::ONE);
    is_of_rows.then(|| Tensor::new(vec![Size::rows()], Some(Batch::plain(0))))
}

/// What becomes of the numbers of rows, or of what is found by them. Every other use would tell rows by their place.
pub fn output(call: &Call<'_>) -> Option<Known> {
    if domain_name(&call.node.domain) != "ai.onnx" {
        return None;
    }
    let places = |index: usize| match call.input(index)? {
        Known::RowPlaces(tensor) => Some(tensor),
        _ => None,
    };
    match (call.op(), call.input(0)?) {
        ("Concat", Known::RowNumbers(_)) => listed(call),
        ("Gather", Known::Tensor(data)) => {
            let Known::RowNumbers(numbers) = call.input(1)? else { return None };
            let is_along_rows = data.batch == Some(Batch::plain(0)) && call.axis(0, data.rank())? == 0;
            is_along_rows.then(|| found(numbers, &data.dims[1..]))
        }
        ("GatherND", Known::Tensor(data)) if !call.is_set("batch_dims") => {
            let places = places(1)?;
            let (count, dims) = places.dims.split_last()?;
            let depth = usize::try_from(count.known()?).ok()?;
            let rest = data.dims.get(depth..)?;
            let is_along_rows = data.batch == Some(Batch::plain(0));
            is_along_rows.then(|| found(&Tensor::new(dims.to_vec(), places.batch.clone()), rest))
        }
        ("ScatterND", Known::Tensor(data)) => {
            let (places, updates) = (places(1)?, call.tensor(2)?);
            let is_apart = data.batch == Some(Batch::plain(0)) && updates.batch == places.batch;
            is_apart.then(|| Known::Tensor(Tensor::new(data.dims.clone(), data.batch.clone())))
        }
        ("ScatterND", _) => None,
        (op, Known::RowNumbers(numbers)) => {
            let moved = match op {
                "Identity" => Some(numbers.clone()),
                // Sizes of tensors are below that, whatever the type.
                "Cast" => matches!(call.number("to"), Some(6 | 7 | 12 | 13)).then(|| numbers.clone()),
                _ => moved(call, numbers),
            };
            moved.map(Known::RowNumbers)
        }
        (op, Known::RowPlaces(places)) => match op {
            "Identity" => Some(Known::RowPlaces(places.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// The same numbers in another arrangement.
fn moved(call: &Call<'_>, numbers: &Tensor) -> Option<Tensor> {
    let mut inputs = call.inputs.to_vec();
    *inputs.first_mut()? = Some(Known::Tensor(numbers.clone()));
    let call = Call { inputs: &inputs, ..*call };
    match call.op() {
        "Unsqueeze" => layout::unsqueeze(&call),
        "Squeeze" => layout::squeeze(&call),
        "Reshape" => layout::reshape(&call),
        "Transpose" => layout::transpose(&call),
        "Expand" => layout::expand(&call),
        _ => None,
    }
}

/// Places of which each begins with the number of its row.
fn listed(call: &Call<'_>) -> Option<Known> {
    let Known::RowNumbers(numbers) = call.input(0)? else { return None };
    let rank = numbers.rank();
    let is_last = axis(call.number("axis")?, rank)? + 1 == rank;
    let others = (1..call.inputs.len()).map(|index| call.tensor(index)).collect::<Option<Vec<_>>>()?;
    let tensors: Vec<&Tensor> = std::iter::once(numbers).chain(others).collect();
    let is_apart = is_last && numbers.dims.last()?.is(1);
    is_apart.then(|| layout::concatenated(&tensors, rank - 1, call.symbols)).flatten().map(Known::RowPlaces)
}

/// What a place with these dimensions leads to, of which each has these more.
fn found(places: &Tensor, rest: &[Size]) -> Known {
    let dims = places.dims.iter().chain(rest).cloned().collect();
    Known::Tensor(Tensor::new(dims, places.batch.clone()))
}
