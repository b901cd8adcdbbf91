//! How far two answers are apart.

use ndarray::ArrayD;
use scoria::tensor::{Element, Tensor};

/// How far two tensors are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Difference {
    /// The same bits.
    None,
    /// The same but for floats, of which two are this far apart.
    Floats { absolute: f64 },
    /// Of another type or shape, another integer or text, or a number in place of none.
    Other,
}

/// Compares two tensors. One NaN is like another.
pub fn difference(a: &Tensor, b: &Tensor) -> Difference {
    fn exact<T: Element + PartialEq>(a: &ArrayD<T>, b: &Tensor) -> Difference {
        if T::array(b).is_some_and(|b| a == b) { Difference::None } else { Difference::Other }
    }
    fn floats<T: Element + Copy + Into<f64>>(a: &ArrayD<T>, b: &Tensor) -> Difference {
        let Some(b) = T::array(b).filter(|b| a.shape() == b.shape()) else { return Difference::Other };
        let (mut absolute, mut is_same) = (0f64, true);
        for (&a, &b) in a.iter().zip(b) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
                continue;
            }
            let apart = (a - b).abs();
            // NaN in one, or an infinity in one or of two signs.
            if !apart.is_finite() {
                return Difference::Other;
            }
            is_same = false;
            absolute = absolute.max(apart);
        }
        if is_same { Difference::None } else { Difference::Floats { absolute } }
    }
    match a {
        Tensor::F16(a) => floats(a, b),
        Tensor::BF16(a) => floats(a, b),
        Tensor::F32(a) => floats(a, b),
        Tensor::F64(a) => floats(a, b),
        Tensor::Bool(a) => exact(a, b),
        Tensor::I8(a) => exact(a, b),
        Tensor::I16(a) => exact(a, b),
        Tensor::I32(a) => exact(a, b),
        Tensor::I64(a) => exact(a, b),
        Tensor::U8(a) => exact(a, b),
        Tensor::U16(a) => exact(a, b),
        Tensor::U32(a) => exact(a, b),
        Tensor::U64(a) => exact(a, b),
        Tensor::String(a) => exact(a, b),
    }
}
