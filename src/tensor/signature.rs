//! What a model takes and gives: names, element types and dimensions, as its ONNX graph declares them.

use std::fmt;

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::{DType, Element, Shape, Tensor, element_count, extent, with_dtype};

/// One dimension of a declared shape. In JSON a number, a name, or `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this size.
    Fixed(usize),
    /// Any size; the graph may name it, and the same name means the same size within one request.
    Dynamic(Option<String>),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Dynamic(Some(symbol)) => f.write_str(symbol),
            Dim::Dynamic(None) => f.write_str("?"),
        }
    }
}

/// A declared tensor: an input, or an output that is a plain tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    pub name: String,
    pub dtype: DType,
    /// `None` when the graph does not state even the rank: any shape is taken.
    pub dims: Option<Vec<Dim>>,
}

/// The type of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    Tensor { dtype: DType, dims: Option<Vec<Dim>> },
    Sequence(Box<ValueType>),
    Map { key: DType, value: Box<ValueType> },
}

/// A declared output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    pub name: String,
    #[serde(flatten)]
    pub value: ValueType,
}

/// The inputs and outputs of a model, in the graph's order.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<OutputSpec>,
}

/// A shape that an input cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeMismatch {
    #[error("expected {expected} dimensions, got {got}")]
    Rank { expected: usize, got: usize },
    #[error("dimension {axis} must be {expected}, got {got}")]
    Size { axis: usize, expected: usize, got: usize },
}

impl TensorSpec {
    /// Whether a tensor of these dimensions can be this input.
    pub fn check_shape(&self, shape: &[usize]) -> Result<(), ShapeMismatch> {
        let Some(dims) = &self.dims else { return Ok(()) };
        if dims.len() != shape.len() {
            return Err(ShapeMismatch::Rank { expected: dims.len(), got: shape.len() });
        }
        for (axis, (dim, &got)) in dims.iter().zip(shape).enumerate() {
            match *dim {
                Dim::Fixed(expected) if expected != got => {
                    return Err(ShapeMismatch::Size { axis, expected, got });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether no tensor of these dimensions has an element.
    pub fn is_always_empty(&self) -> bool {
        self.dims.as_deref().is_some_and(|dims| dims.contains(&Dim::Fixed(0)))
    }

    /// The smallest useful shape: dynamic dimensions become 1.
    pub fn example_shape(&self) -> Vec<usize> {
        let dims = self.dims.as_deref().unwrap_or(&[]);
        dims.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { 1 }).collect()
    }
}

/// `float32[N, 10]`: how messages and documents name a type.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_type(f, self.dtype, self.dims.as_deref())
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueType::Tensor { dtype, dims } => write_type(f, *dtype, dims.as_deref()),
            ValueType::Sequence(item) => write!(f, "sequence({item})"),
            ValueType::Map { key, value } => write!(f, "map({key}, {value})"),
        }
    }
}

/// `(x: float32[N, 10]) → (y: float32[N])`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.inputs.iter().map(|input| format!("{}: {input}", input.name)).collect();
        let outputs: Vec<_> = self.outputs.iter().map(|output| format!("{}: {}", output.name, output.value)).collect();
        write!(f, "({}) → ({})", inputs.join(", "), outputs.join(", "))
    }
}

impl ValueType {
    fn is_like(&self, other: &ValueType) -> bool {
        match (self, other) {
            (ValueType::Tensor { dtype: a, dims: a_dims }, ValueType::Tensor { dtype: b, dims: b_dims }) => {
                a == b && dims_are_like(a_dims.as_deref(), b_dims.as_deref())
            }
            (ValueType::Sequence(a), ValueType::Sequence(b)) => a.is_like(b),
            (ValueType::Map { key: a_key, value: a }, ValueType::Map { key: b_key, value: b }) => {
                a_key == b_key && a.is_like(b)
            }
            _ => false,
        }
    }
}

fn dims_are_like(a: Option<&[Dim]>, b: Option<&[Dim]>) -> bool {
    let alike = |(a, b): (&Dim, &Dim)| a == b || matches!((a, b), (Dim::Dynamic(_), Dim::Dynamic(_)));
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(alike),
        _ => false,
    }
}

fn write_type(f: &mut fmt::Formatter<'_>, dtype: DType, dims: Option<&[Dim]>) -> fmt::Result {
    let Some(dims) = dims else { return write!(f, "{dtype}[…]") };
    write!(f, "{dtype}[")?;
    for (i, dim) in dims.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{dim}")?;
    }
    f.write_str("]")
}

impl Signature {
    /// The smallest useful inputs: zeros, `false` and empty texts in each input's example shape; `None` when even these have
    /// more than `max_elements` together, or dimensions that no array can have.
    pub fn example_inputs(&self, max_elements: usize) -> Option<Vec<Tensor>> {
        fn zeros<T: Element>(shape: &[usize]) -> Tensor {
            T::wrap(ArrayD::from_elem(shape, T::default()))
        }
        let shapes: Vec<_> = self.inputs.iter().map(TensorSpec::example_shape).collect();
        let counts = shapes.iter().map(|shape| element_count(shape));
        let total = counts.into_iter().try_fold(0usize, |total, count| total.checked_add(count?))?;
        let tensors =
            self.inputs.iter().zip(&shapes).map(|(input, shape)| with_dtype!(input.dtype, T => zeros::<T>(shape)));
        let is_possible = shapes.iter().all(|shape| extent(shape).is_some());
        (total <= max_elements && is_possible).then(|| tensors.collect())
    }

    /// Whether a request for one is a request for the other, and so is an answer: all is the same but for the names of sizes,
    /// which exporters choose.
    pub fn is_like(&self, other: &Signature) -> bool {
        self.inputs.len() == other.inputs.len()
            && self.outputs.len() == other.outputs.len()
            && self.inputs.iter().zip(&other.inputs).all(|(a, b)| {
                a.name == b.name && a.dtype == b.dtype && dims_are_like(a.dims.as_deref(), b.dims.as_deref())
            })
            && self.outputs.iter().zip(&other.outputs).all(|(a, b)| a.name == b.name && a.value.is_like(&b.value))
    }

    /// The position of an input by name.
    pub fn input_index(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|input| input.name == name)
    }

    /// A sentence on two inputs that give one named dimension different sizes, if there are such.
    ///
    /// ONNX says that a dimension's name stands for one size, yet runtimes do not enforce it and exporters get it wrong;
    /// so this is asked only to explain a run that has failed, never to refuse one.
    pub fn symbol_conflict(&self, tensors: &[Tensor]) -> Option<String> {
        let symbols = self.inputs.iter().flat_map(|input| input.dims.iter().flatten());
        // What occurs once agrees with itself.
        symbols.filter(|dim| matches!(dim, Dim::Dynamic(Some(_)))).nth(1)?;
        let mut seen: Vec<(&str, &str, usize)> = Vec::new();
        for (input, tensor) in self.inputs.iter().zip(tensors) {
            for (dim, &size) in input.dims.iter().flatten().zip(tensor.shape()) {
                let Dim::Dynamic(Some(symbol)) = dim else { continue };
                match seen.iter().find(|(name, ..)| name == symbol) {
                    Some(&(_, other, other_size)) if other_size != size => {
                        return Some(format!(
                            "dimension '{symbol}' is {other_size} in input '{other}' but {size} in input '{}' (shape {})",
                            input.name,
                            Shape(tensor.shape()),
                        ));
                    }
                    Some(_) => {}
                    None => seen.push((symbol, &input.name, size)),
                }
            }
        }
        None
    }
}
