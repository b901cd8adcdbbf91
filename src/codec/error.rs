//! What can be wrong with a body, in words for its sender.

use std::ops::{Deref, DerefMut};

use crate::error::ErrorKind;

/// A body that cannot be a request for this model.
///
/// The text is for the scoring client: it speaks of the body and of the model's published signature only.
///
/// In a box, because it is part of what every reader returns, many times in each request, and large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.message)]
pub struct DecodeError(Box<DecodeRefusal>);

/// What a [`DecodeError`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeRefusal {
    pub fault: DecodeFault,
    pub message: String,
    /// Where: a JSON path (`$.data[0][3]`), or the name of a member of an archive.
    pub path: Option<String>,
    pub expected: Option<String>,
    pub got: Option<String>,
}

/// The class of the fault; its name is the stable `code` that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeFault {
    /// Not the format it claims to be: bad JSON, a truncated file.
    Malformed,
    /// Well formed, but the inputs are missing, unknown or given twice.
    WrongInputs,
    WrongType,
    WrongShape,
    /// A number that the input's type cannot hold unchanged.
    LossyNumber,
    /// More elements than one request may have.
    TooLarge,
}

impl DecodeFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            DecodeFault::Malformed => "malformed_body",
            DecodeFault::WrongInputs => "wrong_inputs",
            DecodeFault::WrongType => "wrong_type",
            DecodeFault::WrongShape => "wrong_shape",
            DecodeFault::LossyNumber => "lossy_number",
            DecodeFault::TooLarge => "too_many_elements",
        }
    }
}

impl DecodeError {
    pub fn new(fault: DecodeFault, message: impl Into<String>) -> Self {
        DecodeError(Box::new(DecodeRefusal { fault, message: message.into(), path: None, expected: None, got: None }))
    }

    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.0.got = Some(got.into());
        self
    }

    pub fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }

    pub fn into_refusal(self) -> DecodeRefusal {
        *self.0
    }
}

impl Deref for DecodeError {
    type Target = DecodeRefusal;

    fn deref(&self) -> &DecodeRefusal {
        &self.0
    }
}

impl DerefMut for DecodeError {
    fn deref_mut(&mut self) -> &mut DecodeRefusal {
        &mut self.0
    }
}

/// An answer that cannot be written in the form asked for. The text is for the scoring client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The form has no way to hold this output; the message says which can.
    #[error("{0}")]
    NotRepresentable(String),
    /// An output holds NaN or infinity, and the endpoint is set to treat that as an error.
    #[error(
        "output '{output}' holds {value}, which JSON cannot carry; ask for a binary reply such as application/x-npy"
    )]
    NonFinite { output: String, value: &'static str },
}

impl EncodeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            EncodeError::NotRepresentable(_) => ErrorKind::NotAcceptable,
            EncodeError::NonFinite { .. } => ErrorKind::NotAcceptable,
        }
    }
}
