//! Which form a body has, told by its top-level keys.
//!
//! The keys are the model's inputs (the named form), or one of them is an envelope that other servers' clients send. A
//! body is read in one pass: the form is clear when the deciding key is met. Only where an input has an envelope's name
//! are the keys looked over first.

use std::borrow::Cow;

use super::JsonReply;
use super::base64;
use super::frame;
use super::inputs::Inputs;
use super::members::{Items, Members};
use super::path::Within;
use super::refusal::{describe, shown};
use super::scan::Scanner;
use crate::codec::{DecodeError, DecodeFault, Dialect};

/// A top-level key that says in which form the inputs follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    /// Azure's scoring scripts.
    Data,
    /// Azure's MLflow models.
    InputData,
    /// MLflow: pandas, `orient="split"`.
    DataframeSplit,
    /// MLflow: pandas, `orient="records"`.
    DataframeRecords,
    /// TensorFlow Serving, row form.
    Instances,
    /// TensorFlow Serving, column form.
    Inputs,
    /// Power BI and AutoML.
    PowerBi,
}

impl Envelope {
    const ALL: [Envelope; 7] = [
        Envelope::Data,
        Envelope::InputData,
        Envelope::DataframeSplit,
        Envelope::DataframeRecords,
        Envelope::Instances,
        Envelope::Inputs,
        Envelope::PowerBi,
    ];

    const fn key(self) -> &'static str {
        match self {
            Envelope::Data => "data",
            Envelope::InputData => "input_data",
            Envelope::DataframeSplit => "dataframe_split",
            Envelope::DataframeRecords => "dataframe_records",
            Envelope::Instances => "instances",
            Envelope::Inputs => "inputs",
            Envelope::PowerBi => "Inputs",
        }
    }

    fn from_key(key: &str) -> Option<Envelope> {
        Envelope::ALL.into_iter().find(|envelope| envelope.key() == key)
    }

    /// Whether the dialect's clients send it.
    const fn belongs_to(self, dialect: Dialect) -> bool {
        match (dialect, self) {
            (Dialect::Any, _) => true,
            (_, Envelope::Instances | Envelope::Inputs) => true,
            (Dialect::Mlflow, Envelope::DataframeSplit | Envelope::DataframeRecords) => true,
            (Dialect::Mlflow | Dialect::TensorFlowServing, _) => false,
        }
    }

    const fn reply(self, dialect: Dialect) -> JsonReply {
        match (self, dialect) {
            (Envelope::Data | Envelope::InputData, _) => JsonReply::Bare,
            // MLflow answers a frame in rows, and tensors as tensors.
            (Envelope::Instances | Envelope::Inputs, Dialect::Mlflow) => JsonReply::PredictionColumns,
            // How many rows is known once the inputs are complete.
            (Envelope::DataframeSplit | Envelope::DataframeRecords | Envelope::Instances, _) => {
                JsonReply::Predictions { rows: 0 }
            }
            (Envelope::Inputs, _) => JsonReply::Outputs,
            (Envelope::PowerBi, _) => JsonReply::Results,
        }
    }

    fn read(self, scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
        match self {
            Envelope::Data | Envelope::InputData | Envelope::PowerBi => payload(scanner, inputs),
            Envelope::DataframeSplit => frame::read_split(scanner, inputs),
            Envelope::DataframeRecords => frame::read_records(scanner, inputs),
            Envelope::Instances => list(scanner, inputs),
            Envelope::Inputs => columns(scanner, inputs),
        }
    }
}

/// What the top-level keys have shown so far.
#[derive(Debug)]
enum Form<'a> {
    Unknown,
    Enveloped(Envelope),
    /// The first key that is an input's name.
    Named(Cow<'a, str>),
}

/// Reads a whole body.
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    inputs: &mut Inputs<'_>,
    dialect: Dialect,
) -> Result<JsonReply, DecodeError> {
    match scanner.peek() {
        None => return Err(empty(inputs, dialect)),
        Some(b'{') => {}
        Some(_) => return Err(no_object(scanner, inputs, dialect)),
    }
    // Only our own routes take inputs by name at the top.
    let takes_names = dialect == Dialect::Any;
    let names_decide = takes_names && ambiguous(inputs) && all_named(scanner.clone(), inputs)?;
    let mut form = Form::Unknown;
    let mut stray: Option<Cow<'_, str>> = None;
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        let envelope = Envelope::from_key(&key).filter(|envelope| !names_decide && envelope.belongs_to(dialect));
        let input = inputs.signature().input_index(&key).filter(|_| takes_names);
        match (envelope, input, &form) {
            (Some(envelope), _, Form::Unknown) => {
                envelope.read(scanner, inputs).in_member(&key)?;
                form = Form::Enveloped(envelope);
            }
            (None, Some(index), Form::Unknown | Form::Named(_)) => {
                inputs.read(index, scanner, None).in_member(&key)?;
                form = Form::Named(key);
            }
            (Some(_), _, Form::Enveloped(first)) | (_, Some(_), Form::Enveloped(first)) => {
                return Err(both(inputs, first.key(), &key));
            }
            (Some(_), _, Form::Named(first)) => return Err(both(inputs, first, &key)),
            // What else stands beside an envelope is for other servers, such as `GlobalParameters` or `signature_name`.
            (None, None, _) => {
                scanner.skip_value().in_member(&key)?;
                stray = stray.or(Some(key));
            }
        }
    }
    scanner.end()?;
    match (form, stray) {
        (Form::Enveloped(envelope), _) => Ok(envelope.reply(dialect)),
        (Form::Named(_), None) => Ok(JsonReply::Bare),
        (Form::Named(_), Some(stray)) => Err(inputs.unknown(&stray)),
        (Form::Unknown, None) if takes_names && inputs.signature().inputs.is_empty() => Ok(JsonReply::Bare),
        (Form::Unknown, stray) => Err(no_form(inputs, dialect, stray.as_deref())),
    }
}

/// Whether an input has the name of an envelope.
fn ambiguous(inputs: &Inputs<'_>) -> bool {
    inputs.signature().inputs.iter().any(|input| Envelope::from_key(&input.name).is_some())
}

/// Whether the keys are the inputs' names: exactly, or all of several and something else beside them.
fn all_named(mut scanner: Scanner<'_>, inputs: &Inputs<'_>) -> Result<bool, DecodeError> {
    let expected = inputs.signature().inputs.len();
    let (mut named, mut others) = (0, 0);
    let mut members = Members::open(&mut scanner)?;
    while let Some(key) = members.next(&mut scanner)? {
        match inputs.signature().input_index(&key) {
            Some(_) => named += 1,
            None => others += 1,
        }
        scanner.skip_value().in_member(&key)?;
    }
    Ok(named == expected && (others == 0 || expected > 1))
}

/// A value that is a tensor, a list of records, an object of inputs by name, or a frame.
fn payload(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
    match scanner.peek() {
        Some(b'{') if frame::is_split(scanner.clone(), inputs)? => frame::read_split(scanner, inputs),
        Some(b'{') => inputs.read_named(scanner),
        _ => list(scanner, inputs),
    }
}

/// A tensor, or a list of records.
fn list(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
    match (scanner.brackets_ahead(), inputs.signature().inputs.len()) {
        ((1, Some(b'{')), _) if inputs.takes_base64() && base64::leads(scanner.clone())? => {
            inputs.read(0, scanner, None)
        }
        ((1, Some(b'{')), _) => frame::read_records(scanner, inputs),
        (_, 1) => inputs.read(0, scanner, None),
        ((1, Some(b']')), _) => frame::read_records(scanner, inputs),
        _ => {
            let value = scanner.skip_value()?;
            let message = if inputs.signature().inputs.is_empty() {
                inputs.listing()
            } else {
                format!("the values must be named, as the model has several inputs; {}", inputs.listing())
            };
            Err(inputs.wrong(message).got(describe(value)))
        }
    }
}

/// TensorFlow Serving's `inputs`: one tensor, or an object of them by name.
fn columns(scanner: &mut Scanner<'_>, inputs: &mut Inputs<'_>) -> Result<(), DecodeError> {
    match (scanner.peek(), scanner.brackets_ahead()) {
        (Some(b'{'), _) if inputs.takes_base64() && base64::is_wrapped(scanner.clone())? => {
            inputs.read(0, scanner, None)
        }
        (_, (1, Some(b'{'))) if inputs.takes_base64() && base64::leads(scanner.clone())? => {
            inputs.read(0, scanner, None)
        }
        (Some(b'{'), _) => inputs.read_named(scanner),
        (_, (1, Some(b'{'))) => {
            let mut ahead = scanner.clone();
            let v2 = is_v2(&mut ahead)?;
            let value = scanner.skip_value()?;
            let message = if v2 {
                "this is an Open Inference Protocol (v2) request, which this route does not take: send {\"inputs\": {name: tensor}}"
            } else {
                "\"inputs\" is one tensor or an object of tensors by name; a list of rows goes under \"instances\""
            };
            Err(inputs.wrong(message).got(describe(value)))
        }
        _ => list(scanner, inputs),
    }
}

/// Whether the first item of the list here is a tensor of the Open Inference Protocol.
fn is_v2(scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
    let mut items = Items::open(scanner)?;
    items.next(scanner)?;
    let (mut members, mut marks) = (Members::open(scanner)?, 0);
    while let Some(key) = members.next(scanner)? {
        marks += usize::from(matches!(key.as_ref(), "name" | "shape" | "datatype"));
        scanner.skip_value()?;
    }
    Ok(marks >= 2)
}

fn empty(inputs: &Inputs<'_>, dialect: Dialect) -> DecodeError {
    DecodeError::new(DecodeFault::Malformed, format!("the body is empty; {}", forms(inputs, dialect)))
        .expected("a JSON object")
        .got("nothing")
}

/// The body is JSON, but no object.
fn no_object(scanner: &mut Scanner<'_>, inputs: &Inputs<'_>, dialect: Dialect) -> DecodeError {
    let value = match scanner.skip_value().and_then(|value| scanner.end().map(|()| value)) {
        Ok(value) => value,
        Err(malformed) => return malformed,
    };
    let got = describe(value);
    inputs.wrong(format!("the body is {got}, not an object: wrap it: {}", forms(inputs, dialect))).got(got)
}

fn no_form(inputs: &Inputs<'_>, dialect: Dialect, stray: Option<&str>) -> DecodeError {
    match stray {
        Some(key) if dialect != Dialect::Any => inputs
            .wrong(format!("{} does not say what the inputs are; {}", shown(key), forms(inputs, dialect)))
            .got(shown(key)),
        Some(key) => {
            let mut unknown = inputs.unknown(key);
            unknown.message = format!("{}; {}", unknown.message, forms(inputs, dialect));
            unknown
        }
        None => inputs.wrong(format!("the body has no keys; {}", forms(inputs, dialect))).got("{}"),
    }
}

fn both(inputs: &Inputs<'_>, first: &str, second: &str) -> DecodeError {
    let message = format!(
        "the keys {} and {} contradict each other: each says where the inputs are; send one of them, or all inputs by name",
        shown(first),
        shown(second),
    );
    inputs.wrong(message).got(format!("{} and {}", shown(first), shown(second))).in_member(second)
}

/// The forms that a body may have, in the model's own names.
fn forms(inputs: &Inputs<'_>, dialect: Dialect) -> String {
    match dialect {
        Dialect::Any => {}
        Dialect::TensorFlowServing => {
            return "send {\"instances\": [row, …]} or {\"inputs\": {name: tensor, …}}".to_owned();
        }
        Dialect::Mlflow => {
            return "send {\"dataframe_split\": {\"columns\": […], \"data\": [[…]]}}, {\"dataframe_records\": [{…}]}, \
                    {\"instances\": […]} or {\"inputs\": …}"
                .to_owned();
        }
    }
    let names: Vec<_> = inputs.signature().inputs.iter().take(4).map(|input| input.name.as_str()).collect();
    let more = inputs.signature().inputs.len() > names.len();
    let named: Vec<_> = names.iter().map(|name| format!("{}: …", serde_json::Value::from(*name))).collect();
    let named = format!("{{{}{}}}", named.join(", "), if more { ", …" } else { "" });
    match names.len() {
        0 => "send {}".to_owned(),
        1 => format!("send {{\"data\": …}} or {named}"),
        _ => format!("send {named} or {{\"dataframe_split\": {{\"columns\": […], \"data\": [[…]]}}}}"),
    }
}
