//! Operators that compare elements with their neighbours along some dimensions.

use crate::engine::row_wise::call::{Call, axes, axis};
use crate::engine::row_wise::known::Tensor;
use crate::engine::row_wise::size::Size;

use super::elementwise::{broadcast, is_same_for_rows};

/// From version 13 on along one dimension; before, over all from that one on.
pub fn softmax(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let is_along_one = call.version >= 13;
    let first = call.axis(if is_along_one { -1 } else { 1 }, tensor.rank())?;
    let over: Vec<usize> = if is_along_one { vec![first] } else { (first..tensor.rank()).collect() };
    tensor.has_no_rows_along(&over).then(|| tensor.alike())
}

pub fn along_axis(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let along = call.axis(-1, tensor.rank())?;
    tensor.has_no_rows_along(&[along]).then(|| tensor.alike())
}

/// In training, it takes mean and variance from the rows; before version 14 it says so by its outputs, before version 7 by an
/// attribute.
pub fn batch(call: &Call<'_>) -> Option<Tensor> {
    let is_training = call.is_set("training_mode") || call.node.output.len() > 1 || call.version < 7;
    let tensor = call.tensor(0)?;
    let is_apart = tensor.axis_of_rows().is_none_or(|axis| axis == 0);
    (is_apart && !is_training && call.are_shared_from(1)).then(|| tensor.alike())
}

/// Over all dimensions but the first two.
pub fn of_channels(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.rows_first_if_any(0)?;
    (tensor.rank() >= 2 && call.are_shared_from(1)).then(|| tensor.alike())
}

/// Over the dimensions from an axis on. Only the first output.
pub fn layer(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let first = call.axis(-1, tensor.rank())?;
    let over: Vec<usize> = (first..tensor.rank()).collect();
    let is_apart = tensor.has_no_rows_along(&over) && are_same_for_rows(call, 1.., tensor);
    is_apart.then(|| tensor.alike())
}

fn are_same_for_rows(call: &Call<'_>, indices: std::ops::RangeFrom<usize>, tensor: &Tensor) -> bool {
    let mut indices = indices.take(call.inputs.len().saturating_sub(1));
    indices.all(|index| is_same_for_rows(call, index, tensor.rank(), tensor.axis_of_rows()))
}

/// Over the last dimension of the sum of two inputs and a bias. The sum may be an output, too, the fourth.
pub fn skip_layer(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let sum = broadcast(call, 0..2)?;
    let last = sum.rank().checked_sub(1)?;
    // The output is as large as the first input, whatever the second one is.
    let is_of_first = call.tensor(0)?.batch == sum.batch && call.tensor(0)?.rank() == sum.rank();
    let is_apart = is_of_first && sum.has_no_rows_along(&[last]) && are_same_for_rows(call, 2.., &sum);
    // The mean and the deviation between them are for training; ONNX Runtime leaves them out.
    let of_rows = |index: usize| if index == 0 || index == 3 { sum.alike() } else { narrow(&sum) };
    is_apart.then(|| (0..call.node.output.len()).map(of_rows).collect())
}

fn narrow(tensor: &Tensor) -> Tensor {
    let mut dims = tensor.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = Size::ONE;
    }
    Tensor::new(dims, tensor.batch.clone())
}

/// Words, and perhaps segments and positions, of rows, looked up in tables. The second output is how many words a mask leaves.
pub fn embed_layer(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let words = call.rows_first(0).filter(|words| words.rank() == 2)?;
    let is_of_rows = |index: usize| call.has_rows_like(index, &words.batch);
    // Positions may be the same for all rows.
    let is_fit = |index: usize| !call.is_given(index) || is_of_rows(index);
    let has_positions = !call.is_given(8) || is_of_rows(8) || is_same_for_rows(call, 8, 2, Some(0));
    if !is_fit(1) || !is_fit(7) || !has_positions || !call.are_shared(2..7) {
        return None;
    }
    let width = call.tensor(2)?.dims.last()?.clone();
    let embedded = Tensor::new([words.dims.as_slice(), &[width]].concat(), words.batch.clone());
    let counts = Tensor::new(words.dims[..1].to_vec(), words.batch.clone());
    Some(vec![embedded.clone(), counts, embedded])
}

pub fn mean_variance(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    // Unless it is said, all but the channels, and so over rows.
    let over = axes(&call.attribute("axes")?.ints, tensor.rank())?;
    tensor.has_no_rows_along(&over).then(|| tensor.alike())
}

/// Over neighbouring channels.
pub fn local_response(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let channels = axis(1, tensor.rank())?;
    tensor.has_no_rows_along(&[channels]).then(|| tensor.alike())
}
