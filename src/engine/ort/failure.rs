//! What a failed run says about who is at fault.

use ort::ErrorCode;

use crate::engine::RunError;
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

/// Sorts the error of a run. Memory that could not be had is put to the sender's account only if this machine can never have
/// it: then it was a size of theirs that asked for it.
pub(super) fn classify(code: ErrorCode, message: &str, stopped: bool) -> RunError {
    if stopped || message.contains("Exiting due to terminate flag") {
        return RunError::Interrupted;
    }
    let message = message.trim_end().to_owned();
    let lower = message.to_lowercase();
    let is_beyond_machine = || asked_bytes(&lower).zip(memory::total_bytes()).is_some_and(|(asked, all)| asked > all);
    let is_about_input = BLAMES_INPUT.iter().any(|words| lower.contains(words)) || is_beyond_machine();
    if code == ErrorCode::InvalidArgument || is_about_input {
        RunError::Rejected(message)
    } else {
        RunError::Failed(message)
    }
}

/// The size of the buffer that could not be had, if that is what failed.
fn asked_bytes(message: &str) -> Option<u64> {
    let (_, size) = message.split_once("failed to allocate memory for requested buffer of size ")?;
    size.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_else_the_words() {
        let kind = |code, text| classify(code, text, false);
        assert!(matches!(kind(ErrorCode::InvalidArgument, "whatever"), RunError::Rejected(_)));
        let text = "running MatMul node. Status Message: matmul_helper.h:59 Compute MatMul dimension mismatch";
        assert!(matches!(kind(ErrorCode::GenericFailure, text), RunError::Rejected(_)));
        let text = "bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of size 1\n";
        let RunError::Failed(kept) = kind(ErrorCode::RuntimeException, text) else { panic!("memory is no input") };
        assert_eq!(kept, text.trim_end());
        let text = "AllocateRawInternal Failed to allocate memory for requested buffer of size 4000000000000000";
        assert!(matches!(kind(ErrorCode::RuntimeException, text), RunError::Rejected(_)), "no machine has 4 PB");
    }

    #[test]
    fn a_stop_explains_whatever_came_of_it() {
        let text = "Exiting due to terminate flag being set to true.";
        assert!(matches!(classify(ErrorCode::GenericFailure, text, false), RunError::Interrupted));
        assert!(matches!(classify(ErrorCode::InvalidArgument, "other", true), RunError::Interrupted));
    }
}
