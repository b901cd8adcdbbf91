//! Outputs as the protocol can carry them: it has tensors and nothing else.
//!
//! A classifier exported with ZipMap gives a sequence of maps from label to probability. Where all maps have the same labels,
//! their values are the tensor `[rows, labels]`, which is what the same classifier exported without ZipMap gives. Sequences of
//! tensors have no such form: such an output is not in the metadata, and a request that names it is refused.

use bytes::Bytes;
use ndarray::{ArrayD, IxDyn};

use crate::codec::{EncodeError, elements, raw};
use crate::tensor::{
    Dim, Element, MapKeys, OutputSpec, Tensor, TensorSpec, Value, ValueType, join_rows, with_dtype, with_tensor,
};

/// An output on its way to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    pub tensor: Tensor,
    /// What its last dimension's places are called, if the model says so.
    pub labels: Option<Vec<String>>,
}

/// An output's declaration as a tensor, if it can be carried as one.
pub fn carried_spec(output: &OutputSpec) -> Option<TensorSpec> {
    let (dtype, dims) = match &output.value {
        ValueType::Tensor { dtype, dims } => (*dtype, dims.clone()),
        ValueType::Map { value, .. } => (scalar_type(value)?, Some(vec![Dim::Dynamic(None)])),
        ValueType::Sequence(item) => match item.as_ref() {
            ValueType::Map { value, .. } => (scalar_type(value)?, Some(vec![Dim::Dynamic(None); 2])),
            _ => return None,
        },
    };
    Some(TensorSpec { name: output.name.clone(), dtype, dims })
}

/// What a map's entries are.
fn scalar_type(value: &ValueType) -> Option<crate::tensor::DType> {
    if let ValueType::Tensor { dtype, .. } = value { Some(*dtype) } else { None }
}

/// An output as a tensor.
pub fn into_tensor(value: Value, spec: &OutputSpec) -> Result<Carried, EncodeError> {
    let refuse = |why: &str| {
        EncodeError::NotRepresentable(format!(
            "output '{}' is {}, {why}; ask for the other outputs by name, or use the scoring URI",
            spec.name, spec.value
        ))
    };
    match value {
        Value::Tensor(tensor) => Ok(Carried { tensor, labels: None }),
        Value::Map { keys, values } => Ok(Carried { tensor: values, labels: Some(labels(&keys)) }),
        Value::Sequence(items) => {
            let mut shared: Option<MapKeys> = None;
            let mut rows = Vec::with_capacity(items.len());
            for item in items {
                let Value::Map { keys, values } = item else {
                    return Err(refuse("which this protocol has no form for"));
                };
                if shared.get_or_insert_with(|| keys.clone()) != &keys {
                    return Err(refuse("and its rows have different labels, which no tensor can hold"));
                }
                rows.push(values);
            }
            let tensor = match &shared {
                Some(keys) => join_rows(&rows.iter().collect::<Vec<_>>())
                    .and_then(|joined| reshaped(joined, &[rows.len(), keys.len()])),
                None => carried_spec(spec).map(|spec| empty(&spec)),
            };
            let tensor = tensor.ok_or_else(|| refuse("and its rows do not make a tensor"))?;
            Ok(Carried { tensor, labels: shared.as_ref().map(labels) })
        }
    }
}

fn labels(keys: &MapKeys) -> Vec<String> {
    match keys {
        MapKeys::I64(keys) => keys.iter().map(i64::to_string).collect(),
        MapKeys::String(keys) => keys.clone(),
    }
}

fn empty(spec: &TensorSpec) -> Tensor {
    fn of<T: Element>(shape: &[usize]) -> Tensor {
        T::wrap(ArrayD::from_elem(IxDyn(shape), T::default()))
    }
    let shape = vec![0; spec.dims.as_ref().map_or(1, Vec::len)];
    with_dtype!(spec.dtype, T => of::<T>(&shape))
}

/// The same elements in another shape of as many; the tensor's memory stays.
pub(super) fn reshaped(tensor: Tensor, shape: &[usize]) -> Option<Tensor> {
    fn of<T: Element>(array: ArrayD<T>, shape: &[usize]) -> Option<Tensor> {
        array.into_shape_with_order(IxDyn(shape)).ok().map(T::wrap)
    }
    with_tensor!(tensor, array => of(array, shape))
}

/// A tensor in the protocol's binary form, over the tensor's own memory unless it is BYTES.
pub fn output_bytes(tensor: Tensor, output: &str) -> Result<Bytes, EncodeError> {
    elements::into_bytes(tensor).or_else(|strings| raw::strings_bytes(&strings, output))
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;
    use crate::tensor::DType;

    fn row(keys: &[&str], values: &[f32]) -> Value {
        let keys = MapKeys::String(keys.iter().map(|key| (*key).to_owned()).collect());
        Value::Map { keys, values: Tensor::F32(arr1(values).into_dyn()) }
    }

    fn zipmap() -> OutputSpec {
        let value = Box::new(ValueType::Tensor { dtype: DType::F32, dims: Some(Vec::new()) });
        let map = ValueType::Map { key: DType::String, value };
        OutputSpec { name: "p".to_owned(), value: ValueType::Sequence(Box::new(map)) }
    }

    #[test]
    fn maps_of_the_same_labels_are_a_matrix() {
        let rows = vec![row(&["a", "b"], &[0.25, 0.75]), row(&["a", "b"], &[1.0, 0.0])];
        let carried = into_tensor(Value::Sequence(rows), &zipmap()).unwrap();
        assert_eq!(carried.tensor.shape(), [2, 2]);
        assert_eq!(carried.labels.unwrap(), ["a", "b"]);
        assert_eq!(carried_spec(&zipmap()).unwrap().to_string(), "float32[?, ?]");
        let none = into_tensor(Value::Sequence(Vec::new()), &zipmap()).unwrap();
        assert_eq!((none.tensor.shape(), none.labels), ([0, 0].as_slice(), None));
    }

    #[test]
    fn what_is_no_tensor_is_refused_with_a_way_out() {
        let rows = vec![row(&["a"], &[0.25]), row(&["b"], &[1.0])];
        let error = into_tensor(Value::Sequence(rows), &zipmap()).unwrap_err().to_string();
        assert!(error.contains("different labels") && error.contains("scoring URI"), "{error}");
        let item = Box::new(ValueType::Tensor { dtype: DType::F32, dims: None });
        let tensors = OutputSpec { name: "s".to_owned(), value: ValueType::Sequence(item) };
        assert_eq!(carried_spec(&tensors), None);
        let value = Value::Sequence(vec![Tensor::F32(arr1(&[1.0]).into_dyn()).into()]);
        assert!(into_tensor(value, &tensors).is_err());
    }
}
