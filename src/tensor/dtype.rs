//! The element types a tensor can have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ONNX tensor element type that Scoria serves.
///
/// The types left out (complex, 8- and 4-bit floats, 4- and 2-bit integers) have no JSON or numpy form; a model that uses
/// one at its boundary is refused at load, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
    String,
}

impl DType {
    /// Every type, in a fixed order.
    pub const ALL: [DType; 14] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::String,
    ];

    /// The name users meet in messages, headers and documents: numpy's, and `string`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::String => "string",
        }
    }

    /// Bytes of one element in memory and in little-endian binary forms; `None` for strings, whose length varies.
    pub const fn size(self) -> Option<usize> {
        match self {
            DType::Bool | DType::I8 | DType::U8 => Some(1),
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => Some(2),
            DType::I32 | DType::U32 | DType::F32 => Some(4),
            DType::I64 | DType::U64 | DType::F64 => Some(8),
            DType::String => None,
        }
    }

    /// Whether the type can hold NaN and infinities.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// Whether values of the type are numbers, which have an order.
    pub const fn is_number(self) -> bool {
        !matches!(self, DType::Bool | DType::String)
    }

    /// The type of an ONNX `TensorProto.DataType` number (onnx.proto, enum `DataType`), if Scoria serves it.
    pub const fn from_onnx(number: i32) -> Option<DType> {
        Some(match number {
            1 => DType::F32,
            2 => DType::U8,
            3 => DType::I8,
            4 => DType::U16,
            5 => DType::I16,
            6 => DType::I32,
            7 => DType::I64,
            8 => DType::String,
            9 => DType::Bool,
            10 => DType::F16,
            11 => DType::F64,
            12 => DType::U32,
            13 => DType::U64,
            16 => DType::BF16,
            _ => return None,
        })
    }
}

impl TryFrom<String> for DType {
    type Error = String;

    fn try_from(name: String) -> Result<DType, String> {
        let known = DType::ALL.into_iter().find(|dtype| dtype.name() == name);
        known.ok_or_else(|| format!("'{name}' is no element type that is served"))
    }
}

impl From<DType> for String {
    fn from(dtype: DType) -> String {
        dtype.name().to_owned()
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
