//! Outputs as JSON text.
//!
//! A float is written as the shortest decimal that reads back as the same value of its own type; the narrow ones as the
//! `f32` that they are. JSON has no NaN and no infinity: the endpoint's policy says what becomes of them.

use bytes::Bytes;
use half::{bf16, f16};

use super::example::written;
use super::{JsonReply, vector};
use crate::codec::{EncodeError, Encoded, Format, NonFiniteOutput, Policy};
use crate::tensor::{MapKeys, Shape, Signature, Tensor, Value, element_count, with_tensor};

/// Shorter lists are written one by one.
const SHORT_LIST: usize = 2;

/// Writes outputs, which are in the signature's order, in the envelope asked for.
pub fn encode(
    outputs: &[Value],
    signature: &Signature,
    form: JsonReply,
    policy: &Policy,
) -> Result<Encoded, EncodeError> {
    let names = signature.outputs.iter().map(|output| output.name.as_str());
    let outputs: Vec<Output<'_>> = names.zip(outputs).map(|(name, value)| Output { name, value }).collect();
    outputs.iter().try_for_each(|output| check_empty_lists(output.name, output.value, policy.max_elements))?;
    let size = outputs.iter().map(|output| output.name.len() + 8 + text_size(output.value)).sum::<usize>();
    let mut writer = Writer { text: Vec::with_capacity(size + 32), policy: *policy };
    let layout = match form {
        JsonReply::Predictions { rows } if outputs.len() > 1 && signature.has_row_for_row() => {
            outputs.iter().try_for_each(|output| check_rows(output, rows))?;
            Layout::Rows(rows)
        }
        _ => Layout::Columns,
    };
    writer.envelope(&outputs, form, layout).map_err(|NonFinite { index, value }| EncodeError::NonFinite {
        output: outputs[index].name.to_owned(),
        value,
    })?;
    Ok(Encoded { format: Format::Json, parts: vec![Bytes::from(writer.text)], raw_layout: None })
}

/// Writes a tensor's elements as one flat list. The error names what JSON cannot carry.
pub(in crate::codec) fn write_flat(text: &mut Vec<u8>, tensor: &Tensor, policy: &Policy) -> Result<(), &'static str> {
    let mut writer = Writer { text: std::mem::take(text), policy: *policy };
    writer.text.reserve(tensor_text_size(tensor));
    let written = with_tensor!(tensor, array => {
        let elements = array.as_slice().expect("a tensor is contiguous and row-major");
        writer.nested(elements, &[elements.len()])
    });
    *text = writer.text;
    written
}

/// One output and its name.
#[derive(Clone, Copy, Debug)]
struct Output<'a> {
    name: &'a str,
    value: &'a Value,
}

/// The arrangement of several outputs in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// An object of them for each of so many rows.
    Rows(usize),
    /// One object of them.
    Columns,
}

/// An output, by position, has a value that JSON has no word for.
#[derive(Debug)]
struct NonFinite {
    index: usize,
    value: &'static str,
}

#[derive(Debug)]
struct Writer {
    text: Vec<u8>,
    policy: Policy,
}

impl Writer {
    fn envelope(&mut self, outputs: &[Output<'_>], form: JsonReply, layout: Layout) -> Result<(), NonFinite> {
        let key = match form {
            JsonReply::Bare => return self.bare(outputs),
            JsonReply::Predictions { .. } | JsonReply::PredictionColumns => "predictions",
            JsonReply::Outputs => "outputs",
            JsonReply::Results => "Results",
        };
        self.text.push(b'{');
        self.key(key);
        match layout {
            Layout::Rows(rows) => self.rows(outputs, rows)?,
            Layout::Columns => self.bare(outputs)?,
        }
        self.text.push(b'}');
        Ok(())
    }

    /// One output as it is, several as an object.
    fn bare(&mut self, outputs: &[Output<'_>]) -> Result<(), NonFinite> {
        if let [only] = outputs {
            return self.value(only.value).map_err(|value| NonFinite { index: 0, value });
        }
        self.text.push(b'{');
        for (index, output) in outputs.iter().enumerate() {
            self.comma(index);
            self.key(output.name);
            self.value(output.value).map_err(|value| NonFinite { index, value })?;
        }
        self.text.push(b'}');
        Ok(())
    }

    /// `[{name: row, …}, …]`.
    fn rows(&mut self, outputs: &[Output<'_>], rows: usize) -> Result<(), NonFinite> {
        self.text.push(b'[');
        for row in 0..rows {
            self.comma(row);
            self.text.push(b'{');
            for (index, output) in outputs.iter().enumerate() {
                self.comma(index);
                self.key(output.name);
                let written = match output.value {
                    Value::Tensor(tensor) => self.row(tensor, row),
                    Value::Sequence(items) => items.get(row).map_or(Ok(()), |item| self.value(item)),
                    // The signature has no rows then.
                    Value::Map { .. } => Ok(()),
                };
                written.map_err(|value| NonFinite { index, value })?;
            }
            self.text.push(b'}');
        }
        self.text.push(b']');
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), &'static str> {
        match value {
            Value::Tensor(tensor) => self.tensor(tensor),
            Value::Sequence(items) => {
                self.text.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    self.comma(index);
                    self.value(item)?;
                }
                self.text.push(b']');
                Ok(())
            }
            Value::Map { keys, values } => {
                self.text.push(b'{');
                for index in 0..keys.len() {
                    self.comma(index);
                    match keys {
                        MapKeys::I64(keys) => self.key(itoa::Buffer::new().format(keys[index])),
                        MapKeys::String(keys) => self.key(&keys[index]),
                    }
                    self.row(values, index)?;
                }
                self.text.push(b'}');
                Ok(())
            }
        }
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<(), &'static str> {
        with_tensor!(tensor, array => {
            let elements = array.as_slice().expect("a tensor is contiguous and row-major");
            self.nested(elements, array.shape())
        })
    }

    /// The part of a tensor at one index of its first dimension.
    fn row(&mut self, tensor: &Tensor, row: usize) -> Result<(), &'static str> {
        with_tensor!(tensor, array => {
            let elements = array.as_slice().expect("a tensor is contiguous and row-major");
            let shape = array.shape().get(1..).unwrap_or_default();
            let length = element_count(shape).unwrap_or(0);
            self.nested(&elements[row * length..(row + 1) * length], shape)
        })
    }

    /// Recurses once for each dimension.
    fn nested<T: Text>(&mut self, elements: &[T], shape: &[usize]) -> Result<(), &'static str> {
        match *shape {
            [] => match elements.first() {
                Some(element) => element.write_or_null(&mut self.text, &self.policy),
                None => Ok(()),
            },
            [_] => {
                self.text.push(b'[');
                let policy = self.policy;
                if elements.len() < SHORT_LIST || !T::write_many(elements, &mut self.text, &policy)? {
                    for element in elements {
                        element.write_or_null(&mut self.text, &policy)?;
                        self.text.push(b',');
                    }
                }
                match self.text.last_mut() {
                    Some(comma) if !elements.is_empty() => *comma = b']',
                    _ => self.text.push(b']'),
                }
                Ok(())
            }
            [rows, ref inner @ ..] => {
                let length = element_count(inner).unwrap_or(0);
                self.text.push(b'[');
                for row in 0..rows {
                    self.comma(row);
                    self.nested(&elements[row * length..(row + 1) * length], inner)?;
                }
                self.text.push(b']');
                Ok(())
            }
        }
    }

    fn key(&mut self, key: &str) {
        write_string(&mut self.text, key);
        self.text.push(b':');
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.text.push(b',');
        }
    }
}

/// A tensor without elements takes no memory, however large its other dimensions are; written out, `[1000000000, 0]` would.
fn check_empty_lists(name: &str, value: &Value, max: usize) -> Result<(), EncodeError> {
    let shape = match value {
        Value::Tensor(tensor) => tensor.shape(),
        Value::Sequence(items) => return items.iter().try_for_each(|item| check_empty_lists(name, item, max)),
        // Its values have one dimension.
        Value::Map { .. } => return Ok(()),
    };
    if !shape.contains(&0) || written(shape).is_some_and(|lists| lists <= max) {
        return Ok(());
    }
    Err(EncodeError::NotRepresentable(format!(
        "output '{name}' of shape {} would be more than {max} empty lists in JSON; ask for a binary reply such as \
         application/x-npy",
        Shape(shape),
    )))
}

/// Whether an output has the rows that its declaration promises. A dimension without a name promises them too, and may be
/// another one in truth; then the form stays what it is, and the answer is refused.
fn check_rows(output: &Output<'_>, rows: usize) -> Result<(), EncodeError> {
    let own = match output.value {
        Value::Tensor(tensor) => tensor.shape().first().copied(),
        Value::Sequence(items) => Some(items.len()),
        Value::Map { .. } => None,
    };
    if own == Some(rows) {
        return Ok(());
    }
    let own = own.map_or_else(|| "no rows".to_owned(), |own| format!("{own} rows"));
    Err(EncodeError::NotRepresentable(format!(
        "output '{}' has {own} where the request has {rows}, so that the answer cannot come row by row; send the inputs under \
         \"inputs\", which is answered by columns",
        output.name,
    )))
}

/// About how many bytes a tensor's text has.
fn tensor_text_size(tensor: &Tensor) -> usize {
    let element = match tensor {
        Tensor::Bool(_) => 6,
        Tensor::I8(_) | Tensor::U8(_) => 4,
        Tensor::I16(_) | Tensor::U16(_) => 6,
        Tensor::String(array) => return array.iter().map(|text| text.len() + 3).sum(),
        Tensor::F64(_) => 20,
        _ => 13,
    };
    let shape = tensor.shape();
    let lists = element_count(&shape[..shape.len().saturating_sub(1)]).unwrap_or(0);
    tensor.len() * element + if tensor.is_empty() { 2 } else { 4 * lists }
}

/// About how many bytes a value's text has.
fn text_size(value: &Value) -> usize {
    match value {
        Value::Tensor(tensor) => tensor_text_size(tensor),
        Value::Sequence(items) => items.iter().map(|item| text_size(item) + 1).sum(),
        Value::Map { keys, values } => {
            let keys = match keys {
                MapKeys::I64(keys) => keys.len() * 8,
                MapKeys::String(keys) => keys.iter().map(|key| key.len() + 4).sum(),
            };
            keys + tensor_text_size(values)
        }
    }
}

/// Writes one element of a tensor as the cell of a table: as in JSON, but for strings, which are themselves. The error names
/// what JSON cannot carry.
pub(in crate::codec) fn write_cell(tensor: &Tensor, index: usize, text: &mut Vec<u8>) -> Result<(), &'static str> {
    if let Tensor::String(array) = tensor {
        let elements = array.as_slice().expect("a tensor is contiguous and row-major");
        text.extend_from_slice(elements[index].as_bytes());
        return Ok(());
    }
    with_tensor!(tensor, array => {
        let elements = array.as_slice().expect("a tensor is contiguous and row-major");
        elements[index].write(text)
    })
}

pub(in crate::codec) fn write_string(text: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(text, value).expect("a string can be written to memory");
}

/// An element type's text. The error names what JSON cannot carry.
trait Text: Sized {
    fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str>;

    /// The same, with `null` for what JSON cannot carry, where the policy says so.
    #[inline(always)]
    fn write_or_null(&self, text: &mut Vec<u8>, policy: &Policy) -> Result<(), &'static str> {
        match self.write(text) {
            Err(_) if policy.non_finite_output == NonFiniteOutput::Null => {
                text.extend_from_slice(b"null");
                Ok(())
            }
            written => written,
        }
    }

    /// Writes a list with a comma behind each element, if there is a faster way than one by one.
    fn write_many(_list: &[Self], _text: &mut Vec<u8>, _policy: &Policy) -> Result<bool, &'static str> {
        Ok(false)
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Text for $t {
            #[inline(always)]
            fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str> {
                text.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
                Ok(())
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($t:ty, $write_many:expr;)*) => {$(
        impl Text for $t {
            #[inline(always)]
            fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str> {
                if self.is_finite() {
                    text.extend_from_slice(ryu::Buffer::new().format_finite(*self).as_bytes());
                    return Ok(());
                }
                Err(match () {
                    () if self.is_nan() => "NaN",
                    () if *self > 0.0 => "Infinity",
                    () => "-Infinity",
                })
            }

            fn write_many(list: &[Self], text: &mut Vec<u8>, policy: &Policy) -> Result<bool, &'static str> {
                $write_many(list, text, policy)
            }
        }
    )*};
}

floats!(f32, together; f64, one_by_one;);

/// Lists of what is written as an `f32`.
fn together<T: Text + Copy + Into<f32>>(list: &[T], text: &mut Vec<u8>, policy: &Policy) -> Result<bool, &'static str> {
    vector::write(list, text, |element, text| element.write_or_null(text, policy))
}

fn one_by_one<T>(_list: &[T], _text: &mut Vec<u8>, _policy: &Policy) -> Result<bool, &'static str> {
    Ok(false)
}

macro_rules! narrow_floats {
    ($($t:ty),*) => {$(
        impl Text for $t {
            fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str> {
                self.to_f32().write(text)
            }

            fn write_many(list: &[Self], text: &mut Vec<u8>, policy: &Policy) -> Result<bool, &'static str> {
                together(list, text, policy)
            }
        }
    )*};
}

narrow_floats!(f16, bf16);

impl Text for bool {
    fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str> {
        text.extend_from_slice(if *self { b"true" } else { b"false" });
        Ok(())
    }
}

impl Text for String {
    fn write(&self, text: &mut Vec<u8>) -> Result<(), &'static str> {
        write_string(text, self);
        Ok(())
    }
}
