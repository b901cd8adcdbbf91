//! Tensors, their types and shapes, and the signature a model publishes.
//!
//! Everything above passes these values around; nothing here knows of JSON, HTTP or an engine.

mod dtype;
mod element;
mod layout;
mod rows;
mod shape;
mod signature;
mod value;

pub use dtype::DType;
pub use element::Element;
pub use rows::{first_rows, join_rows, split_rows};
pub use shape::{Shape, element_count, extent};
pub use signature::{Dim, OutputSpec, ShapeMismatch, Signature, TensorSpec, ValueType};
pub use value::{MapKeys, Tensor, Value};

pub(crate) use element::{with_dtype, with_tensor};

#[cfg(test)]
mod tests;
