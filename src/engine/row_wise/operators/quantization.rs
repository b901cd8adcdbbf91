//! Numbers of few bits, by scales that are known beforehand. Scales that are taken from the numbers themselves
//! (`DynamicQuantizeLinear`) are of the whole tensor, all rows included, and so are not here.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::Tensor;

use super::elementwise::joined;
use super::layout::concatenated;

/// A scale for all, for each place of an axis, or for each block along it.
pub fn linear(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let is_apart = if call.are_one_number([1, 2]) {
        true
    } else {
        let axis = call.axis(1, tensor.rank())?;
        // Blocks have scales in all dimensions.
        let is_of_axis = call.tensor(1)?.rank() == 1;
        call.are_shared([1, 2]) && tensor.has_no_rows_along(&[axis]) && (is_of_axis || tensor.batch.is_none())
    };
    is_apart.then(|| tensor.alike())
}

/// `a, a_scale, a_zero, b, b_scale, b_zero, c_scale, c_zero`.
pub fn binary(call: &Call<'_>) -> Option<Tensor> {
    let tensor = joined(&[call.tensor(0)?, call.tensor(3)?], call.symbols)?;
    call.are_one_number([1, 2, 4, 5, 6, 7]).then_some(tensor)
}

/// `x, x_scale, x_zero, y_scale, y_zero`.
pub fn unary(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    call.are_one_number(1..5).then(|| tensor.alike())
}

/// Like that, and of the operator set that the attribute says.
pub fn softmax(call: &Call<'_>) -> Option<Tensor> {
    let tensor = unary(call)?;
    let is_along_one = call.number("opset")? >= 13;
    let first = call.axis(if is_along_one { -1 } else { 1 }, tensor.rank())?;
    let over: Vec<usize> = if is_along_one { vec![first] } else { (first..tensor.rank()).collect() };
    tensor.has_no_rows_along(&over).then_some(tensor)
}

/// `y_scale, y_zero`, then `x, x_scale, x_zero` of each.
pub fn concat(call: &Call<'_>) -> Option<Tensor> {
    let count = call.inputs.len().checked_sub(2)? / 3;
    let tensors = (0..count).map(|index| call.tensor(2 + 3 * index)).collect::<Option<Vec<_>>>()?;
    let scales = (0..count).flat_map(|index| [3 + 3 * index, 4 + 3 * index]);
    let is_apart = call.are_one_number([0, 1].into_iter().chain(scales));
    let axis = call.axis(0, tensors.first()?.rank())?;
    is_apart.then(|| concatenated(&tensors, axis, call.symbols)).flatten()
}

/// `condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero`.
pub fn choice(call: &Call<'_>) -> Option<Tensor> {
    let tensor = joined(&[call.tensor(0)?, call.tensor(1)?, call.tensor(4)?], call.symbols)?;
    call.are_one_number([2, 3, 5, 6, 7, 8]).then_some(tensor)
}
