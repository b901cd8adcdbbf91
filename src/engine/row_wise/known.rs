//! What is known of a value of the graph before anything runs.

use super::size::{Size, Symbols, product};
use crate::engine::onnx;

/// Longer lists of integers are weights, not shapes or axes.
const ELEMENTS_MAX: usize = 64;

/// A value, as seen from the rows of the inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    Tensor(Tensor),
    /// The same whichever rows run together; its dimensions are not known.
    Shared,
    /// A tensor with rows, in which each element follows from the number of its own row.
    RowNumbers(Tensor, Numbers),
    /// A tensor with rows, whose last dimension lists places in another tensor: the first is the number of the row.
    RowPlaces(Tensor),
    /// Not known to be any of these, since this operator.
    Mixed {
        operator: String,
    },
}

/// The elements of a tensor, by the number of their row.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// The number of the row, times this.
    Times(Size),
    /// At least the number of the row times this, and below the same of the next row.
    Within(Size),
    /// Not known; the tensor's dimensions are.
    Other,
}

/// A tensor of known rank. It has rows, or it is the same whichever rows run together, but for what `elements` say.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<Size>,
    pub batch: Option<Batch>,
    /// The elements, in row-major order, of a short list without rows; they may depend on how many rows there are.
    pub elements: Option<Vec<Size>>,
    /// All elements are integers from 0 on, and below this.
    pub below: Option<Size>,
}

/// Where the rows of a tensor are: along one dimension, whose index is `(o * rows + row) * inner + i`, with `o` below `outer`. All
/// elements with one `row` are made of this row of the inputs alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub axis: usize,
    pub outer: Size,
    pub inner: Size,
}

impl Batch {
    /// Rows one after the other along this dimension.
    pub fn plain(axis: usize) -> Batch {
        Batch { axis, outer: Size::ONE, inner: Size::ONE }
    }

    pub fn at(&self, axis: usize) -> Batch {
        Batch { axis, ..self.clone() }
    }

    /// Whether the dimension is divided in the same way.
    pub fn is_like(&self, other: &Batch) -> bool {
        self.outer == other.outer && self.inner == other.inner
    }
}

impl Tensor {
    pub fn shared(dims: Vec<Size>) -> Tensor {
        Tensor { dims, batch: None, elements: None, below: None }
    }

    pub fn new(dims: Vec<Size>, batch: Option<Batch>) -> Tensor {
        Tensor { dims, batch, elements: None, below: None }
    }

    /// Another tensor with these dimensions and rows.
    pub fn alike(&self) -> Tensor {
        Tensor::new(self.dims.clone(), self.batch.clone())
    }

    /// A vector of integers.
    pub fn list(elements: Vec<Size>) -> Tensor {
        Tensor { dims: vec![size(elements.len())], batch: None, elements: Some(elements), below: None }
    }

    pub fn scalar(element: Size) -> Tensor {
        Tensor { dims: Vec::new(), batch: None, elements: Some(vec![element]), below: None }
    }

    /// A tensor of these dimensions, of which one may have the rows; all elements are the same, so that they may be divided
    /// among rows in any way. `None` if two have rows.
    pub fn uniform(dims: Vec<Size>) -> Option<Tensor> {
        let mut with_rows = dims.iter().enumerate().filter(|(_, size)| size.has_rows());
        let batch = match with_rows.next() {
            None => None,
            Some((axis, size)) => Some(Batch { axis, outer: Size::ONE, inner: size.divided_by(&Size::rows())? }),
        };
        with_rows.next().is_none().then(|| Tensor::new(dims.clone(), batch))
    }

    pub fn of(tensor: &onnx::Tensor, symbols: &Symbols) -> Known {
        let dims: Option<Vec<Size>> = tensor.dims.iter().map(|&dim| (dim >= 0).then(|| Size::of(dim))).collect();
        let Some(dims) = dims else { return Known::Shared };
        let count = product(&dims).and_then(|count| count.known());
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count <= ELEMENTS_MAX);
        let elements = count.filter(|_| dims.len() <= 1).and_then(|count| elements(tensor, count, symbols));
        Known::Tensor(Tensor { dims, batch: None, elements, below: None })
    }

    /// The same, with elements that are below `below`.
    pub fn with_below(self, below: Option<Size>) -> Tensor {
        Tensor { below, ..self }
    }

    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    pub fn axis_of_rows(&self) -> Option<usize> {
        self.batch.as_ref().map(|batch| batch.axis)
    }

    /// Whether it depends on how many rows there are.
    pub fn counts_rows(&self) -> bool {
        self.elements.iter().flatten().any(Size::has_rows)
    }

    /// Whether it is the same whichever rows run together.
    pub fn is_shared(&self) -> bool {
        self.batch.is_none() && !self.counts_rows()
    }

    /// Whether rows are along no dimension of these.
    pub fn has_no_rows_along(&self, axes: &[usize]) -> bool {
        self.axis_of_rows().is_none_or(|axis| !axes.contains(&axis))
    }

    /// Fills in symbols for the elements of what can be a shape, so that they are known to be the same wherever they are used.
    pub fn with_elements(mut self, symbols: &Symbols) -> Tensor {
        if self.batch.is_some() || self.elements.is_some() || self.rank() > 1 {
            return self;
        }
        let count = product(&self.dims).and_then(|count| count.known()).and_then(|count| usize::try_from(count).ok());
        if let Some(count) = count.filter(|&count| count <= ELEMENTS_MAX) {
            self.elements = Some((0..count).map(|_| symbols.integer()).collect());
        }
        self
    }
}

impl Known {
    pub fn is_shared(&self) -> bool {
        match self {
            Known::Tensor(tensor) => tensor.is_shared(),
            Known::Shared => true,
            Known::RowNumbers(..) | Known::RowPlaces(_) | Known::Mixed { .. } => false,
        }
    }

    /// A value that is one of these two, as far as both agree. `None` if that is of no use.
    pub fn either(&self, other: &Known, symbols: &Symbols) -> Option<Known> {
        match (self, other) {
            (Known::Tensor(a), Known::Tensor(b)) if a.rank() == b.rank() => {
                if a.batch != b.batch || a.counts_rows() || b.counts_rows() {
                    return (a == b).then(|| self.clone());
                }
                let dim = |(a, b): (&Size, &Size)| if a == b { a.clone() } else { symbols.size() };
                let dims: Vec<Size> = a.dims.iter().zip(&b.dims).map(dim).collect();
                let at_rows = |dims: &[Size]| a.axis_of_rows().map(|axis| dims[axis].clone());
                if at_rows(&dims) != at_rows(&a.dims) {
                    return None;
                }
                let elements = a.elements.clone().filter(|_| a.elements == b.elements);
                let tensor = Tensor { elements, ..Tensor::new(dims, a.batch.clone()) };
                Some(Known::Tensor(tensor.with_elements(symbols)))
            }
            (a, b) if a.is_shared() && b.is_shared() => Some(Known::Shared),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

pub fn size(count: usize) -> Size {
    Size::of(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The numbers of a constant that are integers, whatever their type; symbols for the others.
fn elements(tensor: &onnx::Tensor, count: usize, symbols: &Symbols) -> Option<Vec<Size>> {
    if !tensor.external_data.is_empty() {
        return None;
    }
    let float = |value: f64| {
        let is_integer = value.fract() == 0.0 && value.abs() < 1e15;
        if is_integer { Size::of(value as i64) } else { symbols.integer() }
    };
    let raw = &tensor.raw_data;
    let elements: Vec<Size> = match tensor.data_type {
        onnx::FLOAT if raw.is_empty() => tensor.float_data.iter().map(|&value| float(value.into())).collect(),
        onnx::FLOAT => bytes_of(raw).map(|bytes| float(f32::from_le_bytes(bytes).into())).collect(),
        onnx::DOUBLE => bytes_of(raw).map(|bytes| float(f64::from_le_bytes(bytes))).collect(),
        onnx::INT64 if raw.is_empty() => tensor.int64_data.iter().map(|&value| Size::of(value)).collect(),
        onnx::INT64 => bytes_of(raw).map(|bytes| Size::of(i64::from_le_bytes(bytes))).collect(),
        onnx::INT32 | onnx::BOOL if raw.is_empty() => {
            tensor.int32_data.iter().map(|&value| Size::of(value.into())).collect()
        }
        onnx::INT32 => bytes_of(raw).map(|bytes| Size::of(i32::from_le_bytes(bytes).into())).collect(),
        onnx::BOOL => raw.iter().map(|&byte| Size::of(byte.into())).collect(),
        _ => return None,
    };
    (elements.len() == count).then_some(elements)
}

fn bytes_of<const WIDTH: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; WIDTH]> + '_ {
    raw.chunks_exact(WIDTH).map(|bytes| bytes.try_into().expect("a chunk has that many bytes"))
}
