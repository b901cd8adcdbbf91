//! Operators that leave elements as they are and give them other places.

use crate::engine::row_wise::call::{Call, axes, axis};
use crate::engine::row_wise::known::{Batch, Tensor};
use crate::engine::row_wise::size::{Size, Symbols, product};

use super::elementwise::larger;
use super::reduction::without;

/// An end that is behind every last element, as exporters write it.
const END_MIN: i64 = i32::MAX as i64;

pub fn reshape(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let shape: Vec<Size> = match call.attribute("shape") {
        Some(attribute) => attribute.ints.iter().map(|&size| Size::of(size)).collect(),
        None => call.elements(1)?.to_vec(),
    };
    reshaped(tensor, &shape, call.is_set("allowzero"), call.symbols)
}

pub fn flatten(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    // Behind the last is a place, too.
    let at = match call.number("axis").unwrap_or(1) {
        at if at == i64::try_from(tensor.rank()).ok()? => tensor.rank(),
        at => axis(at, tensor.rank())?,
    };
    let (before, behind) = tensor.dims.split_at(at);
    reshaped(tensor, &[product(before)?, product(behind)?], true, call.symbols)
}

/// The elements in the same order, with other dimensions. Row-major order is one of three parts: what is before the rows, the rows,
/// what is inside a row. Rows stay apart if the new dimensions can be divided at the same places.
pub fn reshaped(tensor: &Tensor, shape: &[Size], allows_zero: bool, symbols: &Symbols) -> Option<Tensor> {
    let mut dims = Vec::with_capacity(shape.len());
    let mut open = None;
    for (place, size) in shape.iter().enumerate() {
        match size.known() {
            Some(0) if !allows_zero => dims.push(tensor.dims.get(place)?.clone()),
            Some(-1) if open.is_none() => {
                open = Some(place);
                dims.push(Size::ONE);
            }
            Some(negative) if negative < 0 => return None,
            _ => dims.push(size.clone()),
        }
    }
    let Some(batch) = &tensor.batch else {
        if let Some(place) = open {
            let rest = product(&tensor.dims).zip(product(&dims)).and_then(|(all, others)| all.divided_by(&others));
            dims[place] = rest.unwrap_or_else(|| symbols.size());
        }
        return Some(Tensor::shared(dims)).filter(|tensor| !tensor.dims.iter().any(Size::has_rows));
    };
    let before = product(tensor.dims[..batch.axis].iter().chain([&batch.outer]))?;
    if let Some(place) = open {
        let rest = product(&tensor.dims).zip(product(&dims)).and_then(|(all, others)| all.divided_by(&others));
        let has_rows_elsewhere = dims.iter().any(Size::has_rows);
        dims[place] = match rest {
            Some(rest) => rest,
            None if has_rows_elsewhere => symbols.size(),
            None => return None,
        };
    }
    let at = dims.iter().position(Size::has_rows)?;
    if dims[at + 1..].iter().any(Size::has_rows) {
        return None;
    }
    let outer = before.divided_by(&product(&dims[..at])?)?;
    let inner = dims[at].divided_by(&Size::rows())?.divided_by(&outer)?;
    Some(Tensor::new(dims, Some(Batch { axis: at, outer, inner })))
}

pub fn transpose(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let order = match call.attribute("perm") {
        Some(attribute) => axes(&attribute.ints, tensor.rank())?,
        None => (0..tensor.rank()).rev().collect(),
    };
    permuted(tensor, &order)
}

pub fn permuted(tensor: &Tensor, order: &[usize]) -> Option<Tensor> {
    if order.len() != tensor.rank() {
        return None;
    }
    let dims = order.iter().map(|&axis| tensor.dims[axis].clone()).collect();
    let batch = match &tensor.batch {
        Some(batch) => Some(batch.at(order.iter().position(|&axis| axis == batch.axis)?)),
        None => None,
    };
    Some(Tensor::new(dims, batch))
}

/// Without `axes`, or with none in them, all dimensions of 1 go, which a single row would be, too.
pub fn squeeze(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let axes = match call.list("axes", 1).ok()? {
        Some(list) if !list.is_empty() => axes(&list, tensor.rank())?,
        _ if tensor.batch.is_some() => return None,
        _ => {
            let sizes = tensor.dims.iter().map(Size::known).collect::<Option<Vec<_>>>()?;
            sizes.iter().enumerate().filter(|&(_, &size)| size == 1).map(|(axis, _)| axis).collect()
        }
    };
    tensor.has_no_rows_along(&axes).then(|| without(tensor, &axes))
}

pub fn unsqueeze(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let list = call.list("axes", 1).ok()??;
    let mut axes = axes(&list, tensor.rank() + list.len())?;
    axes.sort_unstable();
    let (mut dims, mut batch) = (tensor.dims.clone(), tensor.batch.clone());
    for axis in axes {
        if axis > dims.len() {
            return None;
        }
        dims.insert(axis, Size::ONE);
        batch = batch.map(|batch| if batch.axis >= axis { batch.at(batch.axis + 1) } else { batch });
    }
    Some(Tensor::new(dims, batch))
}

pub fn expand(call: &Call<'_>) -> Option<Tensor> {
    expanded(call.tensor(0)?, call.elements(1)?, call.symbols)
}

/// A tensor repeated along its dimensions of 1, and along new ones in front.
pub fn expanded(tensor: &Tensor, shape: &[Size], symbols: &Symbols) -> Option<Tensor> {
    let rank = tensor.rank().max(shape.len());
    let (skipped, short) = (rank - tensor.rank(), rank - shape.len());
    let mut batch = tensor.batch.as_ref().map(|batch| batch.at(batch.axis + skipped));
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        let own = axis.checked_sub(skipped).map_or(Size::ONE, |place| tensor.dims[place].clone());
        let asked = axis.checked_sub(short).map_or(Size::ONE, |place| shape[place].clone());
        let has_own_rows = batch.as_ref().is_some_and(|batch| batch.axis == axis);
        if own.has_rows() != has_own_rows {
            return None;
        }
        if has_own_rows {
            if !asked.is(1) && asked != own {
                return None;
            }
            dims.push(own);
        } else if asked.has_rows() {
            // The same elements for every row, however they are counted.
            if batch.is_some() || !own.is(1) {
                return None;
            }
            batch = Some(Batch { axis, outer: Size::ONE, inner: asked.divided_by(&Size::rows())? });
            dims.push(asked);
        } else {
            dims.push(larger(&own, &asked, symbols));
        }
    }
    Some(Tensor::new(dims, batch))
}

/// Repetition along the rows puts a copy of all of them behind the others.
pub fn tile(call: &Call<'_>) -> Option<Tensor> {
    let (tensor, repeats) = (call.tensor(0)?, call.elements(1)?);
    // Version 1 has the number of repeats and the axis by themselves.
    if call.version < 6 || repeats.len() != tensor.rank() {
        return None;
    }
    let mut batch = tensor.batch.clone();
    let mut dims = Vec::with_capacity(tensor.rank());
    for (axis, (size, times)) in tensor.dims.iter().zip(repeats).enumerate() {
        if times.is(0) {
            return None;
        }
        if times.has_rows() {
            if batch.is_some() || !size.is(1) {
                return None;
            }
            batch = Some(Batch { axis, outer: Size::ONE, inner: times.divided_by(&Size::rows())? });
        } else if let Some(batch) = batch.as_mut().filter(|batch| batch.axis == axis) {
            batch.outer = batch.outer.times(times)?;
        }
        dims.push(size.times(times)?);
    }
    Some(Tensor::new(dims, batch))
}

pub fn concat(call: &Call<'_>) -> Option<Tensor> {
    let tensors = (0..call.inputs.len()).map(|index| call.tensor(index)).collect::<Option<Vec<_>>>()?;
    let rank = tensors.first()?.rank();
    // Before version 4, the axis is 1 unless it is said.
    let axis = call.axis(1, rank)?;
    concatenated(&tensors, axis, call.symbols)
}

pub fn concatenated(tensors: &[&Tensor], axis: usize, symbols: &Symbols) -> Option<Tensor> {
    let first = tensors.first()?;
    let are_alike = tensors.iter().all(|tensor| tensor.rank() == first.rank() && tensor.batch == first.batch);
    if !are_alike || !first.has_no_rows_along(&[axis]) {
        return None;
    }
    let mut dims = first.dims.clone();
    for tensor in &tensors[1..] {
        dims[axis] = match dims[axis].plus(&tensor.dims[axis]) {
            Some(sum) => sum,
            None => symbols.size_from("concat", &[&dims[axis], &tensor.dims[axis]]),
        };
    }
    Some(Tensor::new(dims, first.batch.clone()))
}

pub fn split(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let tensor = call.tensor(0)?;
    let axis = call.axis(0, tensor.rank())?;
    if !tensor.has_no_rows_along(&[axis]) || !call.are_shared_from(1) {
        return None;
    }
    let count = call.node.output.len();
    let sizes = match (call.attribute("split"), call.elements(1)) {
        (Some(attribute), _) => Some(attribute.ints.iter().map(|&size| Size::of(size)).collect::<Vec<_>>()),
        (None, Some(sizes)) => Some(sizes.to_vec()),
        (None, None) if call.is_given(1) => None,
        // The last may be smaller.
        (None, None) => i64::try_from(count).ok().and_then(|count| {
            let part = tensor.dims[axis].divided_by(&Size::of(count))?;
            Some(vec![part; count as usize])
        }),
    };
    let part = |index: usize| {
        let mut dims = tensor.dims.clone();
        let size = sizes.as_ref().and_then(|sizes| sizes.get(index).cloned());
        dims[axis] = size.unwrap_or_else(|| call.symbols.size());
        Tensor::new(dims, tensor.batch.clone())
    };
    Some((0..count).map(part).collect())
}

pub fn slice(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let bounds = |name: &str, input: usize| match call.attribute(name) {
        Some(attribute) => Some(attribute.ints.iter().map(|&number| Size::of(number)).collect()),
        None => call.elements(input).map(<[Size]>::to_vec),
    };
    if !call.are_shared([1, 3, 4]) {
        return None;
    }
    let axes = match call.list("axes", 3).ok()? {
        Some(list) => axes(&list, tensor.rank())?,
        None => (0..bounds("starts", 1)?.len()).collect(),
    };
    let (starts, ends): (Option<Vec<Size>>, Option<Vec<Size>>) = (bounds("starts", 1), bounds("ends", 2));
    let steps = if call.is_given(4) { call.numbers(4) } else { Some(vec![1; axes.len()]) };
    let mut dims = tensor.dims.clone();
    for (index, &axis) in axes.iter().enumerate() {
        let at = |list: &Option<Vec<Size>>| list.as_ref().and_then(|list| list.get(index).cloned());
        let step = steps.as_ref().and_then(|steps| steps.get(index).copied());
        let size = &mut *dims.get_mut(axis)?;
        let is_whole = at(&starts).is_some_and(|start| start.is(0))
            && step == Some(1)
            && at(&ends).is_some_and(|end| end == *size || end.known().is_some_and(|end| end >= END_MIN));
        if is_whole {
            continue;
        }
        if !tensor.has_no_rows_along(&[axis]) || at(&ends).is_some_and(|end| end.has_rows()) {
            return None;
        }
        *size = remaining(size, at(&starts), at(&ends), step, call.symbols);
    }
    Some(Tensor::new(dims, tensor.batch.clone()))
}

/// The number of elements from a start to an end.
fn remaining(size: &Size, start: Option<Size>, end: Option<Size>, step: Option<i64>, symbols: &Symbols) -> Size {
    let (Some(start), Some(end), Some(step @ 1..)) = (start, end, step) else { return symbols.size() };
    let numbers = size.known().zip(start.known()).zip(end.known());
    if let Some(((size, start), end)) = numbers {
        let place = |number: i64| if number < 0 { number.saturating_add(size) } else { number }.clamp(0, size);
        let length = (place(end) - place(start)).max(0);
        return Size::of((length + step - 1) / step);
    }
    symbols.size_from("slice", &[size, &start, &end, &Size::of(step)])
}

pub fn pad(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let pads: Vec<Size> = match call.attribute("pads").or_else(|| call.attribute("paddings")) {
        Some(attribute) => attribute.ints.iter().map(|&size| Size::of(size)).collect(),
        None => call.elements(1)?.to_vec(),
    };
    let axes = match call.list("axes", 3).ok()? {
        Some(list) => axes(&list, tensor.rank())?,
        None => (0..tensor.rank()).collect(),
    };
    if !call.are_shared([1, 2, 3]) || pads.len() != 2 * axes.len() {
        return None;
    }
    let mut dims = tensor.dims.clone();
    for (index, &axis) in axes.iter().enumerate() {
        let (before, behind) = (&pads[index], &pads[axes.len() + index]);
        if before.is(0) && behind.is(0) {
            continue;
        }
        if !tensor.has_no_rows_along(&[axis]) {
            return None;
        }
        let numbers = dims[axis].known().zip(before.known()).zip(behind.known());
        dims[axis] = match numbers {
            Some(((size, before), behind)) => Size::of(size + before + behind),
            None => call.symbols.size_from("pad", &[&dims[axis], before, behind]),
        };
    }
    Some(Tensor::new(dims, tensor.batch.clone()))
}

pub fn crop(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let axes = match call.attribute("axes") {
        Some(attribute) => axes(&attribute.ints, tensor.rank())?,
        None => (0..tensor.rank()).collect(),
    };
    let sizes = call.elements(1).filter(|sizes| sizes.len() == axes.len())?;
    let mut dims = tensor.dims.clone();
    for (&axis, size) in axes.iter().zip(sizes) {
        let is_kept = dims[axis] == *size;
        if !is_kept && (!tensor.has_no_rows_along(&[axis]) || size.has_rows()) {
            return None;
        }
        dims[axis] = size.clone();
    }
    Some(Tensor::new(dims, tensor.batch.clone()))
}

/// The lengths of the sequences are one for each row.
pub fn reverse(call: &Call<'_>) -> Option<Tensor> {
    let (tensor, lengths) = (call.tensor(0)?, call.tensor(1)?);
    let (batch_axis, time_axis) = (call.number("batch_axis").unwrap_or(1), call.number("time_axis").unwrap_or(0));
    let (batch_axis, time_axis) = (axis(batch_axis, tensor.rank())?, axis(time_axis, tensor.rank())?);
    let is_fit = match (&tensor.batch, &lengths.batch) {
        (Some(rows), Some(of_lengths)) => rows.axis == batch_axis && rows.is_like(of_lengths),
        (Some(rows), None) => rows.axis != batch_axis && rows.axis != time_axis,
        (None, None) => true,
        (None, Some(_)) => false,
    };
    is_fit.then(|| tensor.alike())
}

/// Of matrices, which are the last two dimensions.
pub fn triangle(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let is_apart = tensor.axis_of_rows().is_none_or(|axis| axis + 2 < tensor.rank());
    (is_apart && call.is_shared(1)).then(|| tensor.alike())
}
