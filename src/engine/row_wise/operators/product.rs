//! Products of matrices, and what is computed like them.

use std::collections::HashSet;

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Batch, Tensor};
use crate::engine::row_wise::size::Size;

use super::elementwise::{is_same_for_rows, joined, larger};
use super::layout::permuted;

pub fn matmul(call: &Call<'_>) -> Option<Tensor> {
    multiplied(call.tensor(0)?, call.tensor(1)?, call)
}

/// A product of matrices along the last two dimensions; those before them are of independent products. A vector is a matrix of one
/// row, or of one column, which the result has not.
fn multiplied(left: &Tensor, right: &Tensor, call: &Call<'_>) -> Option<Tensor> {
    if left.rank() == 0 || right.rank() == 0 {
        return None;
    }
    let (is_row, is_column) = (left.rank() == 1, right.rank() == 1);
    let left = if is_row { with_dim(left, 0) } else { left.clone() };
    let right = if is_column { with_dim(right, 1) } else { right.clone() };
    let (height, width) = (left.rank() - 2, right.rank() - 1);
    // Along these dimensions products are summed up.
    if !left.has_no_rows_along(&[left.rank() - 1]) || !right.has_no_rows_along(&[right.rank() - 2]) {
        return None;
    }
    let of_left = left.batch.as_ref().filter(|batch| batch.axis == height);
    let of_right = right.batch.as_ref().filter(|batch| batch.axis == width);
    let outside = |tensor: &Tensor, is_inside: bool| {
        let dims = tensor.dims[..tensor.rank() - 2].to_vec();
        Tensor::new(dims, tensor.batch.clone().filter(|_| !is_inside))
    };
    let outer = joined(&[&outside(&left, of_left.is_some()), &outside(&right, of_right.is_some())], call.symbols)?;
    let rank = outer.rank() + 2;
    let batch = match (&outer.batch, of_left, of_right) {
        (batch, None, None) => batch.clone(),
        (None, Some(batch), None) => Some(batch.at(rank - 2)),
        (None, None, Some(batch)) => Some(batch.at(rank - 1)),
        _ => return None,
    };
    let dims = outer.dims.into_iter().chain([left.dims[height].clone(), right.dims[width].clone()]).collect();
    let mut result = Tensor::new(dims, batch);
    if is_column {
        result = without_one(&result, rank - 1)?;
    }
    if is_row {
        let place = result.rank().checked_sub(if is_column { 1 } else { 2 })?;
        result = without_one(&result, place)?;
    }
    Some(result)
}

fn with_dim(tensor: &Tensor, at: usize) -> Tensor {
    let mut dims = tensor.dims.clone();
    dims.insert(at, Size::ONE);
    let moved = |batch: &Batch| if batch.axis >= at { batch.at(batch.axis + 1) } else { batch.clone() };
    Tensor::new(dims, tensor.batch.as_ref().map(moved))
}

fn without_one(tensor: &Tensor, at: usize) -> Option<Tensor> {
    tensor.has_no_rows_along(&[at]).then(|| super::reduction::without(tensor, &[at]))
}

fn last_two_swapped(tensor: &Tensor) -> Option<Tensor> {
    let mut order: Vec<usize> = (0..tensor.rank()).collect();
    let last = order.len().checked_sub(2)?;
    order.swap(last, last + 1);
    permuted(tensor, &order)
}

/// The first two inputs as matrices, transposed where the attributes say so, multiplied, and the third added.
pub fn gemm(call: &Call<'_>) -> Option<Tensor> {
    let matrix = |index: usize, flag: &str| {
        let tensor = call.tensor(index).filter(|tensor| tensor.rank() == 2)?;
        if call.is_set(flag) { last_two_swapped(tensor) } else { Some(tensor.clone()) }
    };
    let result = multiplied(&matrix(0, "transA")?, &matrix(1, "transB")?, call)?;
    if !call.is_given(2) {
        return Some(result);
    }
    let sum = joined(&[&result, call.tensor(2)?], call.symbols)?;
    (sum.rank() == 2 && sum.batch == result.batch).then_some(sum)
}

pub fn fused_matmul(call: &Call<'_>) -> Option<Tensor> {
    if call.is_set("transBatchA") || call.is_set("transBatchB") || call.is_given(2) {
        return None;
    }
    let matrix = |index: usize, flag: &str| {
        let tensor = call.tensor(index)?;
        if call.is_set(flag) && tensor.rank() >= 2 { last_two_swapped(tensor) } else { Some(tensor.clone()) }
    };
    multiplied(&matrix(0, "transA")?, &matrix(1, "transB")?, call)
}

/// A zero point of the rows is one for all; those of the columns are the weights' own.
pub fn matmul_integer(call: &Call<'_>) -> Option<Tensor> {
    (call.are_one_number([2]) && call.is_shared(3)).then(|| matmul(call)).flatten()
}

/// `a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero`.
pub fn qlinear_matmul(call: &Call<'_>) -> Option<Tensor> {
    let are_for_all = call.are_one_number([1, 2, 6, 7]);
    let result = multiplied(call.tensor(0)?, call.tensor(3)?, call)?;
    let is_of_columns = call.are_shared([4, 5]) && (call.shared(3).is_some() || call.are_one_number([4, 5]));
    (are_for_all && is_of_columns).then_some(result)
}

/// `a, b, a_scale, b_scale, a_zero, b_zero, bias`.
pub fn matmul_integer_to_float(call: &Call<'_>) -> Option<Tensor> {
    let are_for_all = call.are_one_number([2, 4]);
    let are_weights = call.shared(1).is_some() && call.are_shared([3, 5, 6]);
    (are_for_all && are_weights).then(|| matmul(call)).flatten()
}

/// `a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero`.
pub fn qgemm(call: &Call<'_>) -> Option<Tensor> {
    let are_for_all = call.are_one_number([1, 2, 7, 8]);
    let rows = call.rows_first(0).filter(|rows| rows.rank() == 2)?;
    let weights = call.shared(3).filter(|weights| weights.rank() == 2)?;
    let has_bias_of_columns = is_same_for_rows(call, 6, 2, Some(0));
    if !are_for_all || !has_bias_of_columns || call.is_set("transA") || !call.are_shared([4, 5]) {
        return None;
    }
    let width = weights.dims[if call.is_set("transB") { 0 } else { 1 }].clone();
    Some(Tensor::new(vec![rows.dims[0].clone(), width], rows.batch.clone()))
}

/// Weights of few bits, whose shape the attributes have. Where rows are rounded, each block of a row is by itself.
pub fn matmul_blockwise(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let last = tensor.rank().checked_sub(1)?;
    let width = call.number("N")?;
    if !tensor.has_no_rows_along(&[last]) || !call.are_shared_from(1) {
        return None;
    }
    let mut dims = tensor.dims.clone();
    dims[last] = Size::of(width);
    Some(Tensor::new(dims, tensor.batch.clone()))
}

pub fn determinant(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let last = tensor.rank().checked_sub(2)?;
    let is_apart = tensor.has_no_rows_along(&[last, last + 1]);
    is_apart.then(|| super::reduction::without(tensor, &[last, last + 1]))
}

pub fn inverse(call: &Call<'_>) -> Option<Tensor> {
    let tensor = call.tensor(0)?;
    let last = tensor.rank().checked_sub(2)?;
    let is_apart = tensor.has_no_rows_along(&[last, last + 1]);
    is_apart.then(|| tensor.alike())
}

/// The distances of each row from others, which are the same for all rows.
pub fn distances(call: &Call<'_>) -> Option<Tensor> {
    let rows = call.rows_first(0).filter(|rows| rows.rank() == 2)?;
    let others = call.shared(1).filter(|others| others.rank() == 2)?;
    Some(Tensor::new(vec![rows.dims[0].clone(), others.dims[0].clone()], rows.batch.clone()))
}

/// Dimensions by letters: that of the rows is one letter in all inputs with rows and in the output, and in no other input.
pub fn einsum(call: &Call<'_>) -> Option<Tensor> {
    let equation: String = call.text("equation")?.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (inputs, output) = equation.split_once("->")?;
    let texts: Vec<&str> = inputs.split(',').collect();
    let tensors = (0..call.inputs.len()).map(|index| call.tensor(index)).collect::<Option<Vec<_>>>()?;
    if texts.len() != tensors.len() {
        return None;
    }
    let open = |text: &str, rank: usize| rank.checked_sub(text.chars().filter(|letter| *letter != '.').count());
    let counts = texts.iter().zip(&tensors).map(|(text, tensor)| open(text, tensor.rank()));
    let counts = counts.collect::<Option<Vec<_>>>()?;
    let terms = texts.iter().zip(&counts).map(|(text, &count)| letters(text, count)).collect::<Option<Vec<_>>>()?;
    let output = letters(output, if output.contains('.') { counts.into_iter().max()? } else { 0 })?;
    let mut rows: Option<(char, &Batch)> = None;
    for (term, tensor) in terms.iter().zip(&tensors) {
        if let Some(batch) = &tensor.batch {
            let letter = term[batch.axis];
            let (expected, first) = *rows.get_or_insert((letter, batch));
            if letter != expected || !batch.is_like(first) {
                return None;
            }
        }
    }
    let is_elsewhere = |letter: char| {
        let mut shared = terms.iter().zip(&tensors).filter(|(_, tensor)| tensor.batch.is_none());
        shared.any(|(term, _)| term.contains(&letter))
    };
    let batch = match rows {
        Some((letter, _)) if is_elsewhere(letter) => return None,
        Some((letter, batch)) => Some(batch.at(output.iter().position(|&other| other == letter)?)),
        None => None,
    };
    let size = |letter: &char| {
        let sizes = terms.iter().zip(&tensors).filter_map(|(term, tensor)| {
            let place = term.iter().position(|other| other == letter)?;
            Some(&tensor.dims[place])
        });
        sizes.cloned().reduce(|so_far, size| larger(&so_far, &size, call.symbols))
    };
    Some(Tensor::new(output.iter().map(size).collect::<Option<Vec<_>>>()?, batch))
}

/// The letter of each dimension, each once. The dimensions that three dots stand for are aligned at their last, and so have digits from
/// there on.
fn letters(term: &str, open: usize) -> Option<Vec<char>> {
    let digits: String =
        (0..u32::try_from(open).ok()?).rev().map(|place| char::from_digit(place, 10)).collect::<Option<_>>()?;
    let letters: Vec<char> = term.replacen("...", &digits, 1).chars().collect();
    let distinct: HashSet<&char> = letters.iter().collect();
    let is_plain = letters.iter().all(char::is_ascii_alphanumeric) && distinct.len() == letters.len();
    (is_plain && (open == 0 || term.contains("..."))).then_some(letters)
}
