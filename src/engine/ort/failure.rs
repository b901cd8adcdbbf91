//! What a failed run says about who is at fault.

use ort::ErrorCode;

use super::allocator;
use crate::engine::RunError;
use crate::engine::environment::{self, Lack};
use crate::memory;

/// How ONNX Runtime 1.31 words a failure that the values or shapes of the inputs cause, where its code does not say so.
///
/// Found by provoking each operator named; the texts are lower-cased parts of its own.
const BLAMES_INPUT: [&str; 25] = [
    "attempting to broadcast an axis",      // Add and all element-wise operators, Where
    "can broadcast 0 by 0 or 1",            // the same, given nothing
    "cannot broadcast on dim",              // MatMul's leading dimensions
    "dimension mismatch",                   // MatMul
    "axis dimensions must match",           // Concat
    "cannot be reshaped",                   // Reshape
    "at most one dimension can be -1",      // Reshape
    "cannot be less than -1",               // Reshape
    "exceeds the dimension size of the",    // Reshape
    "shape has too many elements",          // Reshape
    "must be 1 instead of",                 // Squeeze
    "cannot split using values",            // Split
    "cannot be split evenly",               // Split
    "all values must be >= 0",              // Split
    "must not be negative",                 // TopK
    "is not in valid range",                // an axis given as an input: Squeeze, CumSum, ReduceSum
    "pads tensor size should be equal",     // Pad
    "is not equal to kernel channels",      // Conv
    "out of range value in index",          // GatherElements
    "should not be greater than specified", // TopK
    "shape.size() must be >= 0",            // Expand, Pad, ConstantOfShape given negative sizes
    "integer overflow",                     // sizes whose product no number holds: Expand, ConstantOfShape
    "storage size overflow",                // the same, in bytes
    "by zero",                              // Div and Mod of integers
    "status message: sto",                  // Cast of a string that is no number (C++ stod, stof, stoi)
];

/// How it words that an output did not fit into the memory that it was given, which it calls the caller's fault.
const BLAMES_OUTPUT: &str = "The output OrtValue provided";

/// A run that failed.
pub(super) struct Failure<'a> {
    pub code: ErrorCode,
    pub message: &'a str,
    /// The block of memory that the runtime was refused, if that is what it failed of.
    pub refused_bytes: Option<usize>,
    /// Whether the run was asked to end.
    pub stopped: bool,
}

impl Failure<'_> {
    /// What `run` gives, or who is at fault if it gives nothing. `was_stopped` is asked then.
    pub(super) fn of<T>(
        run: impl FnOnce() -> ort::Result<T>,
        was_stopped: impl FnOnce() -> bool,
    ) -> Result<T, RunError> {
        // What an earlier run was refused is not this one's.
        allocator::refused_bytes();
        run().map_err(|error| {
            let (code, message) = (error.code(), error.message());
            Failure { code, message, refused_bytes: allocator::refused_bytes(), stopped: was_stopped() }.classify()
        })
    }

    /// Whose it is. Memory that could not be had is put to the sender's account only if this machine can never have it: then
    /// it was a size of theirs that asked for it.
    fn classify(&self) -> RunError {
        if self.stopped || self.message.contains("Exiting due to terminate flag") {
            return RunError::Interrupted;
        }
        let mut message = self.message.trim_end().to_owned();
        let lower = message.to_lowercase();
        let is_about_input = BLAMES_INPUT.iter().any(|words| lower.contains(words)) || self.is_beyond_machine();
        if let Some(bytes) = self.refused_bytes {
            message += &format!(" (it asked for {bytes} bytes of memory)");
        }
        if let Some(Lack { what, remedy }) = environment::lacking(&message) {
            return RunError::Failed(format!("{what}; {remedy} ({message})"));
        }
        let is_about_output = self.message.contains(BLAMES_OUTPUT);
        if (self.code == ErrorCode::InvalidArgument || is_about_input) && !is_about_output {
            RunError::Rejected(message)
        } else {
            RunError::Failed(message)
        }
    }

    fn is_beyond_machine(&self) -> bool {
        let asked = self.refused_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        asked.zip(memory::total_bytes()).is_some_and(|(asked, all)| asked > all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: ErrorCode, message: &str) -> Failure<'_> {
        Failure { code, message, refused_bytes: None, stopped: false }
    }

    #[test]
    fn the_code_decides_and_else_the_words() {
        let kind = |code, text| failure(code, text).classify();
        assert!(matches!(kind(ErrorCode::InvalidArgument, "whatever"), RunError::Rejected(_)));
        let text = "running MatMul node. Status Message: matmul_helper.h:59 Compute MatMul dimension mismatch";
        assert!(matches!(kind(ErrorCode::GenericFailure, text), RunError::Rejected(_)));
        let text = "The output OrtValue provided for output 'y' has shape {3} but the computed output shape is {5}.";
        assert!(matches!(kind(ErrorCode::InvalidArgument, text), RunError::Failed(_)), "the model's own contradiction");
        let RunError::Failed(kept) = kind(ErrorCode::GenericFailure, "something\n") else { panic!("nobody is blamed") };
        assert_eq!(kept, "something");
    }

    #[test]
    fn memory_is_the_senders_only_if_no_such_machine_could_have_it() {
        let kind = |bytes| {
            let failure = failure(ErrorCode::RuntimeException, "std::bad_alloc");
            Failure { refused_bytes: Some(bytes), ..failure }.classify()
        };
        let RunError::Failed(text) = kind(1) else { panic!("a byte is no excuse") };
        assert_eq!(text, "std::bad_alloc (it asked for 1 bytes of memory)");
        assert!(matches!(kind(4_000_000_000_000_000), RunError::Rejected(_)), "no machine has 4 PB");
    }

    #[test]
    fn what_the_machine_lacks_is_nobodys_fault() {
        let text = "string_normalizer.cc Failed to construct locale with name:en_US.UTF-8:name not valid";
        let RunError::Failed(text) = failure(ErrorCode::InvalidArgument, text).classify() else {
            panic!("not the sender")
        };
        assert!(text.starts_with("the locale en_US.UTF-8 is not installed") && text.contains("localedef"), "{text}");
    }

    #[test]
    fn a_stop_explains_whatever_came_of_it() {
        let text = "Exiting due to terminate flag being set to true.";
        assert!(matches!(failure(ErrorCode::GenericFailure, text).classify(), RunError::Interrupted));
        let stopped = Failure { stopped: true, ..failure(ErrorCode::InvalidArgument, "other") };
        assert!(matches!(stopped.classify(), RunError::Interrupted));
    }
}
