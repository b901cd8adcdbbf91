//! Elements of a fixed size, gathered from bytes into the memory that becomes their tensor.
//!
//! The memory is asked for as a whole and written once: nothing is filled with zeros first, which for an image costs as much as the
//! copy. Called by [`fill`](super::fill), which has checked the shape.

use std::fmt;

use bytemuck::{Pod, pod_read_unaligned};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use crate::tensor::{DType, Element, Tensor};

/// The most bytes of an element.
const ELEMENT_BYTES_MAX: usize = size_of::<u64>();

/// Gathers as many elements as were asked for, and no more: whoever pushes counts.
pub trait Gather: fmt::Debug + Send {
    /// Adds bytes, in the host's order, which may end inside an element.
    fn push(&mut self, bytes: &[u8]) -> Result<(), NotABool>;

    /// The tensor; `None` if the elements are not those of the shape.
    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor>;
}

/// A byte that is neither 0 nor 1.
#[derive(Clone, Copy, Debug)]
pub struct NotABool {
    /// Of the element.
    pub index: usize,
    pub byte: u8,
}

/// For so many elements. `None` for strings, and when there is no such memory.
pub fn gather(dtype: DType, count: usize) -> Option<Box<dyn Gather>> {
    fn numbers<T: Element + Pod + fmt::Debug>(count: usize) -> Option<Box<dyn Gather>> {
        Some(Box::new(Numbers::<T> { elements: memory(count)?, begun: [0; ELEMENT_BYTES_MAX], begun_bytes: 0 }))
    }
    match dtype {
        DType::String => None,
        DType::Bool => Some(Box::new(Bools { elements: memory(count)? })),
        DType::I8 => numbers::<i8>(count),
        DType::I16 => numbers::<i16>(count),
        DType::I32 => numbers::<i32>(count),
        DType::I64 => numbers::<i64>(count),
        DType::U8 => numbers::<u8>(count),
        DType::U16 => numbers::<u16>(count),
        DType::U32 => numbers::<u32>(count),
        DType::U64 => numbers::<u64>(count),
        DType::F16 => numbers::<f16>(count),
        DType::BF16 => numbers::<bf16>(count),
        DType::F32 => numbers::<f32>(count),
        DType::F64 => numbers::<f64>(count),
    }
}

fn memory<T>(count: usize) -> Option<Vec<T>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).ok()?;
    Some(elements)
}

fn tensor<T: Element>(shape: &[usize], elements: Vec<T>) -> Option<Tensor> {
    ArrayD::from_shape_vec(IxDyn(shape), elements).ok().map(T::wrap)
}

#[derive(Debug)]
struct Numbers<T> {
    elements: Vec<T>,
    /// The first bytes of an element whose others have not come.
    begun: [u8; ELEMENT_BYTES_MAX],
    begun_bytes: usize,
}

impl<T: Element + Pod + fmt::Debug> Gather for Numbers<T> {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), NotABool> {
        let size = size_of::<T>();
        if self.begun_bytes > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(size - self.begun_bytes));
            self.begun[self.begun_bytes..][..now.len()].copy_from_slice(now);
            self.begun_bytes += now.len();
            bytes = rest;
            if self.begun_bytes < size {
                return Ok(());
            }
            self.elements.push(pod_read_unaligned(&self.begun[..size]));
        }
        let whole = bytes.chunks_exact(size);
        let begun = whole.remainder();
        match bytemuck::try_cast_slice(&bytes[..bytes.len() - begun.len()]) {
            Ok(elements) => self.elements.extend_from_slice(elements),
            Err(_) => self.elements.extend(whole.map(pod_read_unaligned::<T>)),
        }
        self.begun[..begun.len()].copy_from_slice(begun);
        self.begun_bytes = begun.len();
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor> {
        tensor(shape, self.elements)
    }
}

#[derive(Debug)]
struct Bools {
    elements: Vec<bool>,
}

impl Gather for Bools {
    fn push(&mut self, bytes: &[u8]) -> Result<(), NotABool> {
        if let Some(at) = bytes.iter().position(|&byte| byte > 1) {
            return Err(NotABool { index: self.elements.len() + at, byte: bytes[at] });
        }
        self.elements.extend(bytes.iter().map(|&byte| byte != 0));
        Ok(())
    }

    fn finish(self: Box<Self>, shape: &[usize]) -> Option<Tensor> {
        tensor(shape, self.elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_may_be_cut_anywhere_and_lie_anywhere() {
        let values: Vec<f64> = (0..40).map(|number| f64::from(number) / 3.0).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        for (first, step) in [(0, 320), (1, 1), (3, 7), (5, 64), (8, 16), (319, 3)] {
            let mut gathered = gather(DType::F64, values.len()).expect("there is memory");
            gathered.push(&bytes[..first]).expect("numbers");
            bytes[first..].chunks(step).for_each(|chunk| gathered.push(chunk).expect("numbers"));
            let expected = tensor(&[5, 8], values.clone());
            assert_eq!(gathered.finish(&[5, 8]), expected, "{first} bytes, then {step} at a time");
        }
    }

    #[test]
    fn a_byte_that_is_no_bool_is_told_with_its_place() {
        let mut gathered = gather(DType::Bool, 4).expect("there is memory");
        gathered.push(&[1, 0]).expect("bools");
        let NotABool { index, byte } = gathered.push(&[1, 2]).expect_err("2 is no bool");
        assert_eq!((index, byte), (3, 2));
    }

    #[test]
    fn what_no_memory_can_hold_is_none() {
        assert!(gather(DType::F32, usize::MAX / 2).is_none());
        assert!(gather(DType::String, 1).is_none());
        let empty = gather(DType::I8, 0).expect("nothing is needed");
        assert!(empty.finish(&[0, 3]).is_some());
    }
}
