//! Tensors to ONNX Runtime without a copy, and its outputs back with one.

use ndarray::{ArrayD, IxDyn};
use ort::session::SessionInputValue;
use ort::value::{DynTensorValueType, DynValue, DynValueTypeMarker, PrimitiveTensorElementType, TensorRef};

use super::texts;
use crate::engine::RunError;
use crate::engine::allowance::Allowance;
use crate::tensor::{DType, Element, MapKeys, Tensor, Value, ValueType, element_count};

/// An input that borrows the tensor's buffer; strings alone are copied.
///
/// The value must not be cloned or bound: on a borrowed tensor the crate deadlocks in both.
pub(super) fn lend(tensor: &Tensor) -> Result<SessionInputValue<'_>, RunError> {
    match tensor {
        Tensor::Bool(array) => view(array),
        Tensor::I8(array) => view(array),
        Tensor::I16(array) => view(array),
        Tensor::I32(array) => view(array),
        Tensor::I64(array) => view(array),
        Tensor::U8(array) => view(array),
        Tensor::U16(array) => view(array),
        Tensor::U32(array) => view(array),
        Tensor::U64(array) => view(array),
        Tensor::F16(array) => view(array),
        Tensor::BF16(array) => view(array),
        Tensor::F32(array) => view(array),
        Tensor::F64(array) => view(array),
        Tensor::String(array) => strings(array),
    }
}

fn view<T>(array: &ArrayD<T>) -> Result<SessionInputValue<'_>, RunError>
where
    T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
{
    let tensor = TensorRef::from_array_view((array.shape(), contiguous(array)?)).map_err(failed)?;
    Ok(tensor.into())
}

fn strings(array: &ArrayD<String>) -> Result<SessionInputValue<'_>, RunError> {
    texts::copy(array.shape(), contiguous(array)?).map(Into::into)
}

fn contiguous<T>(array: &ArrayD<T>) -> Result<&[T], RunError> {
    array.as_slice().ok_or_else(|| RunError::Failed("an input tensor is not contiguous".to_owned()))
}

/// An output, copied out of the runtime's memory.
pub(super) fn take(value: &DynValue, declared: &ValueType, allowance: &mut Allowance) -> Result<Value, RunError> {
    match declared {
        ValueType::Tensor { dtype, .. } => {
            // Before anything of it is copied.
            allowance.take(elements(value)?)?;
            take_tensor(value, *dtype).map(Value::Tensor)
        }
        ValueType::Sequence(item) => {
            let items = value.try_extract_sequence::<DynValueTypeMarker>().map_err(failed)?;
            items.iter().map(|value| take(value, item, allowance)).collect::<Result<_, _>>().map(Value::Sequence)
        }
        ValueType::Map { key, value: declared } => {
            let ValueType::Tensor { dtype, .. } = **declared else {
                return Err(RunError::Failed("the output is a map of something else than numbers".to_owned()));
            };
            match dtype {
                DType::F32 => take_map::<f32>(value, *key),
                DType::F64 => take_map::<f64>(value, *key),
                DType::I64 => take_map::<i64>(value, *key),
                other => Err(RunError::Failed(format!("the output is a map to {other}"))),
            }
        }
    }
}

/// How many there are by the tensor's own shape; `None` when that overflows.
fn elements(value: &DynValue) -> Result<Option<usize>, RunError> {
    let tensor = value.view().downcast::<DynTensorValueType>().map_err(failed)?;
    Ok(element_count(&tensor.shape().iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect::<Vec<_>>()))
}

fn take_tensor(value: &DynValue, dtype: DType) -> Result<Tensor, RunError> {
    macro_rules! take {
        ($($variant:ident => $rust:ty),* $(,)?) => {
            match dtype {
                $(DType::$variant => {
                    let (shape, elements) = value.try_extract_tensor::<$rust>().map_err(failed)?;
                    array(shape, elements.to_vec())
                })*
                DType::Bool => bools(value),
                DType::String => {
                    let (shape, strings) = value.try_extract_strings().map_err(failed)?;
                    array(shape, strings)
                }
            }
        };
    }
    take! {
        I8 => i8, I16 => i16, I32 => i32, I64 => i64, U8 => u8, U16 => u16, U32 => u32, U64 => u64,
        F16 => half::f16, BF16 => half::bf16, F32 => f32, F64 => f64,
    }
}

fn array<T: Element>(shape: &[i64], elements: Vec<T>) -> Result<Tensor, RunError> {
    let dims: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    let array = ArrayD::from_shape_vec(IxDyn(&dims), elements);
    array.map(T::wrap).map_err(|error| RunError::Failed(format!("an output's shape does not fit its data: {error}")))
}

/// Booleans are read as bytes: a model can hold any byte in a bool tensor, while any other than 0 and 1 in a Rust `bool` is
/// undefined behaviour.
#[allow(unsafe_code, reason = "the crate has no safe way to read a bool tensor's bytes")]
fn bools(value: &DynValue) -> Result<Tensor, RunError> {
    let tensor = value.view().downcast::<DynTensorValueType>().map_err(failed)?;
    if *tensor.data_type() != ort::value::TensorElementType::Bool || !tensor.memory_info().is_cpu_accessible() {
        return Err(RunError::Failed(format!("an output is {} rather than bool", tensor.data_type())));
    }
    let bytes = match elements(value)? {
        None => return Err(RunError::Failed("an output's shape overflows".to_owned())),
        Some(0) => &[],
        // SAFETY: the tensor is of ONNX's bool, one byte an element, lies in memory that the CPU can read, and has `count`
        // elements by its own shape; the runtime allocated and filled them, and `value` keeps them alive and unchanged
        // while it is borrowed. Any byte is a valid `u8`.
        Some(count) => unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), count) },
    };
    array(tensor.shape(), bytes.iter().map(|&byte| byte != 0).collect::<Vec<bool>>())
}

fn take_map<V>(value: &DynValue, key: DType) -> Result<Value, RunError>
where
    V: Element + PrimitiveTensorElementType,
{
    let (keys, values): (MapKeys, Vec<V>) = match key {
        DType::I64 => {
            let mut entries = value.try_extract_key_values::<i64, V>().map_err(failed)?;
            entries.sort_by_key(|(key, _)| *key);
            let (keys, values) = entries.into_iter().unzip();
            (MapKeys::I64(keys), values)
        }
        DType::String => {
            let mut entries = value.try_extract_key_values::<String, V>().map_err(failed)?;
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let (keys, values) = entries.into_iter().unzip();
            (MapKeys::String(keys), values)
        }
        other => return Err(RunError::Failed(format!("an output is a map keyed by {other}"))),
    };
    let values = V::wrap(ndarray::Array1::from_vec(values).into_dyn());
    Ok(Value::Map { keys, values })
}

/// An error of the conversion, which is never the sender's.
fn failed(error: ort::Error) -> RunError {
    RunError::Failed(error.to_string())
}
