//! The body of an inference request, as it comes off the socket: JSON, then the bytes of the tensors that it speaks of.
//!
//! Where the JSON ends is told beside the body (`Inference-Header-Content-Length`). As soon as it is there, each input has its
//! buffer, and what follows flows into these. Without that length all is JSON; with 0 there is none ([`super::raw_body`]).

use super::head::{self, Head};
use super::intake::{Intake, Place, wrong_size};
use super::parameters::RequestParameters;
use super::raw_body::RawBody;
use super::region::{Region, Regions};
use super::wanted::Wanted;
use crate::codec::fill::{Fill, take_until};
use crate::codec::refusal::wrong_length;
use crate::codec::{DecodeError, DecodeFault, Request};
use crate::tensor::Tensor;

/// The header that tells where the JSON ends; named here because the refusals must name it.
pub const JSON_LENGTH_HEADER: &str = "Inference-Header-Content-Length";

/// An inference request.
#[derive(Debug)]
pub struct InferRequest {
    /// As the client gave it, or empty.
    pub id: String,
    pub parameters: RequestParameters,
    /// In the signature's order; types and shapes are checked.
    pub inputs: Vec<Tensor>,
    pub wanted: Wanted,
}

/// Takes in one body.
pub struct Receiver<'a> {
    regions: &'a dyn Regions,
    json_bytes: Option<usize>,
    state: State<'a>,
}

enum State<'a> {
    /// Gathers the JSON.
    Json {
        intake: Intake<'a>,
        gathered: Vec<u8>,
    },
    Data(Data<'a>),
    Raw(RawBody<'a>),
}

/// The inputs whose bytes follow the JSON.
struct Data<'a> {
    intake: Intake<'a>,
    head: Head<'a>,
    inputs: Vec<Incoming<'a>>,
    /// The first one that lacks bytes.
    current: usize,
}

struct Incoming<'a> {
    place: Place<'a>,
    fill: Fill<'a>,
    bytes: usize,
    left: usize,
}

impl<'a> Receiver<'a> {
    /// `json_bytes` is the length of the JSON, where the client has told it.
    pub fn new(request: Request<'a>, json_bytes: Option<usize>, regions: &'a dyn Regions) -> Result<Self, DecodeError> {
        if json_bytes == Some(0) {
            let state = State::Raw(RawBody::new(request)?);
            return Ok(Receiver { regions, json_bytes, state });
        }
        let body_bytes = request.announced_bytes.unwrap_or(request.max_bytes).min(request.max_bytes);
        if let Some(json) = json_bytes.filter(|json| *json > body_bytes) {
            let message = format!("{JSON_LENGTH_HEADER} is {json}, but the body has no more than {body_bytes} bytes");
            return Err(wrong_length(message, json, body_bytes));
        }
        let capacity = json_bytes.or(request.announced_bytes).unwrap_or(0).min(request.max_bytes);
        let state = State::Json { intake: Intake::new(request), gathered: Vec::with_capacity(capacity) };
        Ok(Receiver { regions, json_bytes, state })
    }

    /// The JSON that the next bytes will have read, if they complete it and more is to come; 0 otherwise. A caller may want to
    /// know that they take longer than others.
    pub fn json_to_read(&self, next_bytes: usize) -> usize {
        match (&self.state, self.json_bytes) {
            (State::Json { gathered, .. }, Some(json)) if gathered.len() + next_bytes > json => json,
            _ => 0,
        }
    }

    /// The bytes that are yet to be read at the end, all at once; what has flowed into its tensor needs nothing more.
    pub fn left_to_read(&self) -> usize {
        match &self.state {
            State::Json { gathered, .. } => gathered.len(),
            State::Data(_) => 0,
            State::Raw(raw) => raw.left_to_read(),
        }
    }

    /// Takes the next bytes of the body. The caller stops at `max_bytes`.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        if let State::Json { gathered, .. } = &mut self.state {
            take_until(gathered, self.json_bytes.unwrap_or(usize::MAX), &mut chunk);
            if chunk.is_empty() {
                return Ok(());
            }
            self.read_json()?;
        }
        match &mut self.state {
            State::Data(data) => data.push(chunk),
            State::Raw(raw) => raw.push(chunk),
            State::Json { .. } => Ok(()),
        }
    }

    /// Ends the body.
    pub fn finish(mut self) -> Result<InferRequest, DecodeError> {
        if let State::Json { gathered, .. } = &self.state {
            if let Some(json) = self.json_bytes.filter(|json| gathered.len() < *json) {
                let message =
                    format!("{JSON_LENGTH_HEADER} is {json}, but the body ends before, after {}", gathered.len());
                return Err(wrong_length(message, json, gathered.len()));
            }
            self.read_json()?;
        }
        match self.state {
            State::Data(data) => data.finish(self.regions),
            State::Raw(raw) => raw.finish(),
            State::Json { .. } => unreachable!("the JSON has just been read"),
        }
    }

    /// Reads the JSON, which is complete, and makes the buffers of what follows.
    fn read_json(&mut self) -> Result<(), DecodeError> {
        let State::Json { intake, gathered } = &mut self.state else { return Ok(()) };
        let request = *intake.request();
        let mut intake = std::mem::replace(intake, Intake::new(request));
        let json = std::mem::take(gathered);
        let mut head = head::read(&json, &mut intake)?;
        let binary = std::mem::take(&mut head.binary);
        self.check_length(&request, json.len(), &binary)?;
        drop(json);
        let inputs = binary.into_iter().map(|(place, bytes)| {
            let fill = intake.fill(&place)?;
            Ok(Incoming { place, fill, bytes, left: bytes })
        });
        let inputs = inputs.collect::<Result<_, DecodeError>>()?;
        self.state = State::Data(Data { intake, head, inputs, current: 0 });
        Ok(())
    }

    /// That the body has the bytes that the JSON speaks of and no others, as far as its length is known beforehand.
    fn check_length(
        &self,
        request: &Request<'_>,
        json: usize,
        binary: &[(Place<'_>, usize)],
    ) -> Result<(), DecodeError> {
        if self.json_bytes.is_none() {
            let Some((place, _)) = binary.first() else { return Ok(()) };
            let message = format!(
                "input '{}' has binary_data_size, but no {JSON_LENGTH_HEADER} tells where the JSON ends and its bytes begin",
                place.spec.name
            );
            return Err(DecodeError::new(DecodeFault::Malformed, message).expected(JSON_LENGTH_HEADER));
        }
        let claimed = binary.iter().fold(0usize, |sum, (_, bytes)| sum.saturating_add(*bytes));
        match request.announced_bytes.map(|announced| announced.saturating_sub(json)) {
            Some(follow) if follow != claimed => Err(leftover(claimed, follow)),
            _ => Ok(()),
        }
    }
}

impl Data<'_> {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        while !chunk.is_empty() {
            let Some(input) = self.inputs.get_mut(self.current) else {
                let claimed = self.inputs.iter().map(|input| input.bytes).sum();
                return Err(leftover(claimed, format_args!("{} or more", claimed.saturating_add(chunk.len()))));
            };
            let (mut now, rest) = chunk.split_at(chunk.len().min(input.left));
            input.left -= now.len();
            input.fill.push(&mut now)?;
            if !now.is_empty() {
                // Its strings are complete, and it goes on.
                return Err(wrong_size(&input.place, input.bytes - input.left - now.len(), input.bytes));
            }
            self.current += usize::from(input.left == 0);
            chunk = rest;
        }
        Ok(())
    }

    fn finish(self, regions: &dyn Regions) -> Result<InferRequest, DecodeError> {
        let Data { mut intake, head, inputs, .. } = self;
        for Incoming { place, fill, bytes, left } in inputs {
            if left > 0 {
                let message = format!("the body ends {left} bytes before the end of input '{}'", place.spec.name);
                return Err(wrong_length(message, bytes, bytes - left).at(&place.spec.name));
            }
            let tensor = fill.finish()?;
            intake.put(&place, tensor);
        }
        for (place, region) in head.shared {
            let tensor = read_region(&mut intake, &place, &region, regions)?;
            intake.put(&place, tensor);
        }
        let wanted = match head.wanted {
            Some(wanted) => wanted,
            None => Wanted::all(intake.signature(), head.parameters.binary_data_output)?,
        };
        Ok(InferRequest { id: head.id, parameters: head.parameters, inputs: intake.finish()?, wanted })
    }
}

/// An input from shared memory.
pub(super) fn read_region<'a>(
    intake: &mut Intake<'a>,
    place: &Place<'a>,
    region: &Region,
    regions: &dyn Regions,
) -> Result<Tensor, DecodeError> {
    if let Some(needed) = place.bytes().filter(|needed| *needed != region.size_bytes) {
        return Err(wrong_size(place, needed, region.size_bytes));
    }
    let mut fill = intake.fill_apart(place)?;
    // A region may be larger than the strings in it: what follows them is not looked at.
    regions.read(region, &mut |mut piece| fill.push(&mut piece))?;
    fill.finish()
}

/// More or fewer bytes follow the JSON than it speaks of.
fn leftover(claimed: usize, follow: impl std::fmt::Display) -> DecodeError {
    let message = format!("the inputs' binary_data_size make {claimed} bytes together, but {follow} follow the JSON");
    wrong_length(message, claimed, follow)
}
