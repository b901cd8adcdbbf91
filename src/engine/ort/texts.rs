//! Strings to the runtime, each with its length.
//!
//! The crate hands strings over as C strings, which end at their first NUL; the runtime's own are bytes with a length. So each
//! one is written where the runtime keeps it.

use std::ptr::{self, NonNull};

use ort::memory::Allocator;
use ort::value::{DynValue, TensorElementType};
use ort::{AsPointer, sys};

use crate::engine::RunError;

/// A tensor of the runtime's with a copy of the strings, as many as the shape has elements.
#[allow(unsafe_code, reason = "the crate only passes strings that hold no NUL")]
pub(super) fn copy(shape: &[usize], strings: &[String]) -> Result<DynValue, RunError> {
    let failed = |error: ort::Error| RunError::Failed(error.to_string());
    let shape: Vec<i64> = shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    let allocator = Allocator::default();
    let mut value: *mut sys::OrtValue = ptr::null_mut();
    // SAFETY: the allocator is the runtime's own and outlives the call, as do the arguments, which are read before it returns.
    // What it writes is a value that is ours and that `DynValue` releases.
    let value = unsafe {
        let status = (ort::api().CreateTensorAsOrtValue)(
            allocator.ptr().cast_mut(),
            shape.as_ptr(),
            shape.len(),
            TensorElementType::String.into(),
            &mut value,
        );
        ort::Error::result_from_status(status).map_err(failed)?;
        let value = NonNull::new(value).ok_or_else(|| RunError::Failed("no value was made".to_owned()))?;
        DynValue::from_ptr(value, Some(&allocator))
    };
    for (index, string) in strings.iter().enumerate() {
        let mut buffer: *mut std::ffi::c_char = ptr::null_mut();
        // SAFETY: the value is a tensor of strings that nobody else has yet. The runtime checks the index, makes the string
        // there as long as `string`, and gives its first byte, which stays until the string is resized.
        unsafe {
            let resize = ort::api().GetResizedStringTensorElementBuffer;
            let status = resize(value.ptr().cast_mut(), index, string.len(), &mut buffer);
            ort::Error::result_from_status(status).map_err(failed)?;
            if !string.is_empty() {
                ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast::<u8>(), string.len());
            }
        }
    }
    Ok(value)
}
