//! Operators that make each element of those at the same place, with dimensions of 1 repeated.

use crate::engine::row_wise::call::Call;
use crate::engine::row_wise::known::{Known, Tensor};
use crate::engine::row_wise::size::{Size, Symbols};

/// In alphabetical order.
const LISTED: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitCast",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "RegexFullMatch",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "StringConcat",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Where",
    "Xor",
];

pub fn is_listed(op: &str) -> bool {
    LISTED.binary_search(&op).is_ok()
}

/// Before version 7, attributes said which dimensions are repeated, and how.
pub fn outputs(call: &Call<'_>) -> Option<Vec<Tensor>> {
    if call.attribute("broadcast").is_some() || call.attribute("axis").is_some() {
        return None;
    }
    match call.op() {
        "Dropout" => (!is_training(call)).then(|| kept(call)).flatten(),
        // The inputs after the first say a range or a type.
        "Clip" | "CastLike" => kept_by(call, 1),
        // Each element decides for itself; the slope is only repeated.
        "PRelu" => {
            let tensor = broadcast(call, 0..2)?;
            (tensor.rank() == call.tensor(0)?.rank()).then(|| vec![tensor])
        }
        // Before version 8, dimensions of 1 were not repeated, so that one row goes with what several do not.
        "Max" | "Min" | "Mean" | "Sum" if call.version < 8 => {
            let first = call.tensor(0)?;
            let is_alike = |index: usize| {
                call.tensor(index).is_some_and(|tensor| tensor.dims == first.dims && tensor.batch == first.batch)
            };
            (0..call.inputs.len()).all(is_alike).then(|| vec![first.alike()])
        }
        _ => Some(vec![broadcast(call, 0..call.inputs.len())?]),
    }
}

/// An activation with a bias.
pub fn fused(call: &Call<'_>) -> Option<Tensor> {
    broadcast(call, 0..call.inputs.len())
}

/// Of `Dropout`, which then draws lots.
pub fn is_training(call: &Call<'_>) -> bool {
    if call.op() != "Dropout" {
        return false;
    }
    let is_off = match call.numbers(2) {
        Some(mode) => mode == [0],
        None => !call.is_given(2),
    };
    !is_off || (call.version < 7 && !call.is_set("is_test"))
}

fn kept(call: &Call<'_>) -> Option<Vec<Tensor>> {
    let tensor = call.tensor(0)?;
    let plain = || tensor.alike();
    call.are_shared_from(1).then(|| vec![plain(), plain()])
}

fn kept_by(call: &Call<'_>, others: usize) -> Option<Vec<Tensor>> {
    let tensor = call.tensor(0)?;
    let are_fit = call.op() == "CastLike" || call.are_shared_from(others);
    are_fit.then(|| vec![tensor.alike()])
}

/// Inputs that meet element by element. `None` where rows would meet something else than rows.
pub fn broadcast(call: &Call<'_>, indices: std::ops::Range<usize>) -> Option<Tensor> {
    let tensors: Vec<&Tensor> =
        indices.filter(|&index| call.is_given(index)).map(|index| call.tensor(index)).collect::<Option<_>>()?;
    joined(&tensors, call.symbols)
}

/// [`broadcast`] of these.
pub fn joined(tensors: &[&Tensor], symbols: &Symbols) -> Option<Tensor> {
    let rank = tensors.iter().map(|tensor| tensor.rank()).max()?;
    // Dimensions are aligned at the last.
    let place = |tensor: &Tensor, axis: usize| (axis + tensor.rank()).checked_sub(rank);
    let with_rows = tensors.iter().find_map(|tensor| tensor.batch.as_ref().map(|batch| (tensor, batch)));
    let batch = with_rows.map(|(tensor, batch)| batch.at(batch.axis + rank - tensor.rank()));
    let mut dims = vec![Size::ONE; rank];
    for (axis, dim) in dims.iter_mut().enumerate() {
        let is_batch = batch.as_ref().is_some_and(|batch| batch.axis == axis);
        for tensor in tensors {
            let Some(place) = place(tensor, axis) else { continue };
            let size = &tensor.dims[place];
            let has_rows_here = tensor.axis_of_rows() == Some(place);
            let is_fit = match (is_batch, &tensor.batch, &batch) {
                (true, Some(own), Some(batch)) if has_rows_here => own.is_like(batch),
                (true, ..) => size.is(1),
                (false, ..) => !has_rows_here,
            };
            if !is_fit {
                return None;
            }
            *dim = larger(dim, size, symbols);
        }
    }
    Some(Tensor::new(dims, batch))
}

/// The size of two that meet, of which one may be 1.
pub fn larger(a: &Size, b: &Size, symbols: &Symbols) -> Size {
    match (a.known(), b.known()) {
        _ if a == b => a.clone(),
        (Some(1), _) => b.clone(),
        (_, Some(1)) => a.clone(),
        // A size other than 1 decides.
        (Some(_), _) => a.clone(),
        (_, Some(_)) => b.clone(),
        (None, None) if a.has_rows() => a.clone(),
        (None, None) if b.has_rows() => b.clone(),
        (None, None) => symbols.size_from("broadcast", &[a.min(b), a.max(b)]),
    }
}

/// Whether an input is left out, or the same for each row of a tensor of this rank at `axis`: it is shared, and has no dimension
/// there but of 1.
pub fn is_same_for_rows(call: &Call<'_>, index: usize, rank: usize, axis: Option<usize>) -> bool {
    let (Some(known), Some(axis)) = (call.input(index), axis) else { return call.is_shared(index) };
    match known {
        Known::Tensor(tensor) if tensor.is_shared() => {
            let place = (axis + tensor.rank()).checked_sub(rank);
            tensor.rank() <= rank && place.is_none_or(|place| tensor.dims[place].is(1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(LISTED.is_sorted());
    }
}
