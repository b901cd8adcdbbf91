//! `application/x-safetensors`: named tensors with a small JSON header; the simplest binary form for several inputs.
//!
//! Source: the format's description in the safetensors repository. As that demands, the tensors must cover the data without
//! holes or overlaps. They are filled as they come, whatever the order of the header. Strings do not exist here.

mod header;

use bytes::Bytes;

use super::elements;
use super::fill::{self, Allowance, Fill};
use super::refusal::{self, malformed};
use super::{DecodeError, DecodeFault, Decoded, EncodeError, Encoded, Format, Reply, Request};
use crate::tensor::{DType, Shape, Signature, Tensor, TensorSpec, Value, element_count};
use header::{Entry, Header};

/// The header's length, which begins the file.
const LENGTH_BYTES: usize = size_of::<u64>();

/// The longest header taken: some ten thousand tensors.
const HEADER_MAX_BYTES: usize = 1024 * 1024;

/// The data starts at a multiple of this, so that its reader may map it.
const ALIGNMENT_BYTES: usize = 8;

/// Takes in one safetensors body.
#[derive(Debug)]
pub struct Receiver<'a> {
    request: Request<'a>,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// Gathers the header.
    Header(Vec<u8>),
    Data(Data<'a>),
}

/// The tensors in the order of their data, each with its input's place in the signature.
#[derive(Debug)]
struct Data<'a> {
    fills: Vec<(usize, Fill<'a>)>,
    /// The first one that is not full.
    current: usize,
}

impl<'a> Receiver<'a> {
    /// Fails at once for a model that takes strings.
    pub fn new(request: Request<'a>) -> Result<Self, DecodeError> {
        match request.signature.inputs.iter().find(|spec| spec.dtype == DType::String) {
            None => Ok(Receiver { request, state: State::Header(Vec::new()) }),
            Some(spec) => {
                let message = format!(
                    "input '{}' takes strings, which safetensors cannot carry; send {}, {} or {}",
                    spec.name,
                    Format::Json.media_type(),
                    Format::Npz.media_type(),
                    Format::Raw.media_type(),
                );
                Err(DecodeError::new(DecodeFault::WrongType, message)
                    .at(&spec.name)
                    .expected(spec.dtype.name())
                    .got("safetensors"))
            }
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        if let State::Header(head) = &mut self.state {
            loop {
                let wanted = wanted_bytes(head, self.request.max_bytes)?;
                if head.len() == wanted {
                    break;
                }
                if chunk.is_empty() {
                    return Ok(());
                }
                fill::take_until(head, wanted, &mut chunk);
            }
            let header = parse(&head[LENGTH_BYTES..])?;
            let mut allowance = Allowance::plain(&self.request);
            allowance.spend_header(head.len());
            self.state = State::Data(Data::new(self.request.signature, header, &mut allowance)?);
        }
        match &mut self.state {
            State::Data(data) => data.push(chunk),
            State::Header(_) => Ok(()),
        }
    }

    /// Ends the body.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        match self.state {
            State::Data(mut data) => {
                data.fills.sort_by_key(|&(input, _)| input);
                let inputs = data.fills.into_iter().map(|(_, fill)| fill.finish()).collect::<Result<_, _>>()?;
                Ok(Decoded { inputs, reply: Reply::Safetensors })
            }
            State::Header(head) => {
                let message = format!("the body ends inside its header, after {} bytes", head.len());
                Err(malformed(message).expected("a safetensors file").got(format!("{} bytes", head.len())))
            }
        }
    }
}

impl<'a> Data<'a> {
    /// Checks the header as a whole, then each tensor against its input.
    fn new(signature: &'a Signature, header: Header, allowance: &mut Allowance) -> Result<Self, DecodeError> {
        let mut entries: Vec<Option<Entry>> = signature.inputs.iter().map(|_| None).collect();
        for (name, entry) in header.0 {
            let input = signature.input_index(&name).ok_or_else(|| refusal::unknown_input(signature, &name))?;
            if entries[input].replace(entry).is_some() {
                return Err(refusal::repeated_input(&name));
            }
        }
        let mut tensors = Vec::with_capacity(entries.len());
        for (input, (spec, entry)) in signature.inputs.iter().zip(entries).enumerate() {
            let entry = entry.ok_or_else(|| refusal::missing_input(signature, spec))?;
            check_entry(spec, &entry)?;
            tensors.push((input, spec, entry));
        }
        // By both offsets, so that an empty tensor comes before the one that starts at the same place.
        tensors.sort_by_key(|(_, _, entry)| entry.data_offsets);
        let mut end = 0;
        for (_, spec, entry) in &tensors {
            check_place(spec, entry, end)?;
            end = entry.data_offsets[1];
        }
        let fills = tensors
            .into_iter()
            .map(|(input, spec, entry)| Ok((input, Fill::new(spec, &entry.shape, allowance)?)))
            .collect::<Result<_, DecodeError>>()?;
        Ok(Data { fills, current: 0 })
    }

    fn push(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        while !chunk.is_empty() {
            let Some((_, fill)) = self.fills.get_mut(self.current) else {
                let message = "the body goes on after the last tensor that its header lists";
                return Err(malformed(message).expected("the end of the file").got("more bytes"));
            };
            fill.push(&mut chunk)?;
            self.current += usize::from(fill.is_full());
        }
        Ok(())
    }
}

/// How many bytes the file has before its data, as far as its first bytes tell.
fn wanted_bytes(head: &[u8], max_bytes: usize) -> Result<usize, DecodeError> {
    let Some((length, _)) = head.split_first_chunk::<LENGTH_BYTES>() else { return Ok(LENGTH_BYTES) };
    let length = u64::from_le_bytes(*length);
    let max = HEADER_MAX_BYTES.min(max_bytes);
    match usize::try_from(length).ok().filter(|&length| length <= max) {
        Some(length) => Ok(LENGTH_BYTES + length),
        None => {
            let message = format!(
                "the first {LENGTH_BYTES} bytes claim a header of {length} bytes, at most {max} are accepted; is the body a \
                 safetensors file?"
            );
            Err(malformed(message).expected(format!("at most {max} bytes")).got(format!("{length} bytes")))
        }
    }
}

fn parse(text: &[u8]) -> Result<Header, DecodeError> {
    if text.first() != Some(&b'{') {
        return Err(malformed("the header of the safetensors file must begin with '{'").expected("a JSON object"));
    }
    serde_json::from_slice(text).map_err(|error| {
        malformed(format!("the header of the safetensors file cannot be read: {}", refusal::quoted(&error.to_string())))
    })
}

/// Type and shape, and that the data has as many bytes as these need.
fn check_entry(spec: &TensorSpec, entry: &Entry) -> Result<(), DecodeError> {
    let dtype = header::dtype_of(&entry.dtype);
    if dtype != Some(spec.dtype) {
        let got = dtype.map_or_else(|| refusal::quoted(&entry.dtype), |dtype| dtype.name().to_owned());
        let remedy = format!("convert the tensor to {} before saving it", spec.dtype);
        return Err(refusal::wrong_type(spec, &got, &remedy));
    }
    spec.check_shape(&entry.shape).map_err(|mismatch| refusal::wrong_shape(spec, &entry.shape, mismatch))?;
    let [begin, end] = entry.data_offsets;
    let Some(length) = end.checked_sub(begin) else {
        let message = format!("the data of '{}' ends at byte {end}, before it begins at {begin}", spec.name);
        return Err(malformed(message).at(&spec.name));
    };
    let needed = spec.dtype.size().and_then(|size| element_count(&entry.shape)?.checked_mul(size));
    let Some(needed) = needed else {
        let message = format!("input '{}' of shape {} is beyond what memory can hold", spec.name, Shape(&entry.shape));
        return Err(DecodeError::new(DecodeFault::TooLarge, message)
            .at(&spec.name)
            .got(Shape(&entry.shape).to_string()));
    };
    if length != needed {
        let shape = Shape(&entry.shape);
        let message = format!("'{}' of shape {shape} takes {needed} bytes, its data_offsets span {length}", spec.name);
        return Err(refusal::wrong_length(message, needed, length).at(&spec.name));
    }
    Ok(())
}

/// That the tensor begins where the one before it ended.
fn check_place(spec: &TensorSpec, entry: &Entry, expected: usize) -> Result<(), DecodeError> {
    let begin = entry.data_offsets[0];
    if begin == expected {
        return Ok(());
    }
    let fault = if begin < expected { "overlaps the tensor before it" } else { "leaves a hole before it" };
    let message = format!("the data of '{}' {fault}: it begins at byte {begin}, not at {expected}", spec.name);
    Err(malformed(message).at(&spec.name).expected(expected.to_string()).got(begin.to_string()))
}

/// Writes tensors in the signature's order.
pub fn encode(outputs: Vec<Value>, signature: &Signature) -> Result<Encoded, EncodeError> {
    let mut entries = Vec::with_capacity(outputs.len());
    let mut parts = vec![Bytes::new()];
    let mut end = 0;
    for (name, tensor) in refusal::only_tensors(outputs, signature, Format::Safetensors)? {
        let (entry, data) = encode_tensor(name, tensor, end)?;
        end = entry.data_offsets[1];
        entries.push((name, entry));
        parts.push(data);
    }
    parts[0] = encode_header(&entries)?;
    Ok(Encoded { format: Format::Safetensors, parts, raw_layout: None })
}

fn encode_tensor(name: &str, tensor: Tensor, begin: usize) -> Result<(Entry, Bytes), EncodeError> {
    let refuse = |what: &str| {
        EncodeError::NotRepresentable(format!(
            "output '{name}' {what}, which safetensors cannot carry; ask for {} or {}",
            Format::Json.media_type(),
            Format::Npz.media_type(),
        ))
    };
    if name == header::METADATA {
        return Err(refuse("has a reserved name"));
    }
    let dtype = header::dtype_name(tensor.dtype()).ok_or_else(|| refuse("holds strings"))?.to_owned();
    let shape = tensor.shape().to_vec();
    let data = elements::into_bytes(tensor).map_err(|_| refuse("holds strings"))?;
    Ok((Entry { dtype, shape, data_offsets: [begin, begin + data.len()] }, data))
}

fn encode_header(entries: &[(&str, Entry)]) -> Result<Bytes, EncodeError> {
    let unwritable = |error: serde_json::Error| {
        EncodeError::NotRepresentable(format!(
            "the answer has no safetensors header ({error}); ask for application/json"
        ))
    };
    let mut head = vec![0; LENGTH_BYTES];
    head.push(b'{');
    for (i, (name, entry)) in entries.iter().enumerate() {
        if i > 0 {
            head.push(b',');
        }
        serde_json::to_writer(&mut head, name).map_err(unwritable)?;
        head.push(b':');
        serde_json::to_writer(&mut head, entry).map_err(unwritable)?;
    }
    head.push(b'}');
    head.resize(head.len().next_multiple_of(ALIGNMENT_BYTES), b' ');
    let length = (head.len() - LENGTH_BYTES) as u64;
    head[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(head.into())
}
