//! Networks that go along a sequence: `RNN`, `GRU`, `LSTM`.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Batch, Tensor};
use crate::engine::row_wise::size::Size;

/// Sequences, weights, recurrent weights, bias, lengths, and so many states; of an `LSTM` peepholes besides.
///
/// By the layout 0 of dimensions sequences are [time, row, feature], outputs [time, direction, row, feature], states [direction, row,
/// feature]; by 1 rows are in front.
pub fn outputs(call: &Call<'_>, states: usize) -> Option<Vec<Tensor>> {
    const LENGTHS: usize = 4;
    const FIRST_STATE: usize = 5;
    let sequences = call.tensor(0).filter(|sequences| sequences.rank() == 3)?;
    let rows_first = call.is_set("layout");
    let (row_axis, time_axis) = if rows_first { (0, 1) } else { (1, 0) };
    let Batch { axis, .. } = sequences.batch.as_ref()?;
    if *axis != row_axis || !call.are_shared([1, 2, 3]) || !call.are_shared_from(FIRST_STATE + states) {
        return None;
    }
    let batch = |axis: usize| sequences.batch.as_ref().map(|batch| batch.at(axis));
    let is_fit = |index: usize, axis: usize| !call.is_given(index) || call.has_rows_like(index, &batch(axis));
    let state_axis = if rows_first { 0 } else { 1 };
    if !is_fit(LENGTHS, 0) || !(FIRST_STATE..FIRST_STATE + states).all(|index| is_fit(index, state_axis)) {
        return None;
    }
    let (rows, time) = (sequences.dims[row_axis].clone(), sequences.dims[time_axis].clone());
    let directions = Size::of(if call.text("direction") == Some("bidirectional") { 2 } else { 1 });
    let features = match call.number("hidden_size") {
        Some(size) => Size::of(size),
        None => call.tensor(2)?.dims.last()?.clone(),
    };
    let (whole, state) = if rows_first {
        let whole = vec![rows.clone(), time, directions.clone(), features.clone()];
        (Tensor::new(whole, batch(0)), Tensor::new(vec![rows, directions, features], batch(0)))
    } else {
        let whole = vec![time, directions.clone(), rows.clone(), features.clone()];
        (Tensor::new(whole, batch(2)), Tensor::new(vec![directions, rows, features], batch(1)))
    };
    Some(std::iter::once(whole).chain(std::iter::repeat_n(state, states)).collect())
}
