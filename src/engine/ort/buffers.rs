//! Memory of one session's own, which its inputs are put together in and its outputs come back to.
//!
//! A GPU reads and writes memory that the system may not move ("pinned") by itself, while the processor does something else; other
//! memory is first copied by the driver. Such memory is dear to allocate, so it is kept and used again. The rows of several requests
//! are written straight into it, and rows of padding behind them.

use std::ffi::c_void;

use ort::memory::Allocator;
use ort::value::{DynTensor, DynTensorValueType, DynValue, PrimitiveTensorElementType};

use super::copies::Copies;
use super::device::Placed;
use super::recent::Recent;
use super::view::{Kind, Place, no_texts, over};
use crate::engine::{Buckets, RunError};
use crate::tensor::{DType, Dim, Element, Signature, Tensor, ValueType, element_count};

/// What a session keeps for later runs.
const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

const COPIED_BY_THE_RUNTIME: &str =
    "large inputs are copied to the GPU within their runs, which takes time from others";

/// Memory of the session's, as the runtime allocated it.
pub(super) struct Buffer {
    pub value: DynValue,
    pub kind: Kind,
}

impl Buffer {
    /// Where its elements are.
    pub(super) fn data(&mut self) -> Result<*mut c_void, RunError> {
        let tensor = self.value.view().downcast::<DynTensorValueType>();
        Ok(tensor.map_err(|error| RunError::Failed(error.to_string()))?.data_ptr().cast_mut())
    }
}

pub(super) struct Buffers {
    /// By which large inputs come to the GPU, unless the runtime brings them.
    copies: Option<Copies>,
    allocator: Allocator,
    kept: Recent<Kind, DynValue>,
    outputs: Vec<Shape>,
    /// The sizes that runs are padded to, once that is allowed.
    pub buckets: Option<Buckets>,
    /// Whether outputs are given memory in advance; not where a model's outputs turn out to be of other shapes than it says.
    pub has_outputs: bool,
    max_output_elements: usize,
}

/// What is known of an output's shape before the run.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Known(DType, Vec<usize>),
    /// As many rows as the inputs have, each of this shape.
    Rows(DType, Vec<usize>),
    Unknown,
}

/// How many rows a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// Of the requests.
    pub asked: usize,
    /// With those of padding.
    pub run: usize,
}

impl Buffers {
    /// For a graph that computes at `place`, and takes inputs from memory of this allocator.
    pub(super) fn new(
        place: Place,
        allocator: Allocator,
        signature: &Signature,
        max_output_elements: usize,
    ) -> Buffers {
        let copies = Copies::start(place).inspect_err(|reason| tracing::warn!(reason, "{COPIED_BY_THE_RUNTIME}"));
        Buffers {
            copies: copies.ok(),
            allocator,
            kept: Recent::new(KEPT_BYTES_MAX),
            outputs: shapes(signature),
            buckets: None,
            has_outputs: true,
            max_output_elements,
        }
    }

    /// The rows of requests that are run together; `None` for inputs that have none in common.
    pub(super) fn rows(&self, parts: &[&[Tensor]]) -> Option<Rows> {
        let asked = parts.iter().map(|inputs| rows_of(inputs)).sum::<Option<usize>>()?;
        Some(Rows { asked, run: self.buckets.map_or(asked, |buckets| buckets.rows_for(asked)) })
    }

    /// The requests' inputs, one after the other, and copies of the last row as far as `rows` asks for them.
    pub(super) fn fill(&mut self, parts: &[&[Tensor]], rows: Option<Rows>) -> Result<Vec<Buffer>, RunError> {
        let Some((first, others)) = parts.split_first() else { return Err(failed("there are no inputs")) };
        let mut buffers = Vec::with_capacity(first.len());
        for (index, tensor) in first.iter().enumerate() {
            let mut shape = tensor.shape().to_vec();
            if let (Some(rows), Some(size)) = (rows, shape.first_mut()) {
                *size = rows.run;
            } else if !others.is_empty() {
                return Err(failed("the inputs have no rows to be joined"));
            }
            let tensors: Option<Vec<&Tensor>> = parts.iter().map(|inputs| inputs.get(index)).collect();
            let tensors = tensors.ok_or_else(|| failed("the requests have not the same inputs"))?;
            let mut buffer = self.take(Kind { dtype: tensor.dtype(), shape })?;
            write(&mut buffer.value, &tensors)?;
            buffers.push(buffer);
        }
        Ok(buffers)
    }

    /// Memory for the outputs whose shapes are known.
    pub(super) fn outputs(&mut self, rows: Option<Rows>) -> Result<Vec<Option<Buffer>>, RunError> {
        if !self.has_outputs {
            return Ok(self.outputs.iter().map(|_| None).collect());
        }
        let max_elements = self.max_output_elements;
        let kinds = self.outputs.iter().map(|shape| {
            let kind = match (shape, rows) {
                (Shape::Known(dtype, shape), _) => Kind { dtype: *dtype, shape: shape.clone() },
                (Shape::Rows(dtype, row), Some(rows)) => {
                    Kind { dtype: *dtype, shape: [&[rows.run], row.as_slice()].concat() }
                }
                _ => return None,
            };
            // What is too large is to be told as such, and what is empty needs none.
            element_count(&kind.shape).is_some_and(|count| (1..=max_elements).contains(&count)).then_some(kind)
        });
        let kinds: Vec<_> = kinds.collect();
        kinds.into_iter().map(|kind| kind.map(|kind| self.take(kind)).transpose()).collect()
    }

    /// Large inputs where the graph computes; none if the runtime is to bring them.
    pub(super) fn bring(&mut self, inputs: &mut [Buffer]) -> Vec<Placed> {
        let Some(copies) = &mut self.copies else { return Vec::new() };
        match copies.bring(inputs, &self.allocator) {
            Ok(brought) => brought,
            Err(error) => {
                tracing::warn!(%error, "{COPIED_BY_THE_RUNTIME}");
                self.copies = None;
                Vec::new()
            }
        }
    }

    /// Takes back what was brought.
    pub(super) fn take_back(&mut self, brought: Vec<Placed>) {
        if let Some(copies) = &mut self.copies {
            copies.give_back(brought);
        }
    }

    /// A buffer as the processor's memory, which a run may use for as long as the buffer is left alone.
    ///
    /// The runtime takes pinned memory that it knows as such for the GPU's own: kernels read inputs out of it over the bus, again and
    /// again, and an output's copy to it fails for being one onto itself (1.31.1). What it takes for the processor's it copies,
    /// on the run's stream, and the driver sees that it is pinned.
    #[allow(unsafe_code, reason = "a value over memory that is lent")]
    pub(super) fn host_value(&self, buffer: &mut Buffer) -> Result<DynValue, RunError> {
        let data = buffer.data()?;
        // SAFETY: the buffer was allocated for this kind, in memory that the processor reaches. The values are dropped in the
        // function that asks for them (`session`), before their buffers are given back.
        unsafe { over(data, &buffer.kind, Place::Host, &self.allocator) }
    }

    fn take(&mut self, kind: Kind) -> Result<Buffer, RunError> {
        if let Some(value) = self.kept.take(&kind) {
            return Ok(Buffer { value, kind });
        }
        let element = kind.element_type().ok_or_else(no_texts)?;
        let tensor = DynTensor::new(&self.allocator, element, kind.shape.as_slice());
        Ok(Buffer { value: tensor.map_err(|error| RunError::Failed(error.to_string()))?.into_dyn(), kind })
    }

    /// Keeps a buffer for later.
    pub(super) fn give_back(&mut self, Buffer { value, kind }: Buffer) {
        let bytes = kind.bytes();
        self.kept.put(kind, value, bytes);
    }
}

/// The first dimension, if all inputs have the same.
fn rows_of(inputs: &[Tensor]) -> Option<usize> {
    let mut rows = inputs.iter().map(|input| input.shape().first().copied());
    let first = rows.next().flatten()?;
    rows.all(|other| other == Some(first)).then_some(first)
}

/// What the signature says of each output's shape.
fn shapes(signature: &Signature) -> Vec<Shape> {
    let first = |dims: &Option<Vec<Dim>>| dims.as_ref().and_then(|dims| dims.first()).cloned();
    let symbol = signature.inputs.first().and_then(|input| match first(&input.dims)? {
        Dim::Dynamic(symbol) => symbol,
        Dim::Fixed(_) => None,
    });
    let fixed = |dims: &[Dim]| -> Option<Vec<usize>> {
        dims.iter().map(|dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None }).collect()
    };
    let shape = |value: &ValueType| {
        let ValueType::Tensor { dtype, dims: Some(dims) } = value else { return Shape::Unknown };
        if *dtype == DType::String {
            return Shape::Unknown;
        }
        if let Some(shape) = fixed(dims) {
            return Shape::Known(*dtype, shape);
        }
        match dims.split_first() {
            Some((Dim::Dynamic(Some(own)), rest)) if Some(own) == symbol.as_ref() => {
                fixed(rest).map_or(Shape::Unknown, |row| Shape::Rows(*dtype, row))
            }
            _ => Shape::Unknown,
        }
    };
    // An output that is an input itself is handed back as it came: memory that was given for it would stay as it was.
    let is_made = |name: &str| signature.input_index(name).is_none();
    let outputs = signature.outputs.iter();
    outputs.map(|output| if is_made(&output.name) { shape(&output.value) } else { Shape::Unknown }).collect()
}

/// Writes tensors one after the other, and then copies of the last row until the buffer is full.
fn write(buffer: &mut DynValue, tensors: &[&Tensor]) -> Result<(), RunError> {
    match tensors.first() {
        Some(Tensor::Bool(_)) => copy::<bool>(buffer, tensors),
        Some(Tensor::I8(_)) => copy::<i8>(buffer, tensors),
        Some(Tensor::I16(_)) => copy::<i16>(buffer, tensors),
        Some(Tensor::I32(_)) => copy::<i32>(buffer, tensors),
        Some(Tensor::I64(_)) => copy::<i64>(buffer, tensors),
        Some(Tensor::U8(_)) => copy::<u8>(buffer, tensors),
        Some(Tensor::U16(_)) => copy::<u16>(buffer, tensors),
        Some(Tensor::U32(_)) => copy::<u32>(buffer, tensors),
        Some(Tensor::U64(_)) => copy::<u64>(buffer, tensors),
        Some(Tensor::F16(_)) => copy::<half::f16>(buffer, tensors),
        Some(Tensor::BF16(_)) => copy::<half::bf16>(buffer, tensors),
        Some(Tensor::F32(_)) => copy::<f32>(buffer, tensors),
        Some(Tensor::F64(_)) => copy::<f64>(buffer, tensors),
        Some(Tensor::String(_)) | None => Err(no_texts()),
    }
}

fn copy<T>(buffer: &mut DynValue, tensors: &[&Tensor]) -> Result<(), RunError>
where
    T: Element + PrimitiveTensorElementType + Copy,
{
    let (_, mut room) = buffer.try_extract_tensor_mut::<T>().map_err(|error| RunError::Failed(error.to_string()))?;
    let mut last_row: &[T] = &[];
    for tensor in tensors {
        let array = T::array(tensor).ok_or_else(|| failed("the requests' inputs are of different types"))?;
        let elements = array.as_slice().ok_or_else(|| failed("an input tensor is not contiguous"))?;
        let (own, rest) = std::mem::take(&mut room)
            .split_at_mut_checked(elements.len())
            .ok_or_else(|| failed("the requests' inputs are of different shapes"))?;
        own.copy_from_slice(elements);
        room = rest;
        let row = elements.len() / array.shape().first().copied().unwrap_or(1).max(1);
        last_row = &elements[elements.len() - row..];
    }
    if room.is_empty() {
        return Ok(());
    }
    if last_row.is_empty() || room.len() % last_row.len() != 0 {
        return Err(failed("the requests' inputs are of different shapes"));
    }
    room.chunks_exact_mut(last_row.len()).for_each(|row| row.copy_from_slice(last_row));
    Ok(())
}

fn failed(reason: &str) -> RunError {
    RunError::Failed(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{OutputSpec, TensorSpec};

    #[test]
    fn an_outputs_shape_is_known_if_only_its_rows_are_open() {
        let symbol = |name: &str| Dim::Dynamic(Some(name.to_owned()));
        let output = |dtype, dims: Vec<Dim>| {
            let value = ValueType::Tensor { dtype, dims: Some(dims) };
            OutputSpec { name: "y".to_owned(), value }
        };
        let passed = OutputSpec { name: "x".to_owned(), ..output(DType::F32, vec![Dim::Fixed(2)]) };
        let input = TensorSpec { name: "x".to_owned(), dtype: DType::F32, dims: Some(vec![symbol("N"), symbol("L")]) };
        let outputs = vec![
            output(DType::F32, vec![symbol("N"), Dim::Fixed(3)]),
            output(DType::F32, vec![symbol("N"), symbol("L")]),
            output(DType::F32, vec![symbol("M"), Dim::Fixed(3)]),
            output(DType::F32, vec![Dim::Dynamic(None)]),
            output(DType::I64, vec![Dim::Fixed(2)]),
            output(DType::String, vec![symbol("N")]),
            passed,
        ];
        let unknown = || Shape::Unknown;
        let expected = [
            Shape::Rows(DType::F32, vec![3]),
            unknown(),
            unknown(),
            unknown(),
            Shape::Known(DType::I64, vec![2]),
            unknown(),
            unknown(),
        ];
        assert_eq!(shapes(&Signature { inputs: vec![input], outputs }), expected);
    }

    #[test]
    fn rows_are_those_that_all_inputs_share() {
        let tensor = |shape: &[usize]| f32::wrap(ndarray::ArrayD::zeros(shape));
        assert_eq!(rows_of(&[tensor(&[2, 3]), tensor(&[2])]), Some(2));
        assert_eq!(rows_of(&[tensor(&[2, 3]), tensor(&[1])]), None);
        assert_eq!(rows_of(&[tensor(&[])]), None);
        assert_eq!(rows_of(&[]), None);
    }
}
