//! What a failed run says about who is at fault.

use ort::ErrorCode;

use crate::engine::RunError;

/// Sorts the error of a run.
pub(super) fn classify(code: ErrorCode, message: &str, stopped: bool) -> RunError {
    if stopped || message.contains("Exiting due to terminate flag") {
        RunError::Interrupted
    } else if code == ErrorCode::InvalidArgument {
        RunError::Rejected(message.to_owned())
    } else {
        RunError::Failed(message.to_owned())
    }
}
