//! What is known of a value of the graph before anything runs.

use crate::engine::onnx;

/// Longer lists of integers are weights, not shapes or axes.
const INTEGERS_MAX: usize = 64;

/// The element type of 64-bit integers in onnx.proto.
const INT64: i32 = 7;

/// A value, as seen from the rows of the inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// The same for every request.
    Constant(Constant),
    /// As many rows as the inputs have, each made of the same row of the inputs alone. The sizes are those of one row, so there is
    /// one dimension more than here.
    Rows(Vec<Option<usize>>),
    /// Of dimensions 1 and the number of rows: each element is made of one row.
    Line,
    /// Not known to be either, since this operator.
    Mixed { operator: String },
}

/// What is known of a constant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constant {
    pub dims: Option<Vec<usize>>,
    /// Its elements, if they are a few integers.
    pub integers: Option<Vec<i64>>,
}

impl Constant {
    pub fn of(tensor: &onnx::Tensor) -> Constant {
        let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        Constant { dims, integers: integers(tensor) }
    }

    pub fn scalar(integer: Option<i64>) -> Constant {
        Constant { dims: Some(Vec::new()), integers: integer.map(|integer| vec![integer]) }
    }

    pub fn list(integers: &[i64]) -> Constant {
        Constant { dims: Some(vec![integers.len()]), integers: Some(integers.to_vec()) }
    }
}

fn integers(tensor: &onnx::Tensor) -> Option<Vec<i64>> {
    let count: i64 = tensor.dims.iter().try_fold(1i64, |count, &dim| count.checked_mul(dim))?;
    let count = usize::try_from(count).ok().filter(|&count| count <= INTEGERS_MAX)?;
    if tensor.data_type != INT64 || !tensor.external_data.is_empty() {
        return None;
    }
    let elements = match tensor.raw_data.chunks_exact(8) {
        chunks if !tensor.raw_data.is_empty() => {
            chunks.map(|bytes| i64::from_le_bytes(bytes.try_into().expect("a chunk has eight bytes"))).collect()
        }
        _ => tensor.int64_data.clone(),
    };
    (elements.len() == count).then_some(elements)
}
