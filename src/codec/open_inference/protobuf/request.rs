//! `ModelInferRequest`, read as it comes: one copy, from the connection's frames into the tensors that the engine reads.
//!
//! A message names its model before all else, as every library writes it, so the endpoint is known, and the caller's right to it
//! checked, before an input is looked at: [`Opening`] reads up to there, and [`Receiver`] the rest, against the endpoint's
//! signature. Fields may come in any order all the same; what comes too early is kept, within the message's own length.

use super::contents;
use super::cutter::{Current, Cutter};
use super::parameters::entry;
use super::wire::{Field, Fields, WireError, put_length, varint};
use crate::codec::fill::Fill;
use crate::codec::open_inference::intake::wrong_size;
use crate::codec::open_inference::receive::read_region;
use crate::codec::open_inference::{
    InferRequest, InputParameters, Intake, OutputParameters, Place, Regions, RequestParameters, Wanted,
};
use crate::codec::refusal::{malformed, quoted};
use crate::codec::{DecodeError, DecodeFault, Request};

const MODEL_NAME: u32 = 1;
const MODEL_VERSION: u32 = 2;
const ID: u32 = 3;
const PARAMETERS: u32 = 4;
const INPUTS: u32 = 5;
const OUTPUTS: u32 = 6;
const RAW_INPUT_CONTENTS: u32 = 7;
const RAW_INPUT_CONTENTS_NAME: &str = "raw_input_contents";

/// A request up to the name of its model.
#[derive(Debug)]
pub struct Opening {
    cutter: Cutter,
    model: ModelId,
    /// Fields that came before the name, as they came.
    early: Vec<u8>,
}

/// Which model a request is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelId {
    pub name: String,
    /// Empty for whichever answers.
    pub version: String,
}

/// Takes in what follows the name of the model.
pub struct Receiver<'a> {
    cutter: Cutter,
    model: ModelId,
    id: String,
    parameters: RequestParameters,
    wanted: Option<Wanted>,
    intake: Intake<'a>,
    regions: &'a dyn Regions,
    raw: Raw<'a>,
    /// Whether an input came with `contents`.
    is_typed: bool,
}

/// The inputs whose elements come in `raw_input_contents`.
#[derive(Default)]
struct Raw<'a> {
    /// In the order of the message.
    places: Vec<Place<'a>>,
    /// How many of their contents have begun.
    begun: usize,
    filling: Option<Fill<'a>>,
    /// Contents that came before their input, as they came.
    early: Vec<u8>,
}

impl Opening {
    /// The beginning of a message of this length; `None` if it is compressed, so that its length is not known yet.
    pub fn new(length: Option<usize>) -> Self {
        Opening { cutter: Cutter::new(length), model: ModelId::default(), early: Vec::new() }
    }

    /// Takes bytes from the chunk's front until the model is named; true once it is. The rest is [`Receiver::push`]'s.
    pub fn push(&mut self, chunk: &mut &[u8]) -> Result<bool, DecodeError> {
        while let Some(current) = self.cutter.field(chunk)? {
            let is_model = matches!(current.field, MODEL_NAME | MODEL_VERSION);
            if !is_model && !self.model.name.is_empty() {
                return Ok(true);
            }
            let Some(payload) = self.cutter.whole(chunk) else { return Ok(false) };
            match current.field {
                MODEL_NAME => self.model.name = text("model_name", &payload)?,
                MODEL_VERSION => self.model.version = text("model_version", &payload)?,
                field => {
                    put_length(&mut self.early, field, payload.len());
                    self.early.extend_from_slice(&payload);
                }
            }
        }
        Ok(false)
    }

    /// The model that was named, by now at the latest.
    pub fn model(&self) -> Result<&ModelId, DecodeError> {
        if self.model.name.is_empty() {
            self.cutter.finish()?;
            return Err(malformed("the request names no model").at("model_name").expected("the name of a model"));
        }
        Ok(&self.model)
    }
}

impl<'a> Receiver<'a> {
    /// Goes on after the opening, against the signature of the endpoint that it named.
    pub fn new(opening: Opening, request: Request<'a>, regions: &'a dyn Regions) -> Result<Self, DecodeError> {
        let mut receiver = Receiver {
            cutter: opening.cutter,
            model: opening.model,
            id: String::new(),
            parameters: RequestParameters::default(),
            wanted: None,
            intake: Intake::new(request),
            regions,
            raw: Raw::default(),
            is_typed: false,
        };
        for field in Fields::of(&opening.early) {
            if let (number, Field::Bytes(payload)) = field? {
                receiver.take(number, payload)?;
            }
        }
        Ok(receiver)
    }

    /// The request's own id, as far as it has been read.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The bytes that the next ones will have read at once, such as typed contents; raw ones flow into their tensors. A caller may
    /// want to know that they take longer than others.
    pub fn gathered_to_read(&self, next_bytes: usize) -> usize {
        self.cutter.gathered_to_complete(next_bytes)
    }

    /// The bytes that are yet to be read at the end; what has flowed into its tensor needs nothing more.
    pub fn left_to_read(&self) -> usize {
        self.raw.early.len()
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        while let Some(current) = self.cutter.field(&mut chunk)? {
            if current.field == RAW_INPUT_CONTENTS && self.begin_raw(current)? {
                let part = self.cutter.part(&mut chunk);
                self.raw.fill(part)?;
                if part.len() < current.left {
                    return Ok(());
                }
                self.end_raw()?;
            } else {
                let Some(payload) = self.cutter.whole(&mut chunk) else { return Ok(()) };
                self.take(current.field, &payload)?;
            }
        }
        Ok(())
    }

    /// Ends the message.
    pub fn finish(mut self) -> Result<InferRequest, DecodeError> {
        self.cutter.finish()?;
        let early = std::mem::take(&mut self.raw.early);
        for field in Fields::of(&early) {
            let (field, Field::Bytes(payload)) = field? else { continue };
            if !self.begin_raw(Current { field, left: payload.len() })? {
                let count = self.raw.places.len();
                let message =
                    format!("raw_input_contents has more entries than the {count} inputs that have no other contents");
                return Err(DecodeError::new(DecodeFault::WrongInputs, message).at(RAW_INPUT_CONTENTS_NAME));
            }
            self.raw.fill(payload)?;
            self.end_raw()?;
        }
        for place in &self.raw.places[self.raw.begun..] {
            // What has no elements need not have an entry either.
            if !place.shape.contains(&0) {
                let message =
                    format!("input '{}' has neither `contents` nor an entry in raw_input_contents", place.spec.name);
                return Err(DecodeError::new(DecodeFault::WrongInputs, message).at(&place.spec.name));
            }
            self.intake.put_bytes(place, &[])?;
        }
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => Wanted::all(self.intake.signature(), true)?,
        };
        Ok(InferRequest { inputs: self.intake.finish()?, parameters: self.parameters, wanted, id: self.id })
    }

    /// Takes a field that is there as a whole.
    fn take(&mut self, field: u32, payload: &[u8]) -> Result<(), DecodeError> {
        match field {
            MODEL_NAME => same(&self.model.name, "model_name", payload)?,
            MODEL_VERSION => same(&self.model.version, "model_version", payload)?,
            ID => self.id = text("id", payload)?,
            PARAMETERS => {
                if let Some((key, value)) = entry(payload)? {
                    self.parameters.take(&key, &value)?;
                }
            }
            INPUTS => self.input(payload)?,
            OUTPUTS => self.output(payload)?,
            RAW_INPUT_CONTENTS => {
                put_length(&mut self.raw.early, field, payload.len());
                self.raw.early.extend_from_slice(payload);
            }
            // The protocol may get fields that are not known here.
            _ => {}
        }
        Ok(())
    }

    /// Takes an input: all but its elements, if they come in `raw_input_contents`.
    fn input(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let (mut name, mut datatype, mut elements) = (&b""[..], &b""[..], None);
        let (mut shape, mut parameters) = (Vec::new(), InputParameters::default());
        let max_rank = self.intake.request().policy.max_rank;
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(bytes)) => name = bytes,
                (2, Field::Bytes(bytes)) => datatype = bytes,
                (3, Field::Varint(size)) => shape.push(size),
                (3, Field::Bytes(mut packed)) => {
                    // One more than there may be, which is then refused.
                    while !packed.is_empty() && shape.len() <= max_rank {
                        let (size, bytes) = varint(packed)?.ok_or(WireError::Truncated)?;
                        shape.push(size);
                        packed = &packed[bytes..];
                    }
                }
                (4, Field::Bytes(bytes)) => {
                    let Some((key, value)) = entry(bytes)? else { continue };
                    parameters.take(&key, &value)?;
                }
                (5, Field::Bytes(bytes)) if !bytes.is_empty() => {
                    if elements.replace(bytes).is_some() {
                        return Err(malformed("an input has `contents` twice"));
                    }
                }
                (1..=5, Field::Bytes(_)) | (6.., _) => {}
                _ => return Err(malformed("an input has a field of another wire type than it should have")),
            }
        }
        self.open(name, datatype, &shape, &parameters, elements)
    }

    fn open(
        &mut self,
        name: &[u8],
        datatype: &[u8],
        shape: &[u64],
        parameters: &InputParameters,
        elements: Option<&[u8]>,
    ) -> Result<(), DecodeError> {
        let (name, datatype) = (text("an input's name", name)?, text("an input's datatype", datatype)?);
        let size = |size: &u64| {
            let refuse = || {
                let size = size.cast_signed();
                let message =
                    format!("the shape of input '{}' has the size {size}; sizes are 0 or more", quoted(&name));
                DecodeError::new(DecodeFault::WrongShape, message).at(quoted(&name)).got(size.to_string())
            };
            i64::try_from(*size).ok().and_then(|size| usize::try_from(size).ok()).ok_or_else(refuse)
        };
        let shape = shape.iter().map(size).collect::<Result<_, _>>()?;
        let place = self.intake.open(&name, &datatype, shape)?;
        match (parameters.region()?, elements) {
            (None, None) => self.raw.places.push(place),
            (None, Some(_)) if self.raw.begun > 0 => return Err(mixed()),
            (None, Some(elements)) => {
                self.is_typed = true;
                let count = self.intake.count(&place)?;
                let tensor = contents::read(place.spec, &place.shape, count, elements)?;
                self.intake.put(&place, tensor);
            }
            (Some(_), Some(_)) => {
                let message = format!("input '{name}' has `contents` and is in shared memory; it can be in one place");
                return Err(DecodeError::new(DecodeFault::WrongInputs, message).at(name));
            }
            (Some(region), None) => {
                let tensor = read_region(&mut self.intake, &place, &region, self.regions)?;
                self.intake.put(&place, tensor);
            }
        }
        Ok(())
    }

    fn output(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let (mut name, mut parameters) = (&b""[..], OutputParameters::default());
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(bytes)) => name = bytes,
                (2, Field::Bytes(bytes)) => {
                    let Some((key, value)) = entry(bytes)? else { continue };
                    parameters.take(&key, &value)?;
                }
                _ => {}
            }
        }
        let wanted = self.wanted.get_or_insert_with(Wanted::none);
        wanted.push(self.intake.signature(), &text("an output's name", name)?, &parameters)
    }

    /// Begins, or goes on with, the contents of a raw input; false if that input has not come yet.
    fn begin_raw(&mut self, current: Current) -> Result<bool, DecodeError> {
        if self.is_typed {
            return Err(mixed());
        }
        if self.raw.filling.is_some() {
            return Ok(true);
        }
        let Some(place) = self.raw.places.get(self.raw.begun) else { return Ok(false) };
        match place.bytes() {
            Some(needed) if needed != current.left => {
                return Err(wrong_size(place, needed, current.left));
            }
            _ => {}
        }
        self.raw.filling = Some(self.intake.fill(place)?);
        self.raw.begun += 1;
        Ok(true)
    }

    fn end_raw(&mut self) -> Result<(), DecodeError> {
        if let Some(fill) = self.raw.filling.take() {
            let tensor = fill.finish()?;
            self.intake.put(&self.raw.places[self.raw.begun - 1], tensor);
        }
        Ok(())
    }
}

impl Raw<'_> {
    fn fill(&mut self, mut part: &[u8]) -> Result<(), DecodeError> {
        let Some(fill) = &mut self.filling else { return Ok(()) };
        fill.push(&mut part)?;
        if part.is_empty() {
            return Ok(());
        }
        let place = &self.places[self.begun - 1];
        let message = format!("the raw contents of input '{}' go on after the last of its strings", place.spec.name);
        Err(malformed(message).at(&place.spec.name))
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> DecodeError {
        malformed(format!("the message is not a ModelInferRequest: {error}")).expected("inference.ModelInferRequest")
    }
}

fn mixed() -> DecodeError {
    let message = "the request has both `contents` and raw_input_contents; all inputs use one or the other";
    DecodeError::new(DecodeFault::WrongInputs, message)
}

fn text(what: &str, bytes: &[u8]) -> Result<String, DecodeError> {
    let text =
        str::from_utf8(bytes).map_err(|_| malformed(format!("{what} is not valid UTF-8")).expected("UTF-8 text"))?;
    Ok(text.to_owned())
}

/// The endpoint was chosen, and the caller's right to it checked, by what came first.
fn same(first: &str, what: &str, again: &[u8]) -> Result<(), DecodeError> {
    if first.as_bytes() == again {
        return Ok(());
    }
    let message = format!("{what} comes after other fields; it stands once, before all fields of higher number");
    Err(malformed(message).at(what))
}
