//! Operators that gather along dimensions: sums, the greatest, places.

use crate::engine::row_wise::call::{Call, axes, axis};
use crate::engine::row_wise::known::{Batch, Tensor};
use crate::engine::row_wise::size::Size;

/// `Reduce…`.
pub fn reduced(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let axes = match call.list("axes", 1).ok()? {
        Some(list) if !list.is_empty() => axes(&list, tensor.rank())?,
        _ if call.is_set("noop_with_empty_axes") => {
            return Some(tensor.alike());
        }
        _ => (0..tensor.rank()).collect(),
    };
    gathered(tensor, &axes, call.number("keepdims").unwrap_or(1) != 0)
}

/// `ArgMax`, `ArgMin`.
pub fn arg(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    gathered(tensor, &[call.axis(0, tensor.rank())?], call.number("keepdims").unwrap_or(1) != 0)
}

fn gathered(tensor: &Tensor, axes: &[usize], keeps: bool) -> Option<Tensor> {
    if !tensor.has_no_rows_along(axes) {
        return None;
    }
    if keeps {
        let dims = tensor.dims.iter().enumerate();
        let dims = dims.map(|(axis, size)| if axes.contains(&axis) { Size::ONE } else { size.clone() });
        return Some(Tensor::new(dims.collect(), tensor.batch.clone()));
    }
    Some(without(tensor, axes))
}

/// The tensor without these dimensions, which have no rows.
pub fn without(tensor: &Tensor, axes: &[usize]) -> Tensor {
    let dims = tensor.dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    let dims = dims.map(|(_, size)| size.clone()).collect();
    let before = |batch: &Batch| axes.iter().filter(|&&axis| axis < batch.axis).count();
    Tensor::new(dims, tensor.batch.as_ref().map(|batch| batch.at(batch.axis - before(batch))))
}

pub fn top(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let tensor = call.tensor(0)?;
    let axis = call.axis(-1, tensor.rank())?;
    if !tensor.has_no_rows_along(&[axis]) || !call.are_shared_from(1) {
        return None;
    }
    let count = match call.attribute("k") {
        Some(attribute) => Some(Size::of(attribute.i)),
        None => call.elements(1).and_then(|elements| elements.first().cloned()),
    };
    let mut dims = tensor.dims.clone();
    dims[axis] = count.unwrap_or_else(|| call.symbols.size());
    let best = Tensor::new(dims, tensor.batch.clone());
    Some(vec![best.clone(), best])
}

pub fn cumulated(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let &[along] = call.numbers(1)?.as_slice() else { return None };
    let along = axis(along, tensor.rank())?;
    tensor.has_no_rows_along(&[along]).then(|| tensor.alike())
}
