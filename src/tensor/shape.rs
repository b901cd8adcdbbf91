//! Shapes and the one place that multiplies dimensions.

use std::fmt;

/// Dimensions as a user reads them: `[2, 10]`, and `[]` for a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape<'a>(pub &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// The number of elements of a shape; `None` when it does not fit a `usize`.
///
/// A zero anywhere makes it 0, even beside dimensions whose product would overflow: checked from the outside in, a hostile
/// `[2^40, 2^40, 0]` would otherwise be judged by the order of its parts.
pub fn element_count(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim))
}

/// The product of the dimensions other than 0, as which an array without elements has to fit its strides; `None` when it does
/// not fit an `isize`.
pub fn extent(dims: &[usize]) -> Option<usize> {
    let product = dims.iter().filter(|&&dim| dim > 0).try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    isize::try_from(product).is_ok().then_some(product)
}
