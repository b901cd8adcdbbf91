//! How far two answers to one row are apart, and when that is rounding.
//!
//! Kernels for one row add up in another order than those for several. Whatever the order, the computed sum of n products is the
//! exact one of operands that are off by at most n units in the last place, relatively (Higham, *Accuracy and Stability of Numerical
//! Algorithms*, 2nd ed., 2002, §3.1). So what another order does to an answer is of the size of what such a shift of the operands
//! does to it: little where the computation is well conditioned, and anything where terms cancel out, or two scores are as good as
//! equal. [`nudged`] makes that shift, so that a row can be its own measure.

use ndarray::ArrayD;

use super::made_up::Numbers;
use crate::engine::Lookup;
use crate::tensor::{DType, Element, Tensor};

/// Two answers to one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Apart {
    /// The same bits, where one NaN is like another.
    Same,
    /// Floats: the greatest difference, and the greatest number of the first answer.
    Floats { absolute: f64, scale: f64 },
    /// Another integer: the greatest difference.
    Whole { absolute: f64 },
    /// Another text or flag, or a number in place of none.
    Other,
}

impl Apart {
    /// The difference relative to the greater of 1 and the row's greatest number; infinite where they are no floats.
    pub fn relative(self) -> f64 {
        match self {
            Apart::Same => 0.0,
            Apart::Floats { absolute, scale } => absolute / scale.max(1.0),
            Apart::Whole { .. } | Apart::Other => f64::INFINITY,
        }
    }

    /// The difference; infinite where it is none of numbers.
    pub fn absolute(self) -> f64 {
        match self {
            Apart::Same => 0.0,
            Apart::Floats { absolute, .. } | Apart::Whole { absolute } => absolute,
            Apart::Other => f64::INFINITY,
        }
    }
}

/// What a difference of well-conditioned answers may be, relative to the row's greatest number.
pub(super) fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 | DType::BF16 => 2e-2,
        DType::F64 => 1e-10,
        _ => 1e-4,
    }
}

/// The same of a model that may compute with 16 bits inside, or round to steps of 8.
pub(super) const COARSE_TOLERANCE: f64 = 2e-2;

/// Row by row along the first dimension; `None` if the two differ in type or shape.
pub(super) fn apart(alone: &Tensor, joined: &Tensor) -> Option<Vec<Apart>> {
    fn exact<T: Element + PartialEq>(a: &ArrayD<T>, b: &Tensor) -> Option<Vec<Apart>> {
        rows(a, b, |a, b| if a == b { Apart::Same } else { Apart::Other })
    }
    fn whole<T: Element + Copy + Into<i128>>(a: &ArrayD<T>, b: &Tensor) -> Option<Vec<Apart>> {
        rows(a, b, |a, b| {
            let most = a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).abs()).max();
            most.filter(|most| *most > 0).map_or(Apart::Same, |most| Apart::Whole { absolute: most as f64 })
        })
    }
    fn floats<T: Element + Copy + Into<f64>>(a: &ArrayD<T>, b: &Tensor) -> Option<Vec<Apart>> {
        rows(a, b, |a, b| of_floats(a.iter().map(|&a| a.into()).zip(b.iter().map(|&b| b.into()))))
    }
    match alone {
        Tensor::F16(a) => floats(a, joined),
        Tensor::BF16(a) => floats(a, joined),
        Tensor::F32(a) => floats(a, joined),
        Tensor::F64(a) => floats(a, joined),
        Tensor::Bool(a) => exact(a, joined),
        Tensor::I8(a) => whole(a, joined),
        Tensor::I16(a) => whole(a, joined),
        Tensor::I32(a) => whole(a, joined),
        Tensor::I64(a) => whole(a, joined),
        Tensor::U8(a) => whole(a, joined),
        Tensor::U16(a) => whole(a, joined),
        Tensor::U32(a) => whole(a, joined),
        Tensor::U64(a) => whole(a, joined),
        Tensor::String(a) => exact(a, joined),
    }
}

fn rows<T: Element>(a: &ArrayD<T>, b: &Tensor, compare: impl Fn(&[T], &[T]) -> Apart) -> Option<Vec<Apart>> {
    let b = T::array(b).filter(|b| b.shape() == a.shape())?;
    let rows = *a.shape().first()?;
    let length = a.len().checked_div(rows).unwrap_or(0);
    let (a, b) = (a.as_slice()?, b.as_slice()?);
    Some((0..rows).map(|row| compare(&a[row * length..][..length], &b[row * length..][..length])).collect())
}

fn of_floats(pairs: impl Iterator<Item = (f64, f64)>) -> Apart {
    let (mut absolute, mut scale, mut is_same) = (0f64, 0f64, true);
    for (a, b) in pairs {
        if a.is_finite() {
            scale = scale.max(a.abs());
        }
        if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
            continue;
        }
        let apart = (a - b).abs();
        // NaN in one, or an infinity in one or of two signs.
        if !apart.is_finite() {
            return Apart::Other;
        }
        is_same = false;
        absolute = absolute.max(apart);
    }
    if is_same { Apart::Same } else { Apart::Floats { absolute, scale } }
}

/// How far inputs are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nudge {
    /// By what sums of some dozen to a thousand terms round, in the input's own type.
    Fine,
    /// By what 16-bit floats round.
    Coarse,
}

impl Nudge {
    fn relative(self, dtype: DType) -> f64 {
        let fine: f64 = match dtype {
            DType::F64 => 2f64.powi(-47),
            DType::F16 => 2f64.powi(-9),
            DType::BF16 => 2f64.powi(-6),
            // Integers are computed with as float32.
            _ => 2f64.powi(-19),
        };
        if self == Nudge::Coarse { fine.max(2f64.powi(-9)) } else { fine }
    }
}

/// The inputs with every number moved a little, up or down by chance. What is looked up keeps its place.
pub(super) fn nudged(inputs: &[Tensor], lookups: &[Lookup], nudge: Nudge, random: &mut Numbers) -> Vec<Tensor> {
    fn whole<T: Element + Copy>(
        array: &ArrayD<T>,
        mut moved: impl FnMut(f64) -> f64,
        to: impl Fn(T) -> f64,
        add: impl Fn(T, f64) -> T,
    ) -> Tensor {
        T::wrap(array.mapv(|number| {
            let value = to(number);
            add(number, (moved(value) - value).trunc())
        }))
    }
    let inputs = inputs.iter().enumerate().map(|(index, input)| {
        if lookups.iter().any(|lookup| lookup.input == index) {
            return input.clone();
        }
        let by = nudge.relative(input.dtype());
        let mut moved = |value: f64| value * (1.0 + if random.float() < 0.0 { -by } else { by });
        match input {
            Tensor::F16(a) => Tensor::F16(a.mapv(|a| half::f16::from_f64(moved(a.to_f64())))),
            Tensor::BF16(a) => Tensor::BF16(a.mapv(|a| half::bf16::from_f64(moved(a.to_f64())))),
            Tensor::F32(a) => Tensor::F32(a.mapv(|a| moved(a.into()) as f32)),
            Tensor::F64(a) => Tensor::F64(a.mapv(moved)),
            Tensor::I32(a) => whole(a, moved, f64::from, |a, by| a.saturating_add(by as i32)),
            Tensor::I64(a) => whole(a, moved, |a| a as f64, |a, by| a.saturating_add(by as i64)),
            Tensor::U32(a) => whole(a, moved, f64::from, |a, by| a.saturating_add_signed(by as i32)),
            Tensor::U64(a) => whole(a, moved, |a| a as f64, |a, by| a.saturating_add_signed(by as i64)),
            other => other.clone(),
        }
    });
    inputs.collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{IxDyn, arr1};

    use super::*;
    use crate::splitmix::SplitMix64;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::F32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
    }

    #[test]
    fn each_row_is_compared_by_itself_and_one_nan_is_like_another() {
        let a = floats(&[3, 2], &[1.0, f32::NAN, 200.0, 1.0, 1.0, 2.0]);
        assert_eq!(apart(&a, &a), Some(vec![Apart::Same; 3]));
        let b = floats(&[3, 2], &[1.5, f32::NAN, 200.0, 2.0, f32::INFINITY, 2.0]);
        let floats_apart = |absolute, scale| Apart::Floats { absolute, scale };
        assert_eq!(apart(&a, &b), Some(vec![floats_apart(0.5, 1.0), floats_apart(1.0, 200.0), Apart::Other]));
        assert_eq!(floats_apart(1.0, 200.0).relative(), 1.0 / 200.0);
        assert_eq!(floats_apart(0.5, 0.1).relative(), 0.5);
        for other in [floats(&[2, 3], &[1.0; 6]), Tensor::F64(ArrayD::zeros(IxDyn(&[3, 2])))] {
            assert_eq!(apart(&a, &other), None);
        }
        let whole = |values: &[u64]| Tensor::U64(arr1(values).into_dyn());
        let found = apart(&whole(&[1, u64::MAX]), &whole(&[1, 0])).unwrap();
        assert_eq!(found, [Apart::Same, Apart::Whole { absolute: u64::MAX as f64 }]);
    }

    #[test]
    fn numbers_are_moved_by_what_their_type_rounds_and_places_stay() {
        let lookups = [Lookup { input: 2, places: 1 << 40 }];
        let large = || Tensor::I64(arr1(&[1i64 << 30, 3]).into_dyn());
        let inputs = [floats(&[2], &[1e4, 0.0]), large(), large()];
        let moved = nudged(&inputs, &lookups, Nudge::Fine, &mut Numbers(SplitMix64::new(1)));
        let [Tensor::F32(first), Tensor::I64(second), third] = moved.as_slice() else { panic!("the same types") };
        let by = (f64::from(first[0]) / 1e4 - 1.0).abs();
        assert!((1e-6..3e-6).contains(&by) && first[1] == 0.0, "{by}");
        assert!((second[0] - (1 << 30)).abs() == 1 << 11 && second[1] == 3, "{second}");
        assert_eq!(third, &inputs[2]);
    }
}
