//! Operators that say sizes, and those that make tensors of sizes.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Known, Tensor};
use crate::engine::row_wise::size::{Size, product};

pub fn shape(call: &Call<'_>) -> Option<Tensor> {
    let dims = dims(call)?;
    let count = i64::try_from(dims.len()).ok()?;
    let place = |number: i64| if number < 0 { number.saturating_add(count) } else { number }.clamp(0, count) as usize;
    let start = place(call.number("start").unwrap_or(0));
    let end = place(call.number("end").unwrap_or(count));
    Some(Tensor::list(dims.get(start..end.max(start))?.to_vec()))
}

pub fn size(call: &Call<'_>) -> Option<Tensor> {
    Some(Tensor::scalar(product(dims(call)?)?))
}

/// The dimensions of a tensor, whatever its elements are.
fn dims<'a>(call: &'a Call<'_>) -> Option<&'a [Size]> {
    match call.input(0)? {
        Known::Tensor(tensor) | Known::RowNumbers(tensor, _) | Known::RowPlaces(tensor) => Some(&tensor.dims),
        Known::Shared | Known::Mixed { .. } => None,
    }
}

pub fn constant(call: &Call<'_>) -> Option<Tensor> {
    let value = call.node.attribute.first()?;
    let known = match value.name.as_str() {
        "value" => Tensor::of(value.tensor.as_ref()?, call.symbols),
        "value_int" => Known::Tensor(Tensor::scalar(Size::of(value.i))),
        "value_ints" => Known::Tensor(Tensor::list(value.ints.iter().map(|&number| Size::of(number)).collect())),
        "value_float" => Known::Tensor(Tensor::shared(Vec::new())),
        _ => return None,
    };
    match known {
        Known::Tensor(tensor) => Some(tensor),
        _ => None,
    }
}

/// One element, as often as there is room.
pub fn constant_of_shape(call: &Call<'_>) -> Option<Tensor> {
    let tensor = Tensor::uniform(call.elements(0)?.to_vec())?;
    if !tensor.is_shared() {
        return Some(tensor);
    }
    let value = match call.attribute("value").and_then(|attribute| attribute.tensor.as_ref()) {
        None => Some(Size::ZERO),
        Some(value) => match Tensor::of(value, call.symbols) {
            Known::Tensor(Tensor { elements: Some(elements), .. }) => elements.into_iter().next(),
            _ => None,
        },
    };
    let count = product(&tensor.dims)?.known().filter(|_| tensor.rank() <= 1);
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count <= 64);
    let elements = value.zip(count).map(|(value, count)| vec![value; count]);
    Some(Tensor { elements, ..tensor })
}

/// Of bounds that have nothing to do with rows.
pub fn range(call: &Call<'_>) -> Option<Tensor> {
    let scalar = |index: usize| match call.elements(index)? {
        [element] => Some(element.clone()),
        _ => None,
    };
    if !call.are_shared_from(0) {
        return None;
    }
    let length = match (scalar(0), scalar(1), scalar(2)) {
        (Some(start), Some(limit), Some(step)) if start.is(0) && step.is(1) && limit.is_not_negative() => {
            return Some(Tensor::shared(vec![limit.clone()]).with_below(Some(limit)));
        }
        (Some(start), Some(limit), Some(step)) => call.symbols.size_from("range", &[&start, &limit, &step]),
        _ => call.symbols.size(),
    };
    Some(Tensor::shared(vec![length]))
}
