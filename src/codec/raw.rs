//! `application/octet-stream`: bare little-endian elements, the inputs one after the other in the signature's order.
//!
//! Shapes come from beside the body, from the signature, or, where a single dimension is open, from the body's length;
//! they are never guessed beyond that. Strings are each a `u32` little-endian length and UTF-8, the Open Inference
//! Protocol's BYTES (`extension_binary_data.md`).

use bytes::Bytes;
use ndarray::ArrayD;

use super::fill::{Allowance, Fill};
use super::{DecodeError, DecodeFault, Decoded, EncodeError, Encoded, Format, RawLayout, Reply, Request};
use super::{elements, refusal};
use crate::tensor::{Dim, Shape, Signature, TensorSpec, Value, element_count};

/// The header that carries a raw body's shapes; named here because the refusals must name it.
const SHAPE_HEADER: &str = "x-scoria-shape";

/// Takes in one raw body.
#[derive(Debug)]
pub struct Receiver<'a> {
    request: Request<'a>,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    Filling(Filling<'a>),
    /// One dimension follows from the body's length, which is not known yet.
    Collecting {
        open: OpenDim,
        body: Vec<u8>,
    },
}

/// Inputs of known shapes.
#[derive(Debug)]
struct Filling<'a> {
    fills: Vec<Fill<'a>>,
    /// The first one that is not full.
    current: usize,
    /// The length that the body must have; `None` with strings.
    total_bytes: Option<usize>,
    received_bytes: usize,
}

/// The one open dimension of a signature.
#[derive(Clone, Copy, Debug)]
struct OpenDim {
    input: usize,
    axis: usize,
    /// What the inputs of fixed shape take.
    fixed_bytes: usize,
    /// What each further step of the open dimension takes; not zero.
    step_bytes: usize,
}

/// What a signature says about shapes.
enum Declared {
    Fixed(Vec<Vec<usize>>),
    OneOpen(OpenDim),
    /// More is open than a length can settle.
    Open,
}

impl<'a> Receiver<'a> {
    /// Settles the shapes, as far as they can be.
    pub fn new(request: Request<'a>) -> Result<Self, DecodeError> {
        let signature = request.signature;
        let shapes = match request.raw_shape {
            Some(text) => parse_shapes(text, signature)?,
            None => match (declared(signature), request.announced_bytes) {
                (Declared::Fixed(shapes), _) => shapes,
                (Declared::OneOpen(open), Some(bytes)) => open.solve(signature, bytes)?,
                (Declared::OneOpen(open), None) => {
                    return Ok(Receiver { request, state: State::Collecting { open, body: Vec::new() } });
                }
                (Declared::Open, _) => return Err(shape_needed(signature)),
            },
        };
        let filling = Filling::new(&request, &shapes)?;
        Ok(Receiver { request, state: State::Filling(filling) })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        match &mut self.state {
            State::Filling(filling) => filling.push(chunk),
            State::Collecting { body, .. } => {
                let max = self.request.max_bytes;
                if chunk.len() > max.saturating_sub(body.len()) {
                    let message = format!("the body is larger than {max} bytes");
                    return Err(
                        DecodeError::new(DecodeFault::TooLarge, message).expected(format!("at most {max} bytes"))
                    );
                }
                body.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    /// Ends the body.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        let filling = match self.state {
            State::Filling(filling) => filling,
            State::Collecting { open, body } => {
                let shapes = open.solve(self.request.signature, body.len())?;
                let mut filling = Filling::new(&self.request, &shapes)?;
                filling.push(&body)?;
                filling
            }
        };
        filling.finish()
    }
}

impl<'a> Filling<'a> {
    fn new(request: &Request<'a>, shapes: &[Vec<usize>]) -> Result<Self, DecodeError> {
        let inputs = &request.signature.inputs;
        let mut allowance = Allowance::plain(request);
        let fills: Vec<_> = inputs
            .iter()
            .zip(shapes)
            .map(|(spec, shape)| Fill::new(spec, shape, &mut allowance))
            .collect::<Result<_, _>>()?;
        let total_bytes = inputs.iter().zip(shapes).try_fold(0usize, |total, (spec, shape)| {
            total.checked_add(element_count(shape)?.checked_mul(spec.dtype.size()?)?)
        });
        let filling = Filling { fills, current: 0, total_bytes, received_bytes: 0 };
        // A wrong length that is known beforehand need not be read.
        match (total_bytes, request.announced_bytes) {
            (Some(total), Some(announced)) if total != announced => Err(filling.wrong_total(total, announced)),
            _ => Ok(filling),
        }
    }

    fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        self.received_bytes += chunk.len();
        while !chunk.is_empty() {
            let Some(fill) = self.fills.get_mut(self.current) else {
                return Err(self.overrun(chunk.len()));
            };
            fill.push(&mut chunk)?;
            self.current += usize::from(fill.is_full());
        }
        Ok(())
    }

    fn finish(self) -> Result<Decoded, DecodeError> {
        match self.total_bytes {
            Some(total) if self.received_bytes != total => return Err(self.wrong_total(total, self.received_bytes)),
            _ => {}
        }
        let inputs = self.fills.into_iter().map(Fill::finish).collect::<Result<_, _>>()?;
        Ok(Decoded { inputs, reply: Reply::Raw })
    }

    fn overrun(&self, extra: usize) -> DecodeError {
        let expected = self.received_bytes - extra;
        let message = format!("the body goes on after the {expected} bytes of its inputs");
        refusal::wrong_length(message, expected, format_args!("{} or more", self.received_bytes))
    }

    fn wrong_total(&self, total: usize, got: usize) -> DecodeError {
        let message = format!(
            "the inputs take {total} bytes together, the body has {got}; it must hold the bare little-endian elements, \
             and nothing else"
        );
        refusal::wrong_length(message, total, got)
    }
}

impl OpenDim {
    /// The shapes of all inputs for a body of this length.
    fn solve(self, signature: &Signature, bytes: usize) -> Result<Vec<Vec<usize>>, DecodeError> {
        let spec = &signature.inputs[self.input];
        let size = match bytes.checked_sub(self.fixed_bytes) {
            Some(rest) if rest.is_multiple_of(self.step_bytes) => rest / self.step_bytes,
            _ => {
                let beside = match self.fixed_bytes {
                    0 => String::new(),
                    fixed => format!("{fixed} bytes and "),
                };
                let step = self.step_bytes;
                let message = format!(
                    "a body of {bytes} bytes does not fit: input '{}' is {spec}, so it must have {beside}a multiple of {step}",
                    spec.name,
                );
                return Err(DecodeError::new(DecodeFault::Malformed, message)
                    .at(&spec.name)
                    .expected(format!("{beside}a multiple of {step} bytes"))
                    .got(format!("{bytes} bytes")));
            }
        };
        let mut shapes: Vec<Vec<usize>> = signature.inputs.iter().map(TensorSpec::example_shape).collect();
        shapes[self.input][self.axis] = size;
        Ok(shapes)
    }
}

/// Writes tensors one after the other; their types and shapes go beside the body.
pub fn encode(outputs: Vec<Value>, signature: &Signature) -> Result<Encoded, EncodeError> {
    let mut parts = Vec::with_capacity(outputs.len());
    let (mut dtypes, mut shapes) = (Vec::new(), Vec::new());
    for (name, tensor) in refusal::only_tensors(outputs, signature, Format::Raw)? {
        dtypes.push(tensor.dtype().name());
        shapes.push(header_text(tensor.shape()));
        parts.push(elements::into_bytes(tensor).or_else(|strings| strings_bytes(&strings, name))?);
    }
    let layout = RawLayout { dtypes: dtypes.join(";"), shapes: shapes.join(";") };
    Ok(Encoded { format: Format::Raw, parts, raw_layout: Some(layout) })
}

/// The bytes of strings, in the raw form.
pub fn strings_bytes(strings: &ArrayD<String>, output: &str) -> Result<Bytes, EncodeError> {
    let mut bytes = Vec::with_capacity(strings.iter().map(|text| size_of::<u32>() + text.len()).sum());
    for text in strings {
        let length = u32::try_from(text.len()).map_err(|_| {
            EncodeError::NotRepresentable(format!(
                "output '{output}' has a string of {} bytes, which no binary form here can carry; ask for JSON",
                text.len(),
            ))
        })?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(bytes.into())
}

/// What the signature alone says about the shapes.
fn declared(signature: &Signature) -> Declared {
    let mut open = None;
    for (input, spec) in signature.inputs.iter().enumerate() {
        let Some(dims) = &spec.dims else { return Declared::Open };
        for (axis, dim) in dims.iter().enumerate() {
            if matches!(dim, Dim::Dynamic(_)) && open.replace((input, axis)).is_some() {
                return Declared::Open;
            }
        }
    }
    let Some((input, axis)) = open else {
        return Declared::Fixed(signature.inputs.iter().map(TensorSpec::example_shape).collect());
    };
    // The example shape has 1 in the open place, so its bytes are those of one step. Strings have no size: open.
    let bytes = |spec: &TensorSpec| element_count(&spec.example_shape())?.checked_mul(spec.dtype.size()?);
    let fixed_bytes = signature
        .inputs
        .iter()
        .enumerate()
        .filter(|&(i, _)| i != input)
        .try_fold(0usize, |total, (_, spec)| total.checked_add(bytes(spec)?));
    match (fixed_bytes, bytes(&signature.inputs[input])) {
        (Some(fixed_bytes), Some(step_bytes)) if step_bytes > 0 => {
            Declared::OneOpen(OpenDim { input, axis, fixed_bytes, step_bytes })
        }
        _ => Declared::Open,
    }
}

/// Reads `2,10;2`: sizes separated by commas, inputs by semicolons, nothing at all for a scalar.
fn parse_shapes(text: &str, signature: &Signature) -> Result<Vec<Vec<usize>>, DecodeError> {
    let shapes: Option<Vec<Vec<usize>>> = match text.trim() {
        "" if signature.inputs.is_empty() => Some(Vec::new()),
        text => text.split(';').map(parse_shape).collect(),
    };
    let example = example(signature);
    let Some(shapes) = shapes else {
        let message = format!(
            "the header {SHAPE_HEADER} holds '{}'; it takes sizes separated by commas, and inputs by semicolons, such as \
             '{example}'",
            refusal::quoted(text),
        );
        return Err(DecodeError::new(DecodeFault::WrongShape, message).expected(example).got(refusal::quoted(text)));
    };
    if shapes.len() != signature.inputs.len() {
        let message = format!(
            "the header {SHAPE_HEADER} holds {} shapes, the model has {} inputs; separate them by semicolons, such as \
             '{example}'",
            shapes.len(),
            signature.inputs.len(),
        );
        return Err(DecodeError::new(DecodeFault::WrongShape, message).expected(example).got(refusal::quoted(text)));
    }
    Ok(shapes)
}

fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|dim| {
            let dim = dim.trim();
            // `usize` would also read `+2`.
            if dim.bytes().all(|byte| byte.is_ascii_digit()) { dim.parse().ok() } else { None }
        })
        .collect()
}

fn shape_needed(signature: &Signature) -> DecodeError {
    let example = example(signature);
    let inputs: Vec<String> = signature.inputs.iter().map(|spec| format!("'{}' {spec}", spec.name)).collect();
    let message = format!(
        "the body's length alone does not tell the shape of its inputs ({}); send the header '{SHAPE_HEADER}: {example}'",
        inputs.join(", "),
    );
    DecodeError::new(DecodeFault::WrongShape, message).expected(format!("{SHAPE_HEADER}: {example}")).got("no shape")
}

/// The header's text for this model.
fn example(signature: &Signature) -> String {
    let shapes: Vec<String> = signature.inputs.iter().map(|spec| header_text(&spec.example_shape())).collect();
    shapes.join(";")
}

/// `2,10`: [`Shape`]'s text without its brackets and spaces.
fn header_text(shape: &[usize]) -> String {
    Shape(shape).to_string().replace(['[', ']', ' '], "")
}
