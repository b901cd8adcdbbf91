//! Windows over pictures, sounds and the like, whose first dimension is the batch.

use crate::engine::row_wise::call::{Call, axes};
use crate::engine::row_wise::known::Tensor;
use crate::engine::row_wise::size::{Size, product};

use super::elementwise::joined;

/// A convolution with weights, and other inputs, that are the same for all rows.
pub fn conv(call: &Call<'_>, pictures: usize, weights: usize) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(pictures).filter(|tensor| tensor.rank() >= 2)?;
    let kernel = call.shared(weights)?;
    let others = (0..call.inputs.len()).filter(|&index| index != pictures);
    if !call.are_shared(others) || kernel.rank() != tensor.rank() || call.is_set("channels_last") {
        return None;
    }
    let mut dims = vec![tensor.dims[0].clone(), kernel.dims[0].clone()];
    dims.extend(windows(call, &tensor.dims[2..], &kernel.dims[2..]));
    Some(Tensor::new(dims, tensor.batch.clone()))
}

/// With another tensor added, which has the output's dimensions, and an activation.
pub fn fused_conv(call: &Call<'_>) -> Option<Tensor> {
    let added = call.tensor(3);
    let mut inputs = call.inputs.to_vec();
    inputs.truncate(3);
    let result = conv(&Call { inputs: &inputs, ..*call }, 0, 1)?;
    match added {
        None if call.is_given(3) => None,
        None => Some(result),
        Some(added) => {
            let sum = joined(&[&result, added], call.symbols)?;
            (added.batch == result.batch && sum.rank() == result.rank()).then_some(sum)
        }
    }
}

/// The same in blocks of channels, as ONNX Runtime lays pictures out for the processor, and the way there and back.
pub fn in_blocks(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first(0).filter(|tensor| tensor.rank() >= 3)?;
    // Weights and biases are shared, what is added has the output's dimensions.
    let is_added = |index: usize| {
        call.has_rows_like(index, &tensor.batch)
            && call.tensor(index).is_some_and(|added| added.rank() == tensor.rank())
    };
    let is_apart = (1..call.inputs.len()).all(|index| call.is_shared(index) || (index == 3 && is_added(index)));
    let channels = match call.op() {
        "Conv" => call.shared(1)?.dims.first()?.clone(),
        "ReorderOutput" => Size::of(call.number("channels")?),
        "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" | "Upsample" | "ReorderInput" => {
            call.symbols.size()
        }
        _ => return None,
    };
    let mut result = with_open_sizes(tensor, channels, call);
    if call.is_set("channels_last") {
        // The channels may be the last; which they are is of no use to anybody.
        result.dims[1..].iter_mut().for_each(|size| *size = call.symbols.size());
    }
    is_apart.then_some(result)
}

/// The sizes of what windows of these sizes find in dimensions of these sizes.
fn windows(call: &Call<'_>, sizes: &[Size], kernels: &[Size]) -> Vec<Size> {
    let list = |name: &str| call.attribute(name).map(|attribute| attribute.ints.clone()).unwrap_or_default();
    let (strides, dilations, pads) = (list("strides"), list("dilations"), list("pads"));
    let rule = match call.text("auto_pad").unwrap_or("NOTSET") {
        "SAME_UPPER" | "SAME_LOWER" => Padding::Same,
        "VALID" => Padding::Given(0),
        _ => Padding::Given(1),
    };
    let is_rounded_up = call.is_set("ceil_mode");
    let axes = sizes.iter().zip(kernels).enumerate();
    axes.map(|(axis, (size, kernel))| {
        let at = |list: &[i64], index: usize, default: i64| list.get(index).copied().unwrap_or(default);
        let (stride, dilation) = (at(&strides, axis, 1), at(&dilations, axis, 1));
        let padding = match rule {
            Padding::Same => 0,
            Padding::Given(times) => times * (at(&pads, axis, 0) + at(&pads, axis + sizes.len(), 0)),
        };
        let known = size.known().zip(kernel.known()).filter(|_| stride > 0 && !is_rounded_up);
        match (known, rule) {
            (Some((size, _)), Padding::Same) => Size::of((size + stride - 1) / stride),
            (Some((size, kernel)), Padding::Given(_)) => {
                let reach = size + padding - dilation * (kernel - 1) - 1;
                if reach < 0 { call.symbols.size() } else { Size::of(reach / stride + 1) }
            }
            (None, _) => {
                let how = if is_rounded_up { "window, rounded up" } else { "window" };
                let same = Size::of((rule == Padding::Same).into());
                let numbers = [&Size::of(stride), &Size::of(dilation), &Size::of(padding), &same];
                call.symbols.size_from(how, &[[size, kernel].as_slice(), &numbers].concat())
            }
        }
    })
    .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Same,
    /// As it is given, so many times.
    Given(i64),
}

fn with_open_sizes(tensor: &Tensor, channels: Size, call: &Call<'_>) -> Tensor {
    let open = tensor.dims[2..].iter().map(|_| call.symbols.size());
    let dims = [tensor.dims[0].clone(), channels].into_iter().chain(open).collect();
    Tensor::new(dims, tensor.batch.clone())
}

pub fn transposed(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(0).filter(|tensor| tensor.rank() >= 2)?;
    let kernel = call.shared(1).filter(|kernel| kernel.rank() == tensor.rank())?;
    let channels = kernel.dims[1].times(&Size::of(call.number("group").unwrap_or(1)))?;
    let sizes = call.attribute("output_shape").map(|attribute| attribute.ints.clone()).unwrap_or_default();
    let mut result = with_open_sizes(tensor, channels, call);
    if sizes.len() + 2 == result.rank() {
        result.dims.splice(2.., sizes.into_iter().map(Size::of));
    }
    call.are_shared_from(1).then_some(result)
}

/// `x, weights, offsets, bias, mask`.
pub fn deformed(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first(0).filter(|tensor| tensor.rank() >= 2)?;
    let kernel = call.shared(1).filter(|kernel| kernel.rank() == tensor.rank())?;
    let is_of_rows = |index: usize| !call.is_given(index) || call.has_rows_like(index, &tensor.batch);
    let is_apart = is_of_rows(2) && call.is_shared(3) && is_of_rows(4);
    is_apart.then(|| with_open_sizes(tensor, kernel.dims[0].clone(), call))
}

/// Only the first output: the second one counts places over the whole batch.
pub fn pooled(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(0).filter(|tensor| tensor.rank() >= 3)?;
    let kernel: Vec<Size> = call.attribute("kernel_shape")?.ints.iter().map(|&size| Size::of(size)).collect();
    if kernel.len() + 2 != tensor.rank() || !call.are_shared_from(1) || call.is_set("channels_last") {
        return None;
    }
    let mut dims = tensor.dims[..2].to_vec();
    dims.extend(windows(call, &tensor.dims[2..], &kernel));
    Some(Tensor::new(dims, tensor.batch.clone()))
}

pub fn pooled_globally(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(0).filter(|tensor| tensor.rank() >= 2)?;
    let mut dims = vec![Size::ONE; tensor.rank()];
    dims[..2].clone_from_slice(&tensor.dims[..2]);
    if call.is_set("channels_last") {
        let last = dims.len() - 1;
        dims.swap(1, last);
        dims[last] = tensor.dims[last].clone();
        dims[1..last].fill(Size::ONE);
    }
    call.are_shared_from(1).then(|| Tensor::new(dims, tensor.batch.clone()))
}

/// Rows keep their places if their dimension is not changed. Between neighbours ONNX Runtime computes in planes: of pictures, which
/// have channels next to the rows or last. Of fewer dimensions the rows would be one of a plane.
pub fn resized(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    // Elsewhere the region is a part of the dimension, which may be that of the rows.
    let is_whole = call.text("coordinate_transformation_mode") != Some("tf_crop_and_resize");
    let is_stretched = matches!(call.text("keep_aspect_ratio_policy"), None | Some("stretch"));
    let axes = match call.attribute("axes") {
        Some(attribute) => axes(&attribute.ints, tensor.rank())?,
        None => (0..tensor.rank()).collect(),
    };
    // Version 10 and `Upsample` have the scales second.
    let scales = if call.op() == "Upsample" || call.version < 11 { 1 } else { 2 };
    let is_empty = |index: usize| call.elements(index).is_some_and(<[Size]>::is_empty);
    let (list, are_sizes): (Vec<Size>, bool) = match call.attribute("scales") {
        Some(_) => return None,
        None if call.is_given(3) && scales == 2 && !is_empty(3) => (call.elements(3)?.to_vec(), true),
        None => (call.elements(scales)?.to_vec(), false),
    };
    if !is_whole || !is_stretched || list.len() != axes.len() {
        return None;
    }
    let is_changed = |axis: usize| {
        let place = axes.iter().position(|&other| other == axis);
        place.is_some_and(|place| if are_sizes { list[place] != tensor.dims[axis] } else { !list[place].is(1) })
    };
    let last = tensor.rank().checked_sub(1)?;
    let are_planes = last >= 3 && !is_changed(0) && (!is_changed(1) || !is_changed(last));
    let is_between = !matches!(call.text("mode"), None | Some("nearest"));
    if is_between && tensor.batch.is_some() && !(are_planes && tensor.axis_of_rows() == Some(0)) {
        return None;
    }
    let mut dims = tensor.dims.clone();
    for (&axis, size) in axes.iter().zip(&list) {
        let is_kept = if are_sizes { *size == dims[axis] } else { size.is(1) };
        if is_kept {
            continue;
        }
        if !tensor.has_no_rows_along(&[axis]) || size.has_rows() {
            return None;
        }
        dims[axis] = match (are_sizes, dims[axis].known().zip(size.known())) {
            (true, _) => size.clone(),
            (false, Some((before, times))) => Size::of(before.checked_mul(times)?),
            (false, None) => call.symbols.size_from("scale", &[&dims[axis], size]),
        };
    }
    Some(Tensor::new(dims, tensor.batch.clone()))
}

pub fn depth_and_space(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(0).filter(|tensor| tensor.rank() == 4)?;
    let block = Size::of(call.number("blocksize")?);
    let area = block.times(&block)?;
    let is_to_space = call.op() == "DepthToSpace";
    let size = |axis: usize| {
        let (size, by, is_more) =
            if axis == 1 { (&tensor.dims[1], &area, !is_to_space) } else { (&tensor.dims[axis], &block, is_to_space) };
        let exact = if is_more { size.times(by) } else { size.divided_by(by) };
        exact.unwrap_or_else(|| call.symbols.size_from(if is_more { "blocks" } else { "block" }, &[size, by]))
    };
    Some(Tensor::new(vec![tensor.dims[0].clone(), size(1), size(2), size(3)], tensor.batch.clone()))
}

/// Each picture at the places of its own grid.
pub fn sampled(call: &Call<'_>) -> Option<Tensor> {
    let (tensor, grid) = (call.rows_first(0)?, call.tensor(1)?);
    if grid.batch != tensor.batch || grid.rank() != tensor.rank() || tensor.rank() < 3 {
        return None;
    }
    let places = &grid.dims[1..grid.rank() - 1];
    let dims = tensor.dims[..2].iter().chain(places).cloned().collect();
    Some(Tensor::new(dims, tensor.batch.clone()))
}

/// A grid for each transformation; the size begins with how many there are.
pub fn grid(call: &Call<'_>) -> Option<Tensor> {
    let (tensor, size) = (call.rows_first(0)?, call.elements(1)?);
    let (count, rest) = size.split_first()?;
    if *count != tensor.dims[0] || rest.len() < 3 || rest.iter().any(Size::has_rows) {
        return None;
    }
    // The channels have no part in it, and each place has as many coordinates as there are dimensions.
    let places = rest[1..].iter().cloned();
    let coordinates = Size::of(i64::try_from(rest.len() - 1).ok()?);
    let dims = std::iter::once(count.clone()).chain(places).chain([coordinates]).collect();
    Some(Tensor::new(dims, tensor.batch.clone()))
}

pub fn from_columns(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first(0).filter(|tensor| tensor.rank() == 3)?;
    let (picture, block) = (call.elements(1)?, call.elements(2)?);
    let channels = tensor.dims[1].divided_by(&product(block)?).unwrap_or_else(|| call.symbols.size());
    let dims = [tensor.dims[0].clone(), channels].into_iter().chain(picture.iter().cloned()).collect();
    call.are_shared_from(1).then(|| Tensor::new(dims, tensor.batch.clone()))
}
