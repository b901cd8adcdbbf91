//! The one translation of failures into HTTP: status, code, and a body that helps.
//!
//! `docs/http-status-codes.md` tells users the same table; a test compares the two.

use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Body;
use crate::codec::{DecodeError, EncodeError};
use crate::error::ErrorKind;

/// The status code of each kind of failure.
pub const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadInput => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Precondition => StatusCode::PRECONDITION_FAILED,
        ErrorKind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorKind::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        ErrorKind::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorKind::ModelFailed | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// A failure as its sender is to see it.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub kind: ErrorKind,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people. Speaks of the request and of published facts only.
    pub message: String,
    /// Boxed, since results are passed around far more often than errors are made.
    details: Box<Details>,
}

/// Whose clients are to read an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// [`Wire`].
    #[default]
    Own,
    /// `{"error": "…"}`.
    TensorFlow,
    /// `{"error_code": "…", "message": "…"}`.
    Mlflow,
}

#[derive(Clone, Debug, Default)]
struct Details {
    form: ErrorForm,
    path: Option<String>,
    expected: Option<String>,
    got: Option<String>,
    example: Option<String>,
    retry_after_s: Option<u64>,
    allow: Option<&'static str>,
    ends_connection: bool,
}

/// The body of every refusal.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct Wire<'a> {
    error: WireError<'a>,
    /// The message once more at the top, where clients of Azure's server look for it.
    message: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorDetails")]
struct WireError<'a> {
    /// Stable, for programs.
    #[schemars(regex(pattern = "^[a-z0-9_]+$"))]
    code: &'static str,
    /// For people.
    message: &'a str,
    /// The place in the body: a JSON path, or the name of an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    path: Option<&'a str>,
    /// What belongs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    expected: Option<&'a str>,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    got: Option<&'a str>,
    /// A body that the model takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Value")]
    example: Option<Box<RawValue>>,
}

impl ApiError {
    /// A defect of ours.
    pub fn internal(message: &'static str) -> ApiError {
        ApiError::new(ErrorKind::Internal, "internal", message)
    }

    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { kind, code, message: message.into(), details: Box::default() }
    }

    /// Adds a body that would be valid. It must be JSON.
    pub fn with_example(mut self, example: Option<&str>) -> ApiError {
        self.details.example = example.map(str::to_owned);
        self
    }

    pub fn with_expected(mut self, expected: impl Into<String>) -> ApiError {
        self.details.expected = Some(expected.into());
        self
    }

    pub fn expected(&self) -> Option<&str> {
        self.details.expected.as_deref()
    }

    pub fn with_got(mut self, got: impl Into<String>) -> ApiError {
        self.details.got = Some(got.into());
        self
    }

    /// Chooses the form of the body.
    pub fn in_form(mut self, form: ErrorForm) -> ApiError {
        self.details.form = form;
        self
    }

    pub fn with_retry_after(mut self, seconds: u64) -> ApiError {
        self.details.retry_after_s = Some(seconds);
        self
    }

    /// Nothing more is read of this connection (HTTP/1).
    pub fn that_ends_the_connection(mut self) -> ApiError {
        self.details.ends_connection = true;
        self
    }

    pub fn wrong_method(allow: &'static str) -> ApiError {
        let message = format!("this path takes {allow}");
        let mut error = ApiError::new(ErrorKind::MethodNotAllowed, "method_not_allowed", message);
        error.details.allow = Some(allow);
        error
    }

    /// When to try again, if that can be said.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.details.retry_after_s
    }

    pub fn status(&self) -> StatusCode {
        status(self.kind)
    }

    /// All that there is to say in one text, but for the example.
    fn sentence(&self) -> String {
        let mut text = self.message.clone();
        let details = [("; at ", &self.details.path), ("; expected ", &self.details.expected)];
        for (words, detail) in details {
            if let Some(detail) = detail.as_deref().filter(|detail| !self.message.contains(detail)) {
                text.push_str(words);
                text.push_str(detail);
            }
        }
        text
    }

    fn body(&self) -> Vec<u8> {
        match self.details.form {
            ErrorForm::Own => {}
            ErrorForm::TensorFlow => return json!({ "error": self.sentence() }).to_string().into(),
            ErrorForm::Mlflow => {
                let body = json!({ "error_code": mlflow_code(self.kind), "message": self.sentence() });
                return body.to_string().into();
            }
        }
        let wire = Wire {
            error: WireError {
                code: self.code,
                message: &self.message,
                path: self.details.path.as_deref(),
                expected: self.details.expected.as_deref(),
                got: self.details.got.as_deref(),
                // An example that is not JSON would be a defect; the message is still worth sending without it.
                example: self.details.example.clone().and_then(|example| RawValue::from_string(example).ok()),
            },
            message: &self.message,
        };
        serde_json::to_vec(&wire).expect("texts always serialize")
    }

    pub fn into_response(self) -> Response<Body> {
        let body = self.body();
        self.answer(body)
    }

    /// The answer on the routes of the Open Inference Protocol, which has one text for all that there is to say.
    pub fn into_v2_response(self) -> Response<Body> {
        let mut text = self.sentence();
        if let Some(example) = &self.details.example {
            text.push_str("; a request that is valid here: ");
            text.push_str(example);
        }
        self.answer(json!({ "error": text }).to_string().into())
    }

    fn answer(self, body: Vec<u8>) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.details.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.details.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.details.ends_connection {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.kind == ErrorKind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The name that MLflow has for a failure (`mlflow/protos/databricks.proto`).
const fn mlflow_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadInput
        | ErrorKind::BodyTooLarge
        | ErrorKind::HeaderTooLarge
        | ErrorKind::UnsupportedMediaType
        | ErrorKind::NotAcceptable
        | ErrorKind::BodyTimeout
        | ErrorKind::Misdirected => "BAD_REQUEST",
        ErrorKind::Unauthenticated => "UNAUTHENTICATED",
        ErrorKind::Forbidden => "PERMISSION_DENIED",
        ErrorKind::NotFound | ErrorKind::MethodNotAllowed => "ENDPOINT_NOT_FOUND",
        ErrorKind::Conflict => "ABORTED",
        ErrorKind::Precondition => "INVALID_STATE",
        ErrorKind::Overloaded => "REQUEST_LIMIT_EXCEEDED",
        ErrorKind::ModelFailed | ErrorKind::Internal => "INTERNAL_ERROR",
        ErrorKind::Unavailable => "TEMPORARILY_UNAVAILABLE",
        ErrorKind::DeadlineExceeded => "DEADLINE_EXCEEDED",
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> ApiError {
        let kind = error.kind();
        let refusal = error.into_refusal();
        let mut api = ApiError::new(kind, refusal.fault.code(), refusal.message);
        api.details.path = refusal.path;
        api.details.expected = refusal.expected;
        api.details.got = refusal.got;
        api
    }
}

impl From<EncodeError> for ApiError {
    fn from(error: EncodeError) -> ApiError {
        ApiError::new(error.kind(), "reply_not_representable", error.to_string())
    }
}
