//! What a failed run says about who is at fault.

use ort::ErrorCode;

use crate::engine::RunError;

/// How ONNX Runtime 1.31 words a failure that the values or shapes of the inputs cause, where its code does not say so.
///
/// Found by provoking each operator named; the texts are lower-cased parts of its own.
const BLAMES_INPUT: [&str; 23] = [
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
    "by zero",                              // Div and Mod of integers
    "status message: sto",                  // Cast of a string that is no number (C++ stod, stof, stoi)
];

/// Sorts the error of a run. Memory that could not be had is never put to the sender's account, though a size of theirs may
/// have asked for it.
pub(super) fn classify(code: ErrorCode, message: &str, stopped: bool) -> RunError {
    if stopped || message.contains("Exiting due to terminate flag") {
        return RunError::Interrupted;
    }
    let message = message.trim_end().to_owned();
    let lower = message.to_lowercase();
    if code == ErrorCode::InvalidArgument || BLAMES_INPUT.iter().any(|words| lower.contains(words)) {
        RunError::Rejected(message)
    } else {
        RunError::Failed(message)
    }
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
    }

    #[test]
    fn a_stop_explains_whatever_came_of_it() {
        let text = "Exiting due to terminate flag being set to true.";
        assert!(matches!(classify(ErrorCode::GenericFailure, text, false), RunError::Interrupted));
        assert!(matches!(classify(ErrorCode::InvalidArgument, "other", true), RunError::Interrupted));
    }
}
