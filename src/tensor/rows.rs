//! Tensors as rows along their first dimension: joined and taken apart.

use ndarray::{ArrayD, Dimension, IxDyn};

use super::{Element, Tensor, with_tensor};

/// The tensors one after the other along their first dimension.
///
/// `None` if there are none, or they differ in type or in another dimension, or are scalars.
pub fn join_rows(parts: &[&Tensor]) -> Option<Tensor> {
    fn join<T: Element>(parts: &[&Tensor], first: &ArrayD<T>) -> Option<Tensor> {
        let row_shape = first.shape().get(1..)?;
        let mut rows = 0;
        let mut elements = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            let array = T::array(part).filter(|array| array.shape().get(1..) == Some(row_shape))?;
            rows += array.shape()[0];
            elements.extend_from_slice(array.as_slice()?);
        }
        of_rows(rows, row_shape, elements)
    }
    let first = *parts.first()?;
    with_tensor!(first, array => join(parts, array))
}

/// The tensor's rows in parts of these sizes; `None` unless they add up to its first dimension.
pub fn split_rows(tensor: &Tensor, sizes: &[usize]) -> Option<Vec<Tensor>> {
    fn split<T: Element>(array: &ArrayD<T>, sizes: &[usize]) -> Option<Vec<Tensor>> {
        let (&rows, row_shape) = array.shape().split_first()?;
        if rows != sizes.iter().sum::<usize>() {
            return None;
        }
        let row_elements: usize = row_shape.iter().product();
        let mut rest = array.as_slice()?;
        let parts = sizes.iter().map(|&size| {
            let (part, after) = rest.split_at(size * row_elements);
            rest = after;
            of_rows(size, row_shape, part.to_vec())
        });
        parts.collect()
    }
    with_tensor!(tensor, array => split(array, sizes))
}

/// The tensor's first rows alone, without copying them; `None` if it has not as many.
pub fn first_rows(tensor: Tensor, rows: usize) -> Option<Tensor> {
    fn cut<T: Element>(array: ArrayD<T>, rows: usize) -> Option<Tensor> {
        let (&all, row_shape) = array.shape().split_first()?;
        if rows > all {
            return None;
        }
        let row_shape = row_shape.to_vec();
        let (mut elements, offset) = array.into_raw_vec_and_offset();
        // A tensor begins where its memory does.
        if offset.unwrap_or(0) != 0 {
            return None;
        }
        elements.truncate(rows * row_shape.iter().product::<usize>());
        of_rows(rows, &row_shape, elements)
    }
    with_tensor!(tensor, array => cut(array, rows))
}

fn of_rows<T: Element>(rows: usize, row_shape: &[usize], elements: Vec<T>) -> Option<Tensor> {
    let mut shape = IxDyn::zeros(row_shape.len() + 1);
    shape[0] = rows;
    shape.slice_mut()[1..].copy_from_slice(row_shape);
    ArrayD::from_shape_vec(shape, elements).ok().map(T::wrap)
}

#[cfg(test)]
mod tests {
    use ndarray::{IxDyn, arr0};

    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::F32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
    }

    #[test]
    fn what_is_joined_comes_apart_again() {
        let (a, b) = (floats(&[1, 2], &[1.0, 2.0]), floats(&[2, 2], &[3.0, 4.0, 5.0, 6.0]));
        let joined = join_rows(&[&a, &b]).unwrap();
        assert_eq!(joined, floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(split_rows(&joined, &[1, 2]), Some(vec![a, b]));
        assert_eq!(split_rows(&joined, &[1, 1]), None);
    }

    #[test]
    fn parts_are_contiguous_as_every_tensor_is() {
        let tensor = floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        for part in split_rows(&tensor, &[2, 1]).unwrap() {
            assert!(f32::array(&part).unwrap().is_standard_layout());
        }
    }

    #[test]
    fn what_does_not_fit_is_not_joined() {
        let (a, b) = (floats(&[1, 2], &[1.0, 2.0]), floats(&[1, 1], &[3.0]));
        let text = Tensor::String(ArrayD::from_elem(IxDyn(&[1, 2]), String::new()));
        let scalar = Tensor::F32(arr0(1.0).into_dyn());
        assert_eq!(join_rows(&[]), None);
        assert_eq!(join_rows(&[&a, &b]), None);
        assert_eq!(join_rows(&[&a, &text]), None);
        assert_eq!(join_rows(&[&scalar, &scalar]), None);
        assert_eq!(split_rows(&scalar, &[]), None);
    }
}
