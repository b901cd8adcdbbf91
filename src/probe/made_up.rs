//! Inputs made up from a signature: the same ones every time.

use ndarray::{ArrayD, IxDyn};

use crate::splitmix::SplitMix64;
use crate::tensor::{DType, Dim, Element, Signature, Tensor, element_count};

/// How adventurous the values are. A model that looks things up takes few numbers, one that parses texts few texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Floats from -1 to 1, integers from 0 to 3, either flag, letters.
    Varied,
    /// Integers 0 and 1, digits for texts.
    Narrow,
    /// 0, `false`, and the empty text.
    Zero,
}

impl Values {
    /// The most telling first.
    pub(super) const ALL: [Values; 3] = [Values::Varied, Values::Narrow, Values::Zero];
}

/// A shape for each input, of one row if the input has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shapes(Vec<Vec<usize>>);

impl Shapes {
    /// The declared ones; dynamic dimensions get `size`, a dynamic first one 1.
    pub(super) fn declared(signature: &Signature, size: usize) -> Shapes {
        let shape = |dims: &Option<Vec<Dim>>| {
            let dims = dims.iter().flatten().enumerate().map(|(axis, dim)| match dim {
                Dim::Fixed(size) => *size,
                Dim::Dynamic(_) if axis == 0 => 1,
                Dim::Dynamic(_) => size,
            });
            dims.collect()
        };
        Shapes(signature.inputs.iter().map(|input| shape(&input.dims)).collect())
    }

    /// Those of a request, cut to one row where the first dimension is dynamic.
    pub(super) fn of(signature: &Signature, inputs: &[Tensor]) -> Shapes {
        let shapes = signature.inputs.iter().zip(inputs).map(|(spec, input)| {
            let mut shape = input.shape().to_vec();
            if let (Some(rows), Some(Some(Dim::Dynamic(_)))) =
                (shape.first_mut(), spec.dims.as_ref().map(|dims| dims.first()))
            {
                *rows = 1;
            }
            shape
        });
        Shapes(shapes.collect())
    }

    /// One for each input, in the signature's order.
    pub(super) fn of_inputs(&self) -> impl Iterator<Item = &[usize]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Inputs of so many rows, each input's first dimension. `None` when they would have more than `max_elements`.
    pub(super) fn rows(
        &self,
        signature: &Signature,
        rows: usize,
        values: Values,
        seed: u64,
        max_elements: usize,
    ) -> Option<Vec<Tensor>> {
        let mut shapes = self.clone();
        shapes.0.iter_mut().filter_map(|shape| shape.first_mut()).for_each(|first| *first = rows);
        shapes.fill(signature, values, seed, max_elements)
    }

    /// Inputs of exactly these shapes. `None` when they would have more than `max_elements`.
    pub(super) fn fill(
        &self,
        signature: &Signature,
        values: Values,
        seed: u64,
        max_elements: usize,
    ) -> Option<Vec<Tensor>> {
        let mut counts = self.0.iter().map(|shape| element_count(shape));
        let total = counts.try_fold(0usize, |total, count| total.checked_add(count?))?;
        if total > max_elements {
            return None;
        }
        let mut random = Numbers(SplitMix64::new(seed));
        let tensors =
            signature.inputs.iter().zip(&self.0).map(|(input, shape)| fill(input.dtype, shape, values, &mut random));
        Some(tensors.collect())
    }
}

/// What a free dimension, but for the first, is in a request of common size: a sentence, or a small picture.
const TYPICAL_SIZE: usize = 32;

/// One row of common size, for telling what a model's runs take; `None` if the signature leaves no size open.
pub fn typical_inputs(signature: &Signature, max_elements: usize) -> Option<Vec<Tensor>> {
    let mut dims = signature.inputs.iter().flat_map(|input| input.dims.iter().flatten().skip(1));
    let shapes = dims.any(|dim| matches!(dim, Dim::Dynamic(_))).then(|| Shapes::declared(signature, TYPICAL_SIZE))?;
    shapes.fill(signature, Values::Narrow, 1, max_elements)
}

fn fill(dtype: DType, shape: &[usize], values: Values, random: &mut Numbers) -> Tensor {
    fn tensor<T: Element>(shape: &[usize], mut value: impl FnMut() -> T) -> Tensor {
        T::wrap(ArrayD::from_shape_simple_fn(IxDyn(shape), &mut value))
    }
    let mut whole = || match values {
        Values::Varied => random.below(4),
        Values::Narrow => random.below(2),
        Values::Zero => 0,
    };
    match dtype {
        DType::Bool => tensor(shape, || whole() & 1 == 1),
        DType::I8 => tensor(shape, || whole() as i8),
        DType::I16 => tensor(shape, || whole() as i16),
        DType::I32 => tensor(shape, || whole() as i32),
        DType::I64 => tensor(shape, || whole() as i64),
        DType::U8 => tensor(shape, || whole() as u8),
        DType::U16 => tensor(shape, || whole() as u16),
        DType::U32 => tensor(shape, || whole() as u32),
        DType::U64 => tensor(shape, &mut whole),
        DType::String => tensor(shape, || match values {
            Values::Varied => ["a", "b", "c", "d"][whole() as usize].to_owned(),
            Values::Narrow => whole().to_string(),
            Values::Zero => String::new(),
        }),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
            let mut float = || if values == Values::Zero { 0.0 } else { random.float() };
            match dtype {
                DType::F16 => tensor(shape, || half::f16::from_f64(float())),
                DType::BF16 => tensor(shape, || half::bf16::from_f64(float())),
                DType::F32 => tensor(shape, || float() as f32),
                _ => tensor(shape, float),
            }
        }
    }
}

/// Made-up numbers.
pub(super) struct Numbers(pub SplitMix64);

impl Numbers {
    /// For bounds that are powers of two.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.draw() >> 32 & (bound - 1)
    }

    /// Both ends included, if there is anything between them.
    pub(super) fn between(&mut self, low: i128, high: i128) -> i128 {
        let span = (high - low).max(0) as u128 + 1;
        low + ((u128::from(self.0.draw()) * span) >> 64) as i128
    }

    /// From -1 to 1.
    pub(super) fn float(&mut self) -> f64 {
        (self.0.draw() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::TensorSpec;

    fn signature(dtype: DType, dims: Option<Vec<Dim>>) -> Signature {
        let input = TensorSpec { name: "x".to_owned(), dtype, dims };
        Signature { inputs: vec![input], outputs: Vec::new() }
    }

    #[test]
    fn inputs_are_within_the_signature_and_the_same_every_time() {
        let dims = vec![Dim::Dynamic(Some("N".into())), Dim::Fixed(3), Dim::Dynamic(None)];
        for dtype in DType::ALL {
            let signature = signature(dtype, Some(dims.clone()));
            for values in Values::ALL {
                let make = |seed| Shapes::declared(&signature, 4).rows(&signature, 2, values, seed, 24).unwrap();
                let [tensor] = make(1).try_into().unwrap();
                assert_eq!((tensor.dtype(), tensor.shape()), (dtype, [2, 3, 4].as_slice()));
                assert_eq!(make(1), std::slice::from_ref(&tensor));
                assert_eq!(make(2) == [tensor], values == Values::Zero, "{dtype} {values:?}");
            }
        }
    }

    #[test]
    fn floats_fill_their_range() {
        let signature = signature(DType::F64, Some(vec![Dim::Fixed(1000)]));
        let made = Shapes::declared(&signature, 1).fill(&signature, Values::Varied, 7, 1000).unwrap();
        let [Tensor::F64(floats)] = made.as_slice() else { panic!("one tensor of float64") };
        let (least, most) = floats.iter().fold((0f64, 0f64), |(least, most), &x| (least.min(x), most.max(x)));
        assert!((-1.0..-0.98).contains(&least) && (0.98..1.0).contains(&most), "{least} {most}");
    }

    #[test]
    fn shapes_follow_a_sample_but_for_its_rows() {
        let dims = vec![Dim::Dynamic(None), Dim::Dynamic(None)];
        let signature = signature(DType::F32, Some(dims));
        let sample = [Tensor::F32(ArrayD::zeros(IxDyn(&[5, 7])))];
        assert_eq!(Shapes::of(&signature, &sample), Shapes(vec![vec![1, 7]]));
    }

    #[test]
    fn what_would_be_too_large_is_not_made() {
        let signature = signature(DType::F32, Some(vec![Dim::Fixed(usize::MAX), Dim::Fixed(2)]));
        assert_eq!(Shapes::declared(&signature, 1).fill(&signature, Values::Zero, 0, usize::MAX), None);
    }
}
