//! The closed list of ways a request or a command can fail.
//!
//! Every error type of the crate maps itself to one [`ErrorKind`]; the wire layers translate the kind, once, into an
//! HTTP status (`http/error.rs`). Nothing here knows about HTTP.

/// What class of failure this is, from the point of view of the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request can be mended by its sender: JSON, shape, type, a number that would have to change.
    BadInput,
    /// No key, or one that is not known.
    Unauthenticated,
    /// A known key without this right.
    Forbidden,
    /// No such route, endpoint or version.
    NotFound,
    /// Meant for another host than this one.
    Misdirected,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// Somebody else has changed it meanwhile, or what was written may not change.
    Conflict,
    /// The state of something else forbids it: it is in use, or would no longer fit.
    Precondition,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// A header is longer than the limit.
    HeaderTooLarge,
    /// The body's media type is not one we read.
    UnsupportedMediaType,
    /// The answer cannot be written in the form asked for.
    NotAcceptable,
    /// Too much waits already; try again later.
    Overloaded,
    /// The model failed while it ran.
    ModelFailed,
    /// Loading, draining or failed: not able to answer now.
    Unavailable,
    /// The deadline passed.
    DeadlineExceeded,
    /// A defect of the server itself.
    Internal,
}
