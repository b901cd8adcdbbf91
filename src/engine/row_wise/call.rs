//! An operator, with what is known of its inputs.

use super::known::{Batch, Known, Tensor};
use super::size::{Size, Symbols};
use crate::engine::onnx::{Attribute, Node};

/// An operator whose inputs are all known.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub node: &'a Node,
    /// `None` is one that is left out.
    pub inputs: &'a [Option<Known>],
    /// The version of the operator set that it is of.
    pub version: i64,
    pub symbols: &'a Symbols,
}

impl Call<'_> {
    pub fn op(&self) -> &str {
        &self.node.op_type
    }

    pub fn input(&self, index: usize) -> Option<&Known> {
        self.inputs.get(index)?.as_ref()
    }

    pub fn is_given(&self, index: usize) -> bool {
        self.input(index).is_some()
    }

    /// A tensor of known rank, whose elements do not count rows.
    pub fn tensor(&self, index: usize) -> Option<&Tensor> {
        match self.input(index)? {
            Known::Tensor(tensor) if !tensor.counts_rows() => Some(tensor),
            _ => None,
        }
    }

    /// A tensor of known rank that is the same whichever rows run together.
    pub fn shared(&self, index: usize) -> Option<&Tensor> {
        self.tensor(index).filter(|tensor| tensor.is_shared())
    }

    /// A tensor with rows along its first dimension.
    pub fn rows_first(&self, index: usize) -> Option<&Tensor> {
        self.tensor(index).filter(|tensor| tensor.axis_of_rows() == Some(0))
    }

    /// A tensor that is shared, or has its rows along its first dimension.
    pub fn rows_first_if_any(&self, index: usize) -> Option<&Tensor> {
        self.tensor(index).filter(|tensor| tensor.axis_of_rows().is_none_or(|axis| axis == 0))
    }

    /// Whether an input is left out, or the same whichever rows run together.
    pub fn is_shared(&self, index: usize) -> bool {
        self.input(index).is_none_or(Known::is_shared)
    }

    pub fn are_shared(&self, indices: impl IntoIterator<Item = usize>) -> bool {
        indices.into_iter().all(|index| self.is_shared(index))
    }

    /// Whether all inputs from this one on are.
    pub fn are_shared_from(&self, first: usize) -> bool {
        self.are_shared(first..self.inputs.len())
    }

    /// Whether each of these inputs is left out, or one number for all elements.
    pub fn are_one_number(&self, indices: impl IntoIterator<Item = usize>) -> bool {
        let is_one = |tensor: &Tensor| tensor.is_shared() && tensor.dims.iter().all(|size| size.is(1));
        indices.into_iter().all(|index| !self.is_given(index) || self.tensor(index).is_some_and(is_one))
    }

    /// The elements of a list or scalar.
    pub fn elements(&self, index: usize) -> Option<&[Size]> {
        match self.input(index)? {
            Known::Tensor(Tensor { batch: None, elements: Some(elements), dims, .. }) if dims.len() <= 1 => {
                Some(elements)
            }
            _ => None,
        }
    }

    /// The elements of a list or scalar that is the same in every run of the model.
    pub fn numbers(&self, index: usize) -> Option<Vec<i64>> {
        self.elements(index)?.iter().map(Size::known).collect()
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn number(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|attribute| attribute.i)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.number(name).unwrap_or(0) != 0
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(|attribute| std::str::from_utf8(&attribute.s).ok())
    }

    /// Integers by an attribute, as in old versions of an operator, or by an input. `Ok(None)` if neither is given.
    pub fn list(&self, name: &str, input: usize) -> Result<Option<Vec<i64>>, Unclear> {
        match self.attribute(name) {
            Some(attribute) => Ok(Some(attribute.ints.clone())),
            None if self.is_given(input) => self.numbers(input).map(Some).ok_or(Unclear),
            None => Ok(None),
        }
    }

    /// The attribute `axis` as an index into so many dimensions.
    pub fn axis(&self, default: i64, rank: usize) -> Option<usize> {
        axis(self.number("axis").unwrap_or(default), rank)
    }

    /// Whether rows of this input, if it has any, lie like these.
    pub fn has_rows_like(&self, index: usize, batch: &Option<Batch>) -> bool {
        match self.tensor(index) {
            Some(tensor) => tensor.batch == *batch,
            None => false,
        }
    }
}

/// An input that says where an operator reaches, and is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

/// An axis, which may be counted from behind, as an index into so many dimensions.
pub fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank_number = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank_number)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

pub fn axes(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|&number| axis(number, rank)).collect()
}
