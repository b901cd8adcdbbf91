//! Operators that look elements up, or put them at places.

use crate::engine::row_wise::call::{Call, axis};
use crate::engine::row_wise::known::{Batch, Tensor};

/// Places that are the same for every row, or places of rows in a table that is.
pub fn gather(call: &Call<'_>) -> Option<Tensor> {
    let (data, places) = (call.tensor(0)?, call.tensor(1)?);
    let along = call.axis(0, data.rank())?;
    if !data.has_no_rows_along(&[along]) {
        return None;
    }
    let dims = data.dims[..along].iter().chain(&places.dims).chain(&data.dims[along + 1..]).cloned().collect();
    let batch = match (&data.batch, &places.batch) {
        (Some(_), Some(_)) => return None,
        (Some(batch), None) if batch.axis > along => Some(batch.at(batch.axis + places.rank() - 1)),
        (Some(batch), None) => Some(batch.clone()),
        (None, Some(batch)) => Some(batch.at(batch.axis + along)),
        (None, None) => None,
    };
    Some(Tensor::new(dims, batch))
}

/// Each element's own place along an axis.
pub fn gather_elements(call: &Call<'_>) -> Option<Tensor> {
    let (data, places) = (call.tensor(0)?, call.tensor(1)?);
    let along = call.axis(0, data.rank())?;
    let is_apart = data.has_no_rows_along(&[along]) && data.batch == places.batch;
    is_apart.then(|| places.alike())
}

pub fn gather_nd(call: &Call<'_>) -> Option<Tensor> {
    let (data, places) = (call.tensor(0)?, call.tensor(1)?);
    let (count, of_places) = places.dims.split_last()?;
    let depth = usize::try_from(count.known()?).ok()?;
    let shared = usize::try_from(call.number("batch_dims").unwrap_or(0)).ok()?;
    let rest = data.dims.get(shared.checked_add(depth)?..)?;
    let dims = of_places.iter().chain(rest).cloned().collect();
    let is_in_front = |batch: &Batch| batch.axis < shared;
    let batch = match (&data.batch, &places.batch) {
        (Some(of_data), Some(of_places)) => (of_data == of_places && is_in_front(of_data)).then(|| of_data.clone())?,
        // Places of rows in a table that is the same for each.
        (None, Some(batch)) if batch.axis + 1 < places.rank() && shared == 0 => batch.clone(),
        // The same places in every row, which is what is behind them.
        (Some(batch), None) if batch.axis >= shared + depth => batch.at(batch.axis - shared - depth + of_places.len()),
        (None, None) => return Some(Tensor::shared(dims)),
        _ => return None,
    };
    Some(Tensor::new(dims, Some(batch)))
}

pub fn scatter_elements(call: &Call<'_>) -> Option<Tensor> {
    let data = call.tensor(0)?;
    let along = call.axis(0, data.rank())?;
    let is_apart =
        data.has_no_rows_along(&[along]) && call.has_rows_like(1, &data.batch) && call.has_rows_like(2, &data.batch);
    is_apart.then(|| data.alike())
}

/// A new dimension for the classes.
pub fn one_hot(call: &Call<'_>) -> Option<Tensor> {
    let places = call.tensor(0)?;
    if !call.are_shared([1, 2]) {
        return None;
    }
    let at = axis(call.number("axis").unwrap_or(-1), places.rank() + 1)?;
    let classes = call.elements(1).and_then(|elements| elements.first().cloned());
    let mut dims = places.dims.clone();
    dims.insert(at, classes.unwrap_or_else(|| call.symbols.size()));
    let moved = |batch: &Batch| if batch.axis >= at { batch.at(batch.axis + 1) } else { batch.clone() };
    Some(Tensor::new(dims, places.batch.as_ref().map(moved)))
}
