//! Attention, as it is written as one operator.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Batch, Tensor};
use crate::engine::row_wise::size::Size;

use super::elementwise::is_same_for_rows;

/// Whether an input is left out, has rows in front like these, or is the same for each of so many dimensions. A list of one number
/// for each row is where it ends.
fn is_fit(call: &Call<'_>, index: usize, batch: &Option<Batch>, rank: usize) -> bool {
    let has_rows = matches!(batch, Some(Batch { axis: 0, .. })) && call.has_rows_like(index, batch);
    !call.is_given(index) || has_rows || is_same_for_rows(call, index, rank, Some(0))
}

fn with_last(tensor: &Tensor, size: Size) -> Tensor {
    let mut dims = tensor.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = size;
    }
    Tensor::new(dims, tensor.batch.clone())
}

/// Queries, keys, values, a mask, earlier keys and values: `Attention` of ONNX.
pub fn standard(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let queries = call.rows_first(0)?;
    let are_rows = (1..3).all(|index| call.has_rows_like(index, &queries.batch));
    let are_earlier = (4..6).all(|index| !call.is_given(index) || call.has_rows_like(index, &queries.batch));
    let has_lengths = !call.is_given(6) || call.has_rows_like(6, &queries.batch);
    if !are_rows || !are_earlier || !has_lengths || !is_fit_mask(call, 3, &queries.batch) {
        return None;
    }
    let heads = |index: usize, name: &str| {
        let tensor = call.tensor(index)?;
        match tensor.rank() {
            3 => Some((Size::of(call.number(name)?), tensor.dims[2].divided_by(&Size::of(call.number(name)?)))),
            4 => Some((tensor.dims[1].clone(), Some(tensor.dims[3].clone()))),
            _ => None,
        }
    };
    let (query_heads, _) = heads(0, "q_num_heads")?;
    let (value_heads, value_size) = heads(2, "kv_num_heads")?;
    let value_size = value_size.unwrap_or_else(|| call.symbols.size());
    let result = match queries.rank() {
        3 => with_last(queries, query_heads.times(&value_size)?),
        _ => with_last(queries, value_size.clone()),
    };
    let rows = queries.dims[0].clone();
    let kept = |size: Size| {
        Tensor::new(vec![rows.clone(), value_heads.clone(), call.symbols.size(), size], queries.batch.clone())
    };
    let scores = vec![rows.clone(), query_heads, call.symbols.size(), call.symbols.size()];
    let scores = Tensor::new(scores, queries.batch.clone());
    Some(vec![result, kept(call.symbols.size()), kept(value_size), scores])
}

/// A mask has four dimensions, or fewer that are the same for each row.
fn is_fit_mask(call: &Call<'_>, index: usize, batch: &Option<Batch>) -> bool {
    let has_rows = call.has_rows_like(index, batch) && call.tensor(index).is_some_and(|mask| mask.rank() == 4);
    !call.is_given(index) || has_rows || is_same_for_rows(call, index, 4, Some(0))
}

/// `Attention` of ONNX Runtime: input, weights, bias, mask, earlier keys and values, a bias of the scores.
pub fn packed(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let rows = call.rows_first(0).filter(|rows| rows.rank() == 3)?;
    let weights = call.shared(1).filter(|weights| weights.rank() == 2)?;
    let has_earlier = call.is_given(4) || call.is_given(6);
    if has_earlier || !call.is_shared(2) || !is_fit(call, 3, &rows.batch, 0) || !is_fit_mask(call, 5, &rows.batch) {
        return None;
    }
    let width = match call.attribute("qkv_hidden_sizes").and_then(|attribute| attribute.ints.get(2)) {
        Some(&size) => Size::of(size),
        None => weights.dims[1].divided_by(&Size::of(3)).unwrap_or_else(|| call.symbols.size()),
    };
    Some(vec![with_last(rows, width)])
}

/// With weights of 8 bits: input, weights, bias, their scales, mask, zero points, earlier keys and values.
pub fn quantized(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let rows = call.rows_first(0).filter(|rows| rows.rank() == 3)?;
    let weights = call.shared(1).filter(|weights| weights.rank() == 2)?;
    let are_shared = call.are_shared([2, 3, 4, 6, 7]) && !call.is_given(8);
    let width = weights.dims[1].divided_by(&Size::of(3)).unwrap_or_else(|| call.symbols.size());
    (are_shared && is_fit(call, 5, &rows.batch, 0)).then(|| vec![with_last(rows, width)])
}

/// Queries, keys, values, bias, a mask of keys, a bias of the scores.
pub fn multi_head(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let queries = call.rows_first(0)?;
    let is_of_rows = |index: usize| !call.is_given(index) || call.has_rows_like(index, &queries.batch);
    let has_rest = (6..call.inputs.len()).any(|index| call.is_given(index));
    let is_apart = is_of_rows(1) && is_of_rows(2) && call.is_shared(3) && is_fit(call, 4, &queries.batch, 0);
    if has_rest || !is_apart || !is_fit_mask(call, 5, &queries.batch) || call.node.output.len() > 1 {
        return None;
    }
    match (queries.rank(), call.tensor(2)) {
        // All three in one: rows, time, heads, three, width.
        (5, None) => {
            let [rows, time, heads, _, width] = queries.dims.as_slice() else { return None };
            let dims = vec![rows.clone(), time.clone(), heads.times(width)?];
            Some(vec![Tensor::new(dims, queries.batch.clone())])
        }
        (3, Some(values)) => {
            let width = match values.dims.as_slice() {
                [_, _, width] => width.clone(),
                [_, heads, _, width] => heads.times(width)?,
                _ => return None,
            };
            Some(vec![with_last(queries, width)])
        }
        // Keys and values in one: rows, time, heads, two, width.
        (3, None) => Some(vec![queries.alike()]),
        _ => None,
    }
}

/// Positions turn what they are of; `inputs` are the places of positions, cosines and sines among the inputs.
pub fn rotary(call: &Call<'_>, [positions, cosines, sines]: [usize; 3]) -> Option<Tensor> {
    let tensor = call.rows_first(0)?;
    let has_positions = call.is_shared(positions) || call.has_rows_like(positions, &tensor.batch);
    // One position is where all rows begin; of several, each row has its own.
    let is_of_all = call.tensor(positions).is_none_or(|list| list.batch.is_some() || list.rank() < 2);
    let caches = [cosines, sines];
    let are_tables =
        call.are_shared(caches) && caches.iter().all(|&index| call.tensor(index).is_some_and(|t| t.rank() == 2));
    let are_of_rows = !call.is_given(positions) && caches.iter().all(|&index| call.has_rows_like(index, &tensor.batch));
    let is_apart = (has_positions && is_of_all && are_tables && call.is_given(positions)) || are_of_rows;
    is_apart.then(|| tensor.alike())
}
