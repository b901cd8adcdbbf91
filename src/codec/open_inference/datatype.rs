//! What the protocol calls the element types: in tensors, and in a model's configuration.
//!
//! One table, [`TABLE`]; sizes are [`DType::size`]'s. BYTES has none: each of its elements is a `u32` little-endian length and
//! as many bytes, in every binary form.

use crate::tensor::DType;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datatype {
    pub dtype: DType,
    /// In requests, replies and metadata.
    pub name: &'static str,
    /// In a model's configuration (`model_config.proto`, enum `DataType`).
    pub config_name: &'static str,
    /// The number behind `config_name`.
    pub config_number: i32,
}

macro_rules! table {
    ($($dtype:ident = $name:literal, $config:literal, $number:literal;)*) => {
        /// Every element type that is served.
        pub const TABLE: [Datatype; 14] = [$(Datatype {
            dtype: DType::$dtype,
            name: $name,
            config_name: $config,
            config_number: $number,
        }),*];

        /// The row of an element type.
        pub const fn of(dtype: DType) -> Datatype {
            match dtype {
                $(DType::$dtype => Datatype {
                    dtype,
                    name: $name,
                    config_name: $config,
                    config_number: $number,
                },)*
            }
        }
    };
}

table! {
    Bool = "BOOL", "TYPE_BOOL", 1;
    U8 = "UINT8", "TYPE_UINT8", 2;
    U16 = "UINT16", "TYPE_UINT16", 3;
    U32 = "UINT32", "TYPE_UINT32", 4;
    U64 = "UINT64", "TYPE_UINT64", 5;
    I8 = "INT8", "TYPE_INT8", 6;
    I16 = "INT16", "TYPE_INT16", 7;
    I32 = "INT32", "TYPE_INT32", 8;
    I64 = "INT64", "TYPE_INT64", 9;
    F16 = "FP16", "TYPE_FP16", 10;
    F32 = "FP32", "TYPE_FP32", 11;
    F64 = "FP64", "TYPE_FP64", 12;
    String = "BYTES", "TYPE_STRING", 13;
    BF16 = "BF16", "TYPE_BF16", 14;
}

/// The protocol's name of an element type.
pub const fn name(dtype: DType) -> &'static str {
    of(dtype).name
}

/// The element type of one of the protocol's names.
pub fn parse(name: &str) -> Option<DType> {
    TABLE.iter().find(|row| row.name == name).map(|row| row.dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_and_is_found_by_its_name() {
        for dtype in DType::ALL {
            assert!(TABLE.contains(&of(dtype)));
            assert_eq!(parse(name(dtype)), Some(dtype));
        }
        for unknown in ["", "fp32", "FP8", "TYPE_FP32", "STRING"] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }
}
