//! How many elements the outputs of one run may have together.
//!
//! A model can make an output's size from its inputs' values (`ConstantOfShape`, `Tile`, `Range`), so that a request of twenty
//! bytes asks for gigabytes. Engines ask here before they copy an output out of their own memory.

use super::RunError;

/// What is left for a run's outputs.
#[derive(Debug)]
pub(super) struct Allowance {
    max_elements: usize,
    left: usize,
}

impl Allowance {
    pub(super) fn new(max_elements: usize) -> Allowance {
        Allowance { max_elements, left: max_elements }
    }

    /// Takes an output's elements; `None` stands for more than can be counted.
    pub(super) fn take(&mut self, elements: Option<usize>) -> Result<(), RunError> {
        let left = elements.and_then(|elements| self.left.checked_sub(elements));
        self.left = left.ok_or(RunError::OutputsTooLarge { max_elements: self.max_elements })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_share_one_allowance() {
        let mut allowance = Allowance::new(10);
        assert!(allowance.take(Some(4)).is_ok() && allowance.take(Some(6)).is_ok() && allowance.take(Some(0)).is_ok());
        assert!(matches!(allowance.take(Some(1)), Err(RunError::OutputsTooLarge { max_elements: 10 })));
        assert!(Allowance::new(usize::MAX).take(None).is_err());
    }
}
