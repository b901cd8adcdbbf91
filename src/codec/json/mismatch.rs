//! What is said of a value that is not the input's: a second, slow look at the place where the reader stopped.
//!
//! Everything here may be slow and allocates freely; nothing here decides what is accepted.

use super::array::{Axis, Source};
use super::members::Items;
use super::refusal::{describe, malformed, wrong_type};
use super::remedy;
use super::scalar::{Kind, Scalar};
use super::scan::Scanner;
use crate::codec::{DecodeError, DecodeFault, NullInput};
use crate::tensor::{Shape, TensorSpec};

/// The value here is no element of this input.
#[cold]
pub(super) fn element<T: Scalar>(here: &Scanner<'_>, spec: &TensorSpec, null_input: NullInput) -> DecodeError {
    let mut scanner = here.clone();
    let value = match scanner.skip_value() {
        Ok(value) => value,
        Err(malformed) => return malformed,
    };
    let name = spec.dtype.name();
    let first = value.first().copied().unwrap_or_default();
    match (first, T::KIND) {
        (b'[', _) => {
            let message = format!("expected one {name} here, got an array: it is nested deeper than its neighbours");
            DecodeError::new(DecodeFault::WrongShape, message).expected(spec.to_string()).got(describe(value))
        }
        (b'-' | b'0'..=b'9', Kind::Number) => lossy(value, spec),
        (b'n', _) => null::<T>(spec, null_input),
        (b'"', Kind::Number) => {
            let mut error = wrong_type(name, value);
            error.message.push_str(": numbers are written without quotes");
            error
        }
        (_, Kind::Boolean) => {
            let mut error = wrong_type(name, value);
            error.message.push_str(": write true or false");
            error
        }
        _ => wrong_type(name, value),
    }
}

pub(super) fn lossy(value: &[u8], spec: &TensorSpec) -> DecodeError {
    let got = describe(value);
    let got = got.strip_prefix("number ").unwrap_or(&got);
    let name = spec.dtype.name();
    let integer = super::number::Literal::scan(value).is_some_and(|literal| literal.is_integer());
    let message = match (spec.dtype.is_float(), integer) {
        (true, _) => format!("{got} is too large for {name}"),
        (false, true) => format!("{got} is out of the range of {name}"),
        (false, false) => {
            format!("{got} is not an integer, and the input is {name}: numbers are never rounded silently")
        }
    };
    DecodeError::new(DecodeFault::LossyNumber, message).expected(name).got(got)
}

fn null<T: Scalar>(spec: &TensorSpec, null_input: NullInput) -> DecodeError {
    let name = spec.dtype.name();
    let remedy = match (T::NULL.is_some(), null_input) {
        (true, NullInput::Reject) => {
            "this endpoint does not take null for NaN (its setting null_input); \
                                      send a number, or NaN in a binary body such as application/x-npy"
        }
        (true, NullInput::NaN) => "it may only stand where a number may",
        (false, _) if T::KIND == Kind::String => {
            "only float inputs have a value for null (NaN); an empty text is written \"\""
        }
        (false, _) => "only float inputs have a value for null (NaN)",
    };
    let message = format!("expected {name}, got null: {remedy}");
    DecodeError::new(DecodeFault::WrongType, message).expected(name).got("null")
}

/// An input whose value is nested less or more deeply than it has dimensions.
#[cold]
pub(super) fn rank<T: Scalar>(
    here: &Scanner<'_>,
    spec: &TensorSpec,
    null_input: NullInput,
    rank: usize,
    columns: Option<usize>,
) -> DecodeError {
    let (brackets, next) = here.brackets_ahead();
    let mut scanner = here.clone();
    let value = match scanner.skip_value() {
        Ok(value) => value,
        Err(malformed) => return malformed,
    };
    let suits = match next {
        Some(b'"') => T::KIND == Kind::String,
        Some(b't' | b'f') => T::KIND == Kind::Boolean,
        Some(b'n') => T::NULL.is_some() && null_input == NullInput::NaN,
        _ => T::KIND == Kind::Number,
    };
    if next == Some(b'{') || (brackets == 0 && !suits) {
        return wrong_type(spec.to_string(), value);
    }
    let remedy = remedy::nest(value, spec, rank, columns);
    let message = format!("expected {spec}, which is {}, got {}: {remedy}", levels(rank), levels(brackets));
    DecodeError::new(DecodeFault::WrongShape, message).expected(spec.to_string()).got(describe(value))
}

/// Elements that are neither in one list nor nested as the shape beside them says.
#[cold]
pub(super) fn nesting(here: &Scanner<'_>, shape: &[usize]) -> DecodeError {
    let mut scanner = here.clone();
    let (brackets, _) = here.brackets_ahead();
    let value = match scanner.skip_value() {
        Ok(value) => value,
        Err(malformed) => return malformed,
    };
    let expected = match shape.len() {
        0 | 1 => "one list".to_owned(),
        rank => format!("one flat list, or lists nested {rank} deep"),
    };
    let (shape, got) = (Shape(shape), describe(value));
    let message = format!("elements of shape {shape} come in {expected}; this is {}: {got}", levels(brackets));
    DecodeError::new(DecodeFault::WrongShape, message).expected(expected).got(got)
}

fn levels(rank: usize) -> String {
    match rank {
        0 => "a bare value".to_owned(),
        1 => "one list".to_owned(),
        _ => format!("lists nested {rank} deep"),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A value stands where an array must: `levels_left` more dimensions follow.
#[cold]
pub(super) fn not_an_array<T: Scalar>(
    here: &Scanner<'_>,
    spec: &TensorSpec,
    null_input: NullInput,
    levels_left: usize,
) -> DecodeError {
    let mut scanner = here.clone();
    let value = match scanner.skip_value() {
        Ok(value) => value,
        Err(malformed) => return malformed,
    };
    if value == b"null" || value.first() == Some(&b'{') {
        return match value.first() {
            Some(b'n') => null::<T>(spec, null_input),
            _ => wrong_type(spec.to_string(), value),
        };
    }
    let got = describe(value);
    let message = format!(
        "expected {} here, as in {spec}, got {got}",
        match levels_left {
            1 => "a list of elements".to_owned(),
            more => levels(more),
        }
    );
    DecodeError::new(DecodeFault::WrongShape, message).expected(spec.to_string()).got(got)
}

/// The array that starts here has not the size it must have.
#[cold]
pub(super) fn size(start: &Scanner<'_>, spec: &TensorSpec, axis: usize, known: &Axis) -> DecodeError {
    let got = match count(start.clone()) {
        Ok(got) => got,
        Err(malformed) => return malformed,
    };
    sized(spec, &format!("dimension {axis}"), got, known)
}

/// A record brings another number of values than it must.
#[cold]
pub(super) fn cells(spec: &TensorSpec, got: usize, known: &Axis) -> DecodeError {
    sized(spec, "the number of columns", got, known)
}

/// The rows are not as many as the model's first dimension says.
#[cold]
pub(super) fn row_count(spec: &TensorSpec, got: usize, known: &Axis) -> DecodeError {
    sized(spec, "the number of rows", got, known)
}

fn sized(spec: &TensorSpec, what: &str, got: usize, known: &Axis) -> DecodeError {
    let size = known.size.unwrap_or_default();
    let reason = match known.source {
        Source::Model => format!("expected {spec}: {what} must be {size}"),
        Source::Columns => {
            format!("{size} column name{} were given, so each row must have {size} values", plural(size))
        }
        Source::Shape => format!("the shape that came with the data says that {what} is {size}"),
        Source::FirstRow => format!("the rows differ: the first such list has {size} item{}", plural(size)),
    };
    let message = format!("{reason}, this has {got}");
    let expected = if known.source == Source::Model { spec.to_string() } else { format!("length {size}") };
    DecodeError::new(DecodeFault::WrongShape, message).expected(expected).got(format!("length {got}"))
}

fn count(mut scanner: Scanner<'_>) -> Result<usize, DecodeError> {
    let mut items = Items::open(&mut scanner)?;
    while items.next(&mut scanner)? {
        scanner.skip_value()?;
    }
    Ok(items.count())
}

/// An input without a first dimension cannot come row by row.
#[cold]
pub(super) fn no_rows(spec: &TensorSpec) -> DecodeError {
    let message =
        format!("input '{}' is {spec}, a single value, and cannot be sent in rows: name it instead", spec.name);
    DecodeError::new(DecodeFault::WrongShape, message).expected(spec.to_string()).got("rows")
}

#[cold]
pub(super) fn too_large(max_elements: usize) -> DecodeError {
    let message = format!("the inputs have more than {max_elements} elements, the most that one request may have");
    DecodeError::new(DecodeFault::TooLarge, message).expected(format!("at most {max_elements} elements"))
}

/// After an element stands neither a comma nor the end of the array.
#[cold]
pub(super) fn separator<T: Scalar>(scanner: &mut Scanner<'_>) -> DecodeError {
    match scanner.rest().first() {
        Some(b'0'..=b'9') if T::KIND == Kind::Number => malformed(scanner, "a number has a leading zero"),
        Some(b'.' | b'e' | b'E') if T::KIND == Kind::Number => {
            malformed(scanner, "a number is incomplete: JSON wants digits before and after '.' and 'e'")
        }
        _ => scanner.unexpected("expected ',' or ']'"),
    }
}
