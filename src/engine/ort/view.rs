//! Tensors of the runtime over memory that is kept elsewhere.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::value::{DynValue, TensorElementType};
use ort::{AsPointer, sys};

use crate::engine::RunError;
use crate::tensor::{DType, element_count};

/// What memory is good for: tensors of this type and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub dtype: DType,
    pub shape: Vec<usize>,
}

/// Where memory is, as the runtime is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    Gpu(u32),
}

impl Kind {
    /// 0 for texts, whose memory is the runtime's.
    pub(super) fn bytes(&self) -> usize {
        element_count(&self.shape).unwrap_or(0).saturating_mul(self.dtype.size().unwrap_or(0))
    }

    /// `None` for texts.
    pub(super) fn element_type(&self) -> Option<TensorElementType> {
        Some(match self.dtype {
            DType::Bool => TensorElementType::Bool,
            DType::I8 => TensorElementType::Int8,
            DType::I16 => TensorElementType::Int16,
            DType::I32 => TensorElementType::Int32,
            DType::I64 => TensorElementType::Int64,
            DType::U8 => TensorElementType::Uint8,
            DType::U16 => TensorElementType::Uint16,
            DType::U32 => TensorElementType::Uint32,
            DType::U64 => TensorElementType::Uint64,
            DType::F16 => TensorElementType::Float16,
            DType::BF16 => TensorElementType::Bfloat16,
            DType::F32 => TensorElementType::Float32,
            DType::F64 => TensorElementType::Float64,
            DType::String => return None,
        })
    }
}

/// A tensor over `data`, which it does not own. `allocator` is any of the session's: the value keeps that alive.
///
/// # Safety
///
/// `data` points to [`Kind::bytes`] bytes at `place` that nobody else uses while a run uses the value, and that are there for as
/// long as the value is.
#[allow(unsafe_code, reason = "the crate makes such a value for a type that is known when this is compiled only")]
pub(super) unsafe fn over(
    data: *mut c_void,
    kind: &Kind,
    place: Place,
    allocator: &Allocator,
) -> Result<DynValue, RunError> {
    let failed = |error: ort::Error| RunError::Failed(error.to_string());
    let (device, id) = match place {
        Place::Host => (AllocationDevice::CPU, 0),
        Place::Gpu(id) => (AllocationDevice::CUDA, i32::try_from(id).unwrap_or(i32::MAX)),
    };
    let info = MemoryInfo::new(device, id, AllocatorType::Device, MemoryType::Default).map_err(failed)?;
    let element = kind.element_type().ok_or_else(no_texts)?;
    let shape: Vec<i64> = kind.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    let mut value: *mut sys::OrtValue = ptr::null_mut();
    // SAFETY: the caller has promised that the memory is as long as the tensor; all other arguments are read before the call
    // returns. What it writes is a value that is ours.
    unsafe {
        let status = (ort::api().CreateTensorWithDataAsOrtValue)(
            info.ptr(),
            data,
            kind.bytes(),
            shape.as_ptr(),
            shape.len(),
            element.into(),
            &mut value,
        );
        ort::Error::result_from_status(status).map_err(failed)?;
        let value = NonNull::new(value).ok_or_else(|| RunError::Failed("no value was made".to_owned()))?;
        Ok(DynValue::from_ptr(value, Some(allocator)))
    }
}

pub(super) fn no_texts() -> RunError {
    RunError::Failed("texts have no memory of their own".to_owned())
}
