//! Tensors and outputs as JSON Schema, in the vocabulary of each version.

use serde_json::{Value as Json, json};

use super::Version;
use crate::tensor::{DType, Dim, TensorSpec, ValueType};

/// Whether `null` may stand in the place of a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    Never,
    InFloats,
}

/// A reference to a named schema.
pub(super) fn reference(version: Version, name: &str) -> Json {
    match version {
        Version::V2 => json!({ "$ref": format!("#/definitions/{name}") }),
        Version::V3_0 | Version::V3_1 => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

/// One of several schemas. Swagger 2.0 cannot say that: it gets the first.
pub(super) fn any_of(version: Version, mut schemas: Vec<Json>) -> Json {
    if schemas.len() == 1 || version == Version::V2 { schemas.swap_remove(0) } else { json!({ "anyOf": schemas }) }
}

/// Adds an example, which is JSON text.
pub(super) fn show(version: Version, schema: &mut Json, example: Option<&str>) {
    let Some(example) = example.and_then(|text| serde_json::from_str::<Json>(text).ok()) else { return };
    match version {
        Version::V2 | Version::V3_0 => schema["example"] = example,
        Version::V3_1 => schema["examples"] = json!([example]),
    }
}

/// A schema of one type that takes `null` besides.
pub(super) fn or_null(version: Version, mut schema: Json) -> Json {
    match version {
        Version::V2 => schema["x-nullable"] = json!(true),
        Version::V3_0 => schema["nullable"] = json!(true),
        Version::V3_1 => schema["type"] = json!([schema["type"], "null"]),
    }
    schema
}

/// An element.
pub(super) fn element(version: Version, dtype: DType, null: Null) -> Json {
    let integer =
        |least: i64, most: u64| json!({ "type": "integer", "format": dtype.name(), "minimum": least, "maximum": most });
    let float = |most: f64| json!({ "type": "number", "format": "float", "minimum": -most, "maximum": most });
    let schema = match dtype {
        DType::Bool => json!({ "type": "boolean" }),
        DType::String => json!({ "type": "string" }),
        DType::I8 => integer(i8::MIN.into(), i8::MAX as u64),
        DType::I16 => integer(i16::MIN.into(), i16::MAX as u64),
        DType::I32 => integer(i32::MIN.into(), i32::MAX as u64),
        DType::I64 => integer(i64::MIN, i64::MAX as u64),
        DType::U8 => integer(0, u8::MAX.into()),
        DType::U16 => integer(0, u16::MAX.into()),
        DType::U32 => integer(0, u32::MAX.into()),
        DType::U64 => integer(0, u64::MAX),
        // The shortest decimals that read as the types' largest values: a little more than those, as answers have them.
        DType::F16 => float(65504.0),
        DType::BF16 => float(3.389_531_4e38),
        DType::F32 => float(3.402_823_5e38),
        DType::F64 => json!({ "type": "number", "format": "double" }),
    };
    if dtype.is_float() && null == Null::InFloats { or_null(version, schema) } else { schema }
}

/// Nested lists; a scalar is bare. Without a rank anything goes.
pub(super) fn nested(version: Version, dtype: DType, dims: Option<&[Dim]>, null: Null) -> Json {
    let Some(dims) = dims else { return json!({}) };
    dims.iter().rev().fold(element(version, dtype, null), |items, dim| match dim {
        Dim::Fixed(size) => json!({ "type": "array", "items": items, "minItems": size, "maxItems": size }),
        Dim::Dynamic(_) => json!({ "type": "array", "items": items }),
    })
}

/// An input, with its type as people write it.
pub(super) fn input(version: Version, spec: &TensorSpec, null: Null) -> Json {
    let mut schema = nested(version, spec.dtype, spec.dims.as_deref(), null);
    schema["description"] = json!(spec.to_string());
    schema
}

/// An output.
pub(super) fn output(version: Version, value: &ValueType, null: Null) -> Json {
    match value {
        ValueType::Tensor { dtype, dims } => nested(version, *dtype, dims.as_deref(), null),
        ValueType::Sequence(item) => json!({ "type": "array", "items": output(version, item, null) }),
        ValueType::Map { value, .. } => {
            json!({ "type": "object", "additionalProperties": output(version, value, null) })
        }
    }
}

/// What an output has for each row: the value without its first dimension. `None` for what has no rows.
pub(super) fn row(version: Version, value: &ValueType, null: Null) -> Option<Json> {
    match value {
        ValueType::Tensor { dtype, dims: Some(dims) } => {
            dims.split_first().map(|(_, inner)| nested(version, *dtype, Some(inner), null))
        }
        ValueType::Sequence(item) => Some(output(version, item, null)),
        ValueType::Tensor { dims: None, .. } | ValueType::Map { .. } => None,
    }
}
