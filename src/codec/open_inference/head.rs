//! The JSON of an inference request: the whole of it, or what comes before the bytes of its tensors.
//!
//! Read in one pass, the elements straight into their tensors. Keys that are not known are passed over (clients send their
//! own), keys given twice are refused. Source: KServe's `open_inference_rest.yaml`, Triton's `extension_binary_data.md`.

use std::borrow::Cow;

use super::intake::{Intake, Place, wrong_size};
use super::parameters::{InputParameters, OutputParameters, Parameter, RequestParameters};
use super::region::Region;
use super::wanted::Wanted;
use crate::codec::json::array::{self, Bounds, Strings};
use crate::codec::json::integer;
use crate::codec::json::members::{Items, Members};
use crate::codec::json::path::{Within, from_root};
use crate::codec::json::refusal::{describe, malformed, wrong_type};
use crate::codec::json::scan::Scanner;
use crate::codec::json::string;
use crate::codec::{DecodeError, DecodeFault};
use crate::tensor::Tensor;

/// What the JSON says besides the elements that it holds.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// As the client gave it, or empty.
    pub id: String,
    pub parameters: RequestParameters,
    /// The inputs whose bytes follow the JSON, in order, and how many bytes each has.
    pub binary: Vec<(Place<'a>, usize)>,
    /// The inputs that are in shared memory.
    pub shared: Vec<(Place<'a>, Region)>,
    /// `None` where the request lists no outputs.
    pub wanted: Option<Wanted>,
}

/// Reads the JSON; the inputs it holds are put into `intake`, the others opened there.
pub(super) fn read<'a>(json: &[u8], intake: &mut Intake<'a>) -> Result<Head<'a>, DecodeError> {
    let mut scanner = Scanner::new(json, intake.request().policy.max_json_depth);
    let head = read_request(&mut scanner, intake).map_err(from_root)?;
    intake.check_complete()?;
    Ok(head)
}

fn read_request<'a>(scanner: &mut Scanner<'_>, intake: &mut Intake<'a>) -> Result<Head<'a>, DecodeError> {
    let mut head = Head {
        id: String::new(),
        parameters: RequestParameters::default(),
        binary: Vec::new(),
        shared: Vec::new(),
        wanted: None,
    };
    if scanner.peek().is_none() {
        let message = "the body is empty; send {\"inputs\": [{\"name\", \"datatype\", \"shape\", \"data\"}, …]}";
        return Err(DecodeError::new(DecodeFault::Malformed, message).expected("a JSON object").got("nothing"));
    }
    let mut has_inputs = false;
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        if is_null(scanner)? {
            continue;
        }
        match key.as_ref() {
            "id" => read_text(scanner).map(|id| head.id = id.into_owned()),
            "parameters" => read_parameters(scanner, |key, value| {
                if key.starts_with("triton_") {
                    let message = format!("parameters whose names begin with 'triton_' are reserved, as '{key}' is");
                    return Err(DecodeError::new(DecodeFault::WrongInputs, message));
                }
                head.parameters.take(key, value)
            }),
            "inputs" => {
                has_inputs = true;
                read_list(scanner, |scanner| read_input(scanner, intake, &mut head))
            }
            "outputs" => {
                let mut wanted = Wanted::none();
                let read = read_list(scanner, |scanner| read_output(scanner, intake, &mut wanted));
                head.wanted = Some(wanted).filter(|wanted| !wanted.outputs.is_empty());
                read
            }
            _ => scanner.skip_value().map(|_| ()),
        }
        .in_member(&key)?;
    }
    scanner.end()?;
    if !has_inputs && !intake.signature().inputs.is_empty() {
        let message =
            "the request has no \"inputs\"; send {\"inputs\": [{\"name\", \"datatype\", \"shape\", \"data\"}, …]}";
        return Err(DecodeError::new(DecodeFault::WrongInputs, message).expected("inputs"));
    }
    Ok(head)
}

/// One of the request's inputs, as far as it has been read.
#[derive(Debug, Default)]
struct InputHead<'t, 'a> {
    name: Option<Cow<'t, str>>,
    datatype: Option<Cow<'t, str>>,
    shape: Option<Vec<usize>>,
    parameters: InputParameters,
    /// Once it is known which input this is.
    place: Option<Place<'a>>,
    /// Where its elements are, if they are in the JSON.
    data: Option<Data<'t>>,
}

#[derive(Debug)]
enum Data<'t> {
    Read(Tensor),
    /// They came before it was known what they are of.
    At(Scanner<'t>),
}

fn read_input<'a>(scanner: &mut Scanner<'_>, intake: &mut Intake<'a>, head: &mut Head<'a>) -> Result<(), DecodeError> {
    let mut input = InputHead::default();
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        if is_null(scanner)? {
            continue;
        }
        input.read_member(&key, scanner, intake).in_member(&key)?;
        input.open(intake)?;
    }
    input.settle(intake, head)
}

impl<'t, 'a> InputHead<'t, 'a> {
    fn read_member(
        &mut self,
        key: &str,
        scanner: &mut Scanner<'t>,
        intake: &mut Intake<'a>,
    ) -> Result<(), DecodeError> {
        match (key, &self.place) {
            ("name", _) => self.name = Some(read_text(scanner)?),
            ("datatype", _) => self.datatype = Some(read_text(scanner)?),
            ("shape", _) => self.shape = Some(read_shape(scanner, intake.request().policy.max_rank)?),
            ("parameters", _) => read_parameters(scanner, |key, value| self.parameters.take(key, value))?,
            ("data", Some(place)) => self.data = Some(Data::Read(read_data(scanner, intake, place)?)),
            ("data", None) => {
                self.data = Some(Data::At(scanner.clone()));
                scanner.skip_value()?;
            }
            _ => {
                scanner.skip_value()?;
            }
        }
        Ok(())
    }

    /// Finds the input in the model as soon as all is there that tells it.
    fn open(&mut self, intake: &mut Intake<'a>) -> Result<(), DecodeError> {
        if let (Some(name), Some(datatype), Some(shape), None) = (&self.name, &self.datatype, &self.shape, &self.place)
        {
            let place = intake.open(name, datatype, shape.clone()).map_err(|mut error| {
                // It is told by its place in the JSON.
                error.path = None;
                error
            })?;
            self.place = Some(place);
        }
        Ok(())
    }

    /// The input has been read: its elements are in exactly one place.
    fn settle(self, intake: &mut Intake<'a>, head: &mut Head<'a>) -> Result<(), DecodeError> {
        let Some(place) = self.place else {
            let lacking = [("name", self.name.is_none()), ("datatype", self.datatype.is_none()), ("shape", true)];
            let what = lacking.iter().find(|(_, lacks)| *lacks).map_or("shape", |(what, _)| what);
            let message = format!("an input needs a name, a datatype and a shape; this one has no {what}");
            return Err(DecodeError::new(DecodeFault::WrongInputs, message).expected(what));
        };
        let region = self.parameters.region()?;
        match (self.data, self.parameters.binary_data_size, region) {
            (Some(data), None, None) => {
                let tensor = match data {
                    Data::Read(tensor) => tensor,
                    Data::At(mut here) => read_data(&mut here, intake, &place).in_member("data")?,
                };
                intake.put(&place, tensor);
            }
            (None, Some(size), None) => {
                if let Some(needed) = place.bytes().filter(|needed| *needed != size) {
                    let mut error = wrong_size(&place, needed, size);
                    // It is told by its place in the JSON.
                    error.path = None;
                    return Err(error);
                }
                head.binary.push((place, size));
            }
            (None, None, Some(region)) => head.shared.push((place, region)),
            (None, None, None) => {
                let message = format!(
                    "input '{}' has no elements: give \"data\", or \"parameters\": {{\"binary_data_size\": …}} and its bytes \
                     behind the JSON",
                    place.spec.name
                );
                return Err(DecodeError::new(DecodeFault::WrongInputs, message).expected("data"));
            }
            _ => {
                let message = format!(
                    "input '{}' has its elements in more than one place: give one of \"data\", binary_data_size and \
                     shared_memory_region",
                    place.spec.name
                );
                return Err(DecodeError::new(DecodeFault::WrongInputs, message));
            }
        }
        Ok(())
    }
}

fn read_data<'a>(scanner: &mut Scanner<'_>, intake: &mut Intake<'a>, place: &Place<'a>) -> Result<Tensor, DecodeError> {
    let elements = intake.count(place).map_err(|mut error| {
        error.path = None;
        error
    })?;
    let policy = intake.request().policy;
    let bounds = Bounds {
        null_input: policy.null_input,
        max_elements: policy.max_elements,
        elements_left: elements,
        strings: Strings::Text,
    };
    array::read_shaped(scanner, place.spec, bounds, &place.shape)
}

fn read_output(scanner: &mut Scanner<'_>, intake: &Intake<'_>, wanted: &mut Wanted) -> Result<(), DecodeError> {
    let mut parameters = OutputParameters::default();
    let mut name = None;
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        match key.as_ref() {
            "name" => read_text(scanner).map(|text| name = Some(text)),
            "parameters" => read_parameters(scanner, |key, value| parameters.take(key, value)),
            _ => scanner.skip_value().map(|_| ()),
        }
        .in_member(&key)?;
    }
    let name =
        name.ok_or_else(|| DecodeError::new(DecodeFault::WrongInputs, "an output needs a name").expected("name"))?;
    wanted.push(intake.signature(), &name, &parameters)
}

/// Passes over a `null`, which clients write for what they leave out.
fn is_null(scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
    let is_null = scanner.peek() == Some(b'n');
    if is_null {
        scanner.skip_value()?;
    }
    Ok(is_null)
}

/// Reads each item of the array here.
fn read_list<'t>(
    scanner: &mut Scanner<'t>,
    mut read: impl FnMut(&mut Scanner<'t>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of objects", scanner.skip_value()?));
    }
    let mut items = Items::open(scanner)?;
    while items.next(scanner)? {
        if scanner.peek() != Some(b'{') {
            return Err(wrong_type("an object", scanner.skip_value()?)).in_item(items.index());
        }
        read(scanner).in_item(items.index())?;
    }
    Ok(())
}

fn read_text<'t>(scanner: &mut Scanner<'t>) -> Result<Cow<'t, str>, DecodeError> {
    if scanner.peek() == Some(b'"') {
        return string::take(scanner);
    }
    Err(wrong_type("a text", scanner.skip_value()?))
}

fn read_shape(scanner: &mut Scanner<'_>, max_rank: usize) -> Result<Vec<usize>, DecodeError> {
    if scanner.peek() != Some(b'[') {
        return Err(wrong_type("a list of sizes", scanner.skip_value()?));
    }
    let mut shape = Vec::new();
    let mut items = Items::open(scanner)?;
    while items.next(scanner)? {
        if shape.len() == max_rank {
            let message = format!("at most {max_rank} dimensions are accepted");
            return Err(DecodeError::new(DecodeFault::WrongShape, message).expected(format!("{max_rank} or fewer")));
        }
        scanner.peek();
        match integer::parse::<usize>(scanner.rest()) {
            Some((size, rest)) => {
                scanner.resume(rest);
                shape.push(size);
            }
            None => {
                let value = scanner.skip_value()?;
                let message = format!("a size is a whole number, 0 or more, and not {}", describe(value));
                return Err(DecodeError::new(DecodeFault::WrongShape, message)
                    .expected("0 or more")
                    .got(describe(value)))
                .in_item(items.index());
            }
        }
    }
    Ok(shape)
}

/// Reads an object of parameters. `null` says nothing.
fn read_parameters(
    scanner: &mut Scanner<'_>,
    mut take: impl FnMut(&str, &Parameter) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match scanner.peek() {
        Some(b'{') => {}
        Some(b'n') => return scanner.skip_value().map(|_| ()),
        _ => return Err(wrong_type("an object", scanner.skip_value()?)),
    }
    let mut members = Members::open(scanner)?;
    while let Some(key) = members.next(scanner)? {
        if let Some(value) = read_parameter(scanner).in_member(&key)? {
            take(&key, &value).in_member(&key)?;
        }
    }
    Ok(())
}

fn read_parameter(scanner: &mut Scanner<'_>) -> Result<Option<Parameter>, DecodeError> {
    if scanner.peek() == Some(b'"') {
        return Ok(Some(Parameter::Text(string::take(scanner)?.into_owned())));
    }
    let here = scanner.clone();
    let value = scanner.skip_value()?;
    Ok(match value {
        b"true" => Some(Parameter::Bool(true)),
        b"false" => Some(Parameter::Bool(false)),
        b"null" => None,
        [b'{' | b'[', ..] => return Err(wrong_type("a text, a number, true or false", value)),
        number => {
            let text = std::str::from_utf8(number).unwrap_or_default();
            let whole = text.parse().ok().map(Parameter::Integer);
            let number = whole.or_else(|| text.parse().ok().map(Parameter::Real));
            Some(number.ok_or_else(|| malformed(&here, "a number cannot be read"))?)
        }
    })
}
