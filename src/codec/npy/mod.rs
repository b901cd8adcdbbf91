//! `application/x-npy`: one NumPy array, for models with one input or one output.
//!
//! Source: `numpy.lib.format`. [`Array`] reads any one array file and also serves the archives of [`npz`](super::npz). An
//! array's type is never converted: a float64 array for a float32 input is refused with the NumPy call that converts it.
//! Pickled objects and structured types are refused.

mod header;
mod text;

use bytes::Bytes;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::fill::{self, Allowance, Fill};
use super::{DecodeError, DecodeFault, Decoded, EncodeError, Encoded, Format, Reply, Request};
use super::{elements, refusal};
use crate::tensor::{DType, Element, Signature, Tensor, TensorSpec, Value, with_tensor};
use header::{Header, Order};
use text::{TextFill, Width};

/// Takes in one `.npy` body.
#[derive(Debug)]
pub struct Receiver<'a> {
    array: Array<'a>,
    allowance: Allowance,
    reply: Reply,
}

/// One array file on its way in, for one input.
#[derive(Debug)]
pub struct Array<'a> {
    spec: &'a TensorSpec,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    /// Gathers the header.
    Header(Vec<u8>),
    Numbers {
        fill: Fill<'a>,
        endian: Endian,
        order: Order,
    },
    Text {
        fill: TextFill<'a>,
        order: Order,
    },
}

/// The order of the bytes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    Little,
    Big,
}

/// A served element type of NumPy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Number(DType, Endian),
    /// Two bytes of no declared meaning: how `ml_dtypes`' bfloat16 is saved.
    Void2(Endian),
    Text(Width),
}

impl<'a> Receiver<'a> {
    /// Fails at once for a model that has not exactly one input.
    pub fn new(request: Request<'a>) -> Result<Self, DecodeError> {
        let signature = request.signature;
        let [spec] = signature.inputs.as_slice() else {
            let message = format!(
                "an .npy file holds one array, the model has {} inputs; send an .npz file ({}) or {}",
                signature.inputs.len(),
                Format::Npz.media_type(),
                Format::Safetensors.media_type(),
            );
            return Err(DecodeError::new(DecodeFault::WrongInputs, message)
                .expected(format!("{} inputs", signature.inputs.len()))
                .got("1 array"));
        };
        // Several outputs need an archive, which `numpy.load` opens just as well.
        let reply = if signature.outputs.len() > 1 { Reply::Npz } else { Reply::Npy };
        Ok(Receiver { array: Array::new(spec), allowance: Allowance::plain(&request), reply })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.array.push(chunk, &mut self.allowance)
    }

    /// Ends the body.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        Ok(Decoded { inputs: vec![self.array.finish()?], reply: self.reply })
    }
}

impl<'a> Array<'a> {
    pub fn new(spec: &'a TensorSpec) -> Self {
        Array { spec, state: State::Header(Vec::new()) }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, mut chunk: &[u8], allowance: &mut Allowance) -> Result<(), DecodeError> {
        if let State::Header(head) = &mut self.state {
            loop {
                let wanted = header::wanted_bytes(head).map_err(|error| error.at(&self.spec.name))?;
                if head.len() == wanted {
                    break;
                }
                if chunk.is_empty() {
                    return Ok(());
                }
                fill::take_until(head, wanted, &mut chunk);
            }
            let header = header::parse(head).map_err(|error| error.at(&self.spec.name))?;
            allowance.spend_header(head.len());
            self.state = State::new(self.spec, &header, allowance)?;
        }
        match &mut self.state {
            State::Numbers { fill, .. } => fill.push(&mut chunk)?,
            State::Text { fill, .. } => fill.push(&mut chunk)?,
            State::Header(_) => {}
        }
        if chunk.is_empty() {
            return Ok(());
        }
        let message = format!("the file goes on after the last element of '{}'", self.spec.name);
        Err(DecodeError::new(DecodeFault::Malformed, message)
            .at(&self.spec.name)
            .expected("the end of the file")
            .got("more bytes"))
    }

    /// The array as this server keeps it: row-major, in the host's byte order.
    pub fn finish(self) -> Result<Tensor, DecodeError> {
        let (tensor, order) = match self.state {
            State::Header(head) => {
                let message =
                    format!("the file of '{}' ends inside its header, after {} bytes", self.spec.name, head.len());
                return Err(DecodeError::new(DecodeFault::Malformed, message)
                    .at(&self.spec.name)
                    .expected("an .npy file")
                    .got(format!("{} bytes", head.len())));
            }
            State::Numbers { fill, endian, order } => {
                let mut tensor = fill.finish()?;
                if endian == Endian::Big {
                    elements::swap_bytes(&mut tensor);
                }
                (tensor, order)
            }
            State::Text { fill, order } => (fill.finish()?, order),
        };
        Ok(match order {
            Order::RowMajor => tensor,
            Order::ColumnMajor => with_tensor!(tensor, array => transposed(array)),
        })
    }
}

impl<'a> State<'a> {
    /// Checks the header against the input.
    fn new(spec: &'a TensorSpec, header: &Header, allowance: &mut Allowance) -> Result<Self, DecodeError> {
        let Header { descr, order, shape } = header;
        let order = *order;
        match Wire::parse(spec, descr)? {
            Wire::Text(width) if spec.dtype == DType::String => {
                Ok(State::Text { fill: TextFill::new(spec, shape, width, allowance)?, order })
            }
            Wire::Number(dtype, endian) if spec.dtype == dtype => {
                Ok(State::Numbers { fill: Fill::new(spec, shape, allowance)?, endian, order })
            }
            Wire::Void2(endian) if spec.dtype == DType::BF16 => {
                Ok(State::Numbers { fill: Fill::new(spec, shape, allowance)?, endian, order })
            }
            wire => Err(refusal::wrong_type(spec, &wire.name(descr), convert(spec.dtype))),
        }
    }
}

impl Endian {
    pub fn read_u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        }
    }
}

impl Wire {
    /// Reads a type such as `<f4`, or says why it is not served.
    fn parse(spec: &TensorSpec, descr: &str) -> Result<Self, DecodeError> {
        let endian = if descr.starts_with('>') { Endian::Big } else { Endian::Little };
        let code = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
        let number = |dtype| Ok(Wire::Number(dtype, endian));
        match code {
            "b1" => number(DType::Bool),
            "i1" => number(DType::I8),
            "i2" => number(DType::I16),
            "i4" => number(DType::I32),
            "i8" => number(DType::I64),
            "u1" => number(DType::U8),
            "u2" => number(DType::U16),
            "u4" => number(DType::U32),
            "u8" => number(DType::U64),
            "f2" => number(DType::F16),
            "f4" => number(DType::F32),
            "f8" => number(DType::F64),
            "bfloat16" => number(DType::BF16),
            "V2" => Ok(Wire::Void2(endian)),
            _ => Wire::parse_text(code, endian).ok_or_else(|| {
                let got = refusal::quoted(descr);
                if code.starts_with('O') {
                    let remedy = match spec.dtype {
                        DType::String => "write them as numpy strings with .astype(str)",
                        dtype => convert(dtype),
                    };
                    refusal::wrong_type(spec, "pickled Python objects, which are never loaded", remedy).got(got)
                } else {
                    refusal::wrong_type(spec, &format!("'{got}'"), convert(spec.dtype)).got(got)
                }
            }),
        }
    }

    fn parse_text(code: &str, endian: Endian) -> Option<Self> {
        let (kind, width) = code.split_at_checked(1)?;
        if !width.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let width = width.parse().ok()?;
        match kind {
            "U" => Some(Wire::Text(Width::Chars(width, endian))),
            "S" => Some(Wire::Text(Width::Bytes(width))),
            _ => None,
        }
    }

    /// The name that NumPy's users know.
    fn name(self, descr: &str) -> String {
        match self {
            Wire::Number(dtype, _) => dtype.name().to_owned(),
            Wire::Void2(_) | Wire::Text(_) => refusal::quoted(descr),
        }
    }
}

/// Writes the model's one output.
pub fn encode(outputs: Vec<Value>, signature: &Signature) -> Result<Encoded, EncodeError> {
    if outputs.len() != 1 {
        return Err(EncodeError::NotRepresentable(format!(
            "an .npy file holds one array, the model has {} outputs; ask for {}",
            outputs.len(),
            Format::Npz.media_type(),
        )));
    }
    let mut parts = Vec::with_capacity(2);
    for (name, tensor) in refusal::only_tensors(outputs, signature, Format::Npy)? {
        parts.extend(encode_array(tensor, name)?);
    }
    Ok(Encoded { format: Format::Npy, parts, raw_layout: None })
}

/// One array file: its header, then its data.
pub fn encode_array(tensor: Tensor, output: &str) -> Result<[Bytes; 2], EncodeError> {
    let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
    let (descr, data) = match elements::into_bytes(tensor) {
        Ok(data) => (descr(dtype).to_owned(), data),
        Err(strings) => {
            let (width, data) = text::encode(&strings, output)?;
            (format!("<U{width}"), data)
        }
    };
    Ok([header::write(&descr, &shape).into(), data])
}

/// The type that the little-endian elements have in NumPy.
fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::F16 => "<f2",
        DType::BF16 => "<V2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::String => "<U1",
    }
}

/// How a NumPy user makes an array of this type.
fn convert(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "convert it with .astype(np.bool_)",
        DType::I8 => "convert it with .astype(np.int8)",
        DType::I16 => "convert it with .astype(np.int16)",
        DType::I32 => "convert it with .astype(np.int32)",
        DType::I64 => "convert it with .astype(np.int64)",
        DType::U8 => "convert it with .astype(np.uint8)",
        DType::U16 => "convert it with .astype(np.uint16)",
        DType::U32 => "convert it with .astype(np.uint32)",
        DType::U64 => "convert it with .astype(np.uint64)",
        DType::F16 => "convert it with .astype(np.float16)",
        DType::BF16 => "convert it with .astype(ml_dtypes.bfloat16)",
        DType::F32 => "convert it with .astype(np.float32)",
        DType::F64 => "convert it with .astype(np.float64)",
        DType::String => "convert it with .astype(str)",
    }
}

/// Elements that came in column-major order, moved into place.
fn transposed<T: Element>(array: ArrayD<T>) -> Tensor {
    let shape = array.shape().to_vec();
    let (elements, _) = array.into_raw_vec_and_offset();
    let array = ArrayD::from_shape_vec(IxDyn(&shape).f(), elements).expect("the same elements in the same shape");
    T::wrap(elements::row_major(array))
}
