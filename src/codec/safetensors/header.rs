//! The header of a safetensors file: a JSON object from tensor name to element type, shape and place in the data.
//!
//! Source: the format's description in the safetensors repository. Read into typed entries, in the order of the text, so
//! that a name given twice is seen. Called by [`Receiver`](super::Receiver) and by `encode`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::tensor::DType;

/// The one key that is no tensor.
pub const METADATA: &str = "__metadata__";

/// The tensors of a file, as its header lists them.
#[derive(Debug)]
pub struct Header(pub Vec<(String, Entry)>);

/// What the header says about one tensor.
#[derive(Debug, DeriveDeserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub dtype: String,
    pub shape: Vec<usize>,
    /// The first byte and the one after the last, counted from the header's end.
    pub data_offsets: [usize; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from tensor name to dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut entries = Vec::new();
        let mut metadata: Option<BTreeMap<String, String>> = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != METADATA {
                entries.push((name, map.next_value()?));
            } else if metadata.replace(map.next_value()?).is_some() {
                return Err(de::Error::duplicate_field(METADATA));
            }
        }
        Ok(Header(entries))
    }
}

/// The format's name of an element type; `None` for strings, which it has not.
pub fn dtype_name(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "BOOL",
        DType::I8 => "I8",
        DType::I16 => "I16",
        DType::I32 => "I32",
        DType::I64 => "I64",
        DType::U8 => "U8",
        DType::U16 => "U16",
        DType::U32 => "U32",
        DType::U64 => "U64",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::String => return None,
    })
}

/// The element type of one of the format's names, if it is served.
pub fn dtype_of(name: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| dtype_name(dtype) == Some(name))
}
