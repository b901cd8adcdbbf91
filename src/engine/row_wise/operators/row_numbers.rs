//! Rows that are found by their numbers: `range(rows)` as an index along the rows, as exporters write `x[arange(n), places]`.

use crate::engine::graph::domain_name;
use crate::engine::row_wise::call::{Call, axis};
use crate::engine::row_wise::known::{Batch, Known, Numbers, Tensor};
use crate::engine::row_wise::size::Size;

use super::elementwise::{is_listed, joined};
use super::{layout, shape};

/// The numbers of all rows, if that is what the operator makes.
pub fn made(call: &Call<'_>) -> Option<Tensor> {
    let is_one = |index: usize, number: &Size| call.elements(index) == Some(std::slice::from_ref(number));
    let is_range = domain_name(&call.node.domain) == "ai.onnx" && call.op() == "Range";
    let is_of_rows = is_range && is_one(0, &Size::ZERO) && is_one(1, &Size::rows()) && is_one(2, &Size::ONE);
    is_of_rows.then(|| Tensor::new(vec![Size::rows()], Some(Batch::plain(0))))
}

/// The numbers of rows after an operator, or the values that it finds by them. Every other use would tell rows by their place.
pub fn output(call: &Call<'_>) -> Option<Known> {
    if domain_name(&call.node.domain) != "ai.onnx" {
        return None;
    }
    let places = |index: usize| match call.input(index)? {
        Known::RowPlaces(tensor) => Some(tensor),
        _ => None,
    };
    match (call.op(), call.input(0)?) {
        ("Shape", _) => shape::shape(call).map(Known::Tensor),
        ("Size", _) => shape::size(call).map(Known::Tensor),
        ("Concat", Known::RowNumbers(numbers, Numbers::Times(size))) if size.is(1) => listed(call, numbers),
        ("Gather", Known::Tensor(data)) => {
            let Known::RowNumbers(numbers, Numbers::Times(size) | Numbers::Within(size)) = call.input(1)? else {
                return None;
            };
            // The places of a row are `size` behind each other, and so are what it has in the data.
            let of_data = data.batch.as_ref()?;
            let is_along_rows = of_data.axis == 0 && of_data.outer.is(1) && of_data.inner == *size;
            (is_along_rows && call.axis(0, data.rank())? == 0).then(|| found(numbers, &data.dims[1..]))
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
            is_apart.then(|| Known::Tensor(data.alike()))
        }
        ("Identity", known) => Some(known.clone()),
        ("Cast", Known::RowNumbers(numbers, form)) => {
            let is_wide = matches!(call.number("to"), Some(6 | 7 | 12 | 13));
            Some(Known::RowNumbers(numbers.clone(), if is_wide { form.clone() } else { Numbers::Other }))
        }
        (op, _) if is_listed(op) => computed(call),
        (_, Known::RowNumbers(numbers, form)) => {
            moved(call, numbers).map(|numbers| Known::RowNumbers(numbers, form.clone()))
        }
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

/// Numbers of rows with something else, element by element.
fn computed(call: &Call<'_>) -> Option<Known> {
    let tensor = |known: &Option<Known>| match known {
        Some(Known::Tensor(tensor)) if !tensor.counts_rows() => Some(tensor.clone()),
        Some(Known::RowNumbers(tensor, _)) => Some(tensor.clone()),
        _ => None,
    };
    let tensors = call.inputs.iter().map(tensor).collect::<Option<Vec<_>>>()?;
    let result = joined(&tensors.iter().collect::<Vec<_>>(), call.symbols)?;
    Some(Known::RowNumbers(result, form(call).unwrap_or(Numbers::Other)))
}

/// Of two inputs of which one has numbers of rows.
fn form(call: &Call<'_>) -> Option<Numbers> {
    let (size, other) = match (call.input(0)?, call.input(1)?) {
        (Known::RowNumbers(_, Numbers::Times(size)), other @ Known::Tensor(_)) => (size, (other, 1)),
        (other @ Known::Tensor(_), Known::RowNumbers(_, Numbers::Times(size))) => (size, (other, 0)),
        _ => return None,
    };
    match (call.op(), other) {
        ("Mul", (_, index)) => match call.elements(index)? {
            // Of 0 or less, rows would not be behind each other.
            [times] if times.is_not_negative() && !times.is(0) => size.times(times).map(Numbers::Times),
            _ => None,
        },
        ("Add", (Known::Tensor(other), _)) => {
            (other.below.as_ref() == Some(size)).then(|| Numbers::Within(size.clone()))
        }
        _ => None,
    }
}

/// Places of which each begins with the number of its row.
fn listed(call: &Call<'_>, numbers: &Tensor) -> Option<Known> {
    let rank = numbers.rank();
    let is_last = axis(call.number("axis")?, rank)? + 1 == rank;
    let others = (1..call.inputs.len()).map(|index| call.tensor(index)).collect::<Option<Vec<_>>>()?;
    let tensors: Vec<&Tensor> = std::iter::once(numbers).chain(others).collect();
    let is_apart = is_last && numbers.dims.last()?.is(1);
    is_apart.then(|| layout::concatenated(&tensors, rank - 1, call.symbols)).flatten().map(Known::RowPlaces)
}

/// The values at places of these dimensions, each with the remaining ones.
fn found(places: &Tensor, rest: &[Size]) -> Known {
    let dims = places.dims.iter().chain(rest).cloned().collect();
    Known::Tensor(Tensor::new(dims, places.batch.clone()))
}
