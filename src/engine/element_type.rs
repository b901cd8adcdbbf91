//! ONNX's element types by their numbers (onnx.proto, enum `DataType`), those too that Scoria does not serve.

use crate::tensor::DType;

/// The bits of one element; `None` for strings and for numbers that are no type.
pub(super) fn element_bits(number: i32) -> Option<u64> {
    match number {
        14 => Some(64),
        15 => Some(128),
        17..=20 | 24 => Some(8),
        21..=23 => Some(4),
        25 | 26 => Some(2),
        _ => DType::from_onnx(number)?.size().map(|bytes| 8 * bytes as u64),
    }
}

/// The type's name, or a description of what is none.
pub(super) fn element_name(number: i32) -> String {
    match number {
        0 => "an undefined type",
        14 => "complex64",
        15 => "complex128",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        other => return DType::from_onnx(other).map_or(format!("element type {other}"), |dtype| dtype.to_string()),
    }
    .to_owned()
}
