//! A tensor's elements as little-endian bytes, handed over to be sent.
//!
//! A buffer is looked at as bytes and never copied, except to make it row-major. Strings have no such bytes and are left to each
//! dialect. Called by every binary dialect's `encode`.

use std::ops::Range;

use bytemuck::{NoUninit, Pod};
use bytes::Bytes;
use ndarray::ArrayD;

use crate::tensor::Tensor;

/// Picks by kind of element: numbers are seen as bytes, bools are not (most bytes are no bool), strings cannot be.
macro_rules! by_kind {
    ($tensor:expr, numbers $n:ident => $numbers:expr, bools $b:ident => $bools:expr, strings $s:ident => $strings:expr) => {
        match $tensor {
            Tensor::I8($n) => $numbers,
            Tensor::I16($n) => $numbers,
            Tensor::I32($n) => $numbers,
            Tensor::I64($n) => $numbers,
            Tensor::U8($n) => $numbers,
            Tensor::U16($n) => $numbers,
            Tensor::U32($n) => $numbers,
            Tensor::U64($n) => $numbers,
            Tensor::F16($n) => $numbers,
            Tensor::BF16($n) => $numbers,
            Tensor::F32($n) => $numbers,
            Tensor::F64($n) => $numbers,
            Tensor::Bool($b) => $bools,
            Tensor::String($s) => $strings,
        }
    };
}

/// The elements of an array, kept alive by whoever sends them.
struct Elements<T> {
    buffer: Vec<T>,
    range: Range<usize>,
}

impl<T: NoUninit> AsRef<[u8]> for Elements<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.buffer[self.range.clone()])
    }
}

/// The memory of a tensor of numbers, in the host's byte order; `None` for bools and strings.
fn bytes_mut(tensor: &mut Tensor) -> Option<&mut [u8]> {
    fn of<T: Pod>(array: &mut ArrayD<T>) -> Option<&mut [u8]> {
        array.as_slice_mut().map(bytemuck::cast_slice_mut)
    }
    by_kind!(tensor, numbers array => of(array), bools _array => None, strings _array => None)
}

/// Turns every number's bytes around.
pub fn swap_bytes(tensor: &mut Tensor) {
    fn reverse<const N: usize>(bytes: &mut [u8]) {
        for element in bytes.as_chunks_mut::<N>().0 {
            element.reverse();
        }
    }
    let size = tensor.dtype().size();
    let Some(bytes) = bytes_mut(tensor) else { return };
    match size {
        Some(2) => reverse::<2>(bytes),
        Some(4) => reverse::<4>(bytes),
        Some(8) => reverse::<8>(bytes),
        _ => {}
    }
}

/// Little-endian bytes over the tensor's own memory; bools are 0 or 1. Strings are given back.
pub fn into_bytes(mut tensor: Tensor) -> Result<Bytes, ArrayD<String>> {
    fn of<T: NoUninit + Send>(array: ArrayD<T>) -> Bytes {
        let array = row_major(array);
        let count = array.len();
        // A slice of a larger batch keeps that batch's buffer and starts inside it.
        let (buffer, offset) = array.into_raw_vec_and_offset();
        let start = offset.unwrap_or(0);
        Bytes::from_owner(Elements { buffer, range: start..start + count })
    }
    if cfg!(target_endian = "big") {
        swap_bytes(&mut tensor);
    }
    by_kind!(tensor, numbers array => Ok(of(array)), bools array => Ok(of(array)), strings array => Err(array))
}

/// The array with its elements in row-major order, moved only if they are not.
pub fn row_major<T: Clone>(array: ArrayD<T>) -> ArrayD<T> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}
