//! The classification extension: the places of the greatest values instead of all values, as `value:index[:label]`.
//!
//! Source: Triton's `extension_classification.md`; numbers are written as its server does, floats with six decimals.

use std::cmp::Ordering;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use crate::codec::EncodeError;
use crate::tensor::Tensor;

/// The `classes` greatest of each row, greatest first and earlier ones first among equals: BYTES `[rows, n]`, or `[n]` where the
/// output has no rows. `n` is `classes`, or all if there are fewer.
pub fn classify(
    output: &Tensor,
    labels: &[String],
    name: &str,
    classes: usize,
    has_rows: bool,
) -> Result<Tensor, EncodeError> {
    let shape = output.shape();
    let rows = if has_rows && !shape.is_empty() { Some(shape[0]) } else { None };
    let texts = match output {
        Tensor::F16(array) => ranked(array, rows, classes, labels),
        Tensor::BF16(array) => ranked(array, rows, classes, labels),
        Tensor::F32(array) => ranked(array, rows, classes, labels),
        Tensor::F64(array) => ranked(array, rows, classes, labels),
        Tensor::I8(array) => ranked(array, rows, classes, labels),
        Tensor::I16(array) => ranked(array, rows, classes, labels),
        Tensor::I32(array) => ranked(array, rows, classes, labels),
        Tensor::I64(array) => ranked(array, rows, classes, labels),
        Tensor::U8(array) => ranked(array, rows, classes, labels),
        Tensor::U16(array) => ranked(array, rows, classes, labels),
        Tensor::U32(array) => ranked(array, rows, classes, labels),
        Tensor::U64(array) => ranked(array, rows, classes, labels),
        Tensor::Bool(_) | Tensor::String(_) => {
            let dtype = super::datatype::name(output.dtype());
            let message =
                format!("output '{name}' holds {dtype}, which cannot be classified: leave out `classification`");
            return Err(EncodeError::NotRepresentable(message));
        }
    };
    let per_row = texts.len() / rows.unwrap_or(1).max(1);
    let shape = rows.map_or_else(|| vec![per_row], |rows| vec![rows, per_row]);
    let array = ArrayD::from_shape_vec(IxDyn(&shape), texts).expect("every row has as many");
    Ok(Tensor::String(array))
}

fn ranked<T: Ranked>(array: &ArrayD<T>, rows: Option<usize>, classes: usize, labels: &[String]) -> Vec<String> {
    let values = array.as_slice().expect("a tensor is contiguous and row-major");
    let length = values.len() / rows.unwrap_or(1).max(1);
    let mut texts = Vec::new();
    for row in values.chunks_exact(length.max(1)) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        let greatest_first = |a: &usize, b: &usize| row[*a].descending(&row[*b]).then(a.cmp(b));
        let count = classes.min(order.len());
        // Of a thousand classes a handful is wanted: only these are put in order.
        if count > 0 && count < order.len() {
            order.select_nth_unstable_by(count - 1, greatest_first);
            order.truncate(count);
        }
        order.sort_unstable_by(greatest_first);
        texts.extend(order.into_iter().take(count).map(|index| match labels.get(index) {
            Some(label) => format!("{}:{index}:{label}", row[index].text()),
            None => format!("{}:{index}", row[index].text()),
        }));
    }
    texts
}

/// An element type that has an order.
trait Ranked: Copy {
    /// The greater one first, and no number last.
    fn descending(&self, other: &Self) -> Ordering;

    fn text(&self) -> String;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Ranked for $t {
            fn descending(&self, other: &Self) -> Ordering {
                other.cmp(self)
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Ranked for $t {
            fn descending(&self, other: &Self) -> Ordering {
                let (a, b) = (f64::from(*self), f64::from(*other));
                b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }

            fn text(&self) -> String {
                format!("{:.6}", f64::from(*self))
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);
floats!(f16, bf16, f32, f64);

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;

    fn texts(tensor: &Tensor) -> (Vec<usize>, Vec<String>) {
        let Tensor::String(array) = tensor else { panic!("classes are texts") };
        (array.shape().to_vec(), array.iter().cloned().collect())
    }

    #[test]
    fn the_greatest_come_first_with_their_places_and_labels() {
        let values = arr2(&[[0.1f32, 0.7, 0.2], [0.5, 0.5, f32::NAN]]).into_dyn();
        let (shape, found) = texts(&classify(&Tensor::F32(values), &[], "y", 2, true).unwrap());
        assert_eq!(shape, [2, 2]);
        assert_eq!(found, ["0.700000:1", "0.200000:2", "0.500000:0", "0.500000:1"]);
        let labels = ["cat", "dog"].map(str::to_owned);
        let output = Tensor::I64(arr1(&[3, -7]).into_dyn());
        let (shape, found) = texts(&classify(&output, &labels, "y", 9, false).unwrap());
        assert_eq!((shape, found), (vec![2], vec!["3:0:cat".to_owned(), "-7:1:dog".to_owned()]));
    }

    #[test]
    fn what_has_no_rows_or_no_order_makes_no_trouble() {
        let none = Tensor::F32(ArrayD::from_elem(IxDyn(&[0, 3]), 0.0));
        let found = classify(&none, &[], "y", 2, true).unwrap();
        assert_eq!(found.shape(), [0, 0]);
        let scalar = Tensor::U8(ArrayD::from_elem(IxDyn(&[]), 4));
        assert_eq!(texts(&classify(&scalar, &[], "y", 2, true).unwrap()).1, ["4:0"]);
        let text = Tensor::String(ArrayD::from_elem(IxDyn(&[1]), String::new()));
        assert!(classify(&text, &[], "y", 1, true).unwrap_err().to_string().contains("BYTES"));
    }
}
