//! The Rust type behind each [`DType`], and the two macros that pick code by type once per tensor rather than per element.

use half::{bf16, f16};
use ndarray::ArrayD;

use super::{DType, Tensor};

/// A Rust type that is the element of one kind of [`Tensor`].
pub trait Element: Clone + Default + Send + Sync + 'static {
    /// The type's number in the closed list.
    const DTYPE: DType;

    /// The array as a tensor. The array must be contiguous and row-major, as [`Tensor`] promises.
    fn wrap(array: ArrayD<Self>) -> Tensor;

    /// The tensor's array, if it has this element type.
    fn array(tensor: &Tensor) -> Option<&ArrayD<Self>>;
}

macro_rules! elements {
    ($($rust:ty => $variant:ident),* $(,)?) => {$(
        impl Element for $rust {
            const DTYPE: DType = DType::$variant;

            fn wrap(array: ArrayD<Self>) -> Tensor {
                Tensor::$variant(array)
            }

            fn array(tensor: &Tensor) -> Option<&ArrayD<Self>> {
                match tensor {
                    Tensor::$variant(array) => Some(array),
                    _ => None,
                }
            }
        }
    )*};
}

elements! {
    bool => Bool, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64, String => String,
}

/// `with_tensor!(tensor, array => expression)`: the expression, compiled for each element type.
macro_rules! with_tensor {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            $crate::tensor::Tensor::Bool($array) => $body,
            $crate::tensor::Tensor::I8($array) => $body,
            $crate::tensor::Tensor::I16($array) => $body,
            $crate::tensor::Tensor::I32($array) => $body,
            $crate::tensor::Tensor::I64($array) => $body,
            $crate::tensor::Tensor::U8($array) => $body,
            $crate::tensor::Tensor::U16($array) => $body,
            $crate::tensor::Tensor::U32($array) => $body,
            $crate::tensor::Tensor::U64($array) => $body,
            $crate::tensor::Tensor::F16($array) => $body,
            $crate::tensor::Tensor::BF16($array) => $body,
            $crate::tensor::Tensor::F32($array) => $body,
            $crate::tensor::Tensor::F64($array) => $body,
            $crate::tensor::Tensor::String($array) => $body,
        }
    };
}

/// `with_dtype!(dtype, T => expression)`: the expression with `T` bound to the dtype's Rust type.
macro_rules! with_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::tensor::DType::Bool => {
                type $t = bool;
                $body
            }
            $crate::tensor::DType::I8 => {
                type $t = i8;
                $body
            }
            $crate::tensor::DType::I16 => {
                type $t = i16;
                $body
            }
            $crate::tensor::DType::I32 => {
                type $t = i32;
                $body
            }
            $crate::tensor::DType::I64 => {
                type $t = i64;
                $body
            }
            $crate::tensor::DType::U8 => {
                type $t = u8;
                $body
            }
            $crate::tensor::DType::U16 => {
                type $t = u16;
                $body
            }
            $crate::tensor::DType::U32 => {
                type $t = u32;
                $body
            }
            $crate::tensor::DType::U64 => {
                type $t = u64;
                $body
            }
            $crate::tensor::DType::F16 => {
                type $t = half::f16;
                $body
            }
            $crate::tensor::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            $crate::tensor::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::tensor::DType::F64 => {
                type $t = f64;
                $body
            }
            $crate::tensor::DType::String => {
                type $t = String;
                $body
            }
        }
    };
}

pub(crate) use {with_dtype, with_tensor};
