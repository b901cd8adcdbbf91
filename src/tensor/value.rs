//! The values that flow through a request: tensors in, tensors (and what scikit-learn exports return) out.

use half::{bf16, f16};
use ndarray::ArrayD;

use super::{DType, with_tensor};

/// A dense tensor: a closed enum over `ndarray` arrays, each contiguous and row-major.
///
/// Built through [`Element::wrap`](super::Element::wrap) or the variants; codecs fill the buffer straight from the
/// request's bytes, engines read it in place.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    Bool(ArrayD<bool>),
    I8(ArrayD<i8>),
    I16(ArrayD<i16>),
    I32(ArrayD<i32>),
    I64(ArrayD<i64>),
    U8(ArrayD<u8>),
    U16(ArrayD<u16>),
    U32(ArrayD<u32>),
    U64(ArrayD<u64>),
    F16(ArrayD<f16>),
    BF16(ArrayD<bf16>),
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    String(ArrayD<String>),
}

impl Tensor {
    /// The element type.
    pub fn dtype(&self) -> DType {
        fn of<T: super::Element>(_: &ArrayD<T>) -> DType {
            T::DTYPE
        }
        with_tensor!(self, array => of(array))
    }

    /// The dimensions; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        with_tensor!(self, array => array.shape())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        with_tensor!(self, array => array.len())
    }

    /// Whether there are no elements, as in a batch of zero rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One output of a model.
///
/// Most are tensors. scikit-learn's classifiers, exported with ZipMap, return a sequence of maps from class label to
/// probability; sequence operators return sequences of tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Tensor(Tensor),
    Sequence(Vec<Value>),
    /// Entry `i` is `keys[i] → values[i]`; `values` has rank 1.
    Map {
        keys: MapKeys,
        values: Tensor,
    },
}

/// The keys of a map value, in ascending order. ONNX allows integers and strings.
#[derive(Clone, Debug, PartialEq)]
pub enum MapKeys {
    I64(Vec<i64>),
    String(Vec<String>),
}

impl MapKeys {
    /// The number of entries.
    pub fn len(&self) -> usize {
        match self {
            MapKeys::I64(keys) => keys.len(),
            MapKeys::String(keys) => keys.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Value {
    /// The number of elements, over everything the value holds.
    pub fn len(&self) -> usize {
        match self {
            Value::Tensor(tensor) => tensor.len(),
            Value::Sequence(items) => items.iter().map(Value::len).sum(),
            Value::Map { values, .. } => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Value::Tensor(tensor)
    }
}
