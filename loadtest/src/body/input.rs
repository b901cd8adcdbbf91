//! A model's input: its name, type and shape; and numbers for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float32,
    Float64,
    String,
}

/// Each with its name, Open Inference's name, and NumPy's, as far as it has one.
const DATA_TYPES: [(DataType, &str, &str, Option<&str>); 12] = [
    (DataType::Bool, "bool", "BOOL", Some("|b1")),
    (DataType::Int8, "int8", "INT8", Some("|i1")),
    (DataType::Int16, "int16", "INT16", Some("<i2")),
    (DataType::Int32, "int32", "INT32", Some("<i4")),
    (DataType::Int64, "int64", "INT64", Some("<i8")),
    (DataType::Uint8, "uint8", "UINT8", Some("|u1")),
    (DataType::Uint16, "uint16", "UINT16", Some("<u2")),
    (DataType::Uint32, "uint32", "UINT32", Some("<u4")),
    (DataType::Uint64, "uint64", "UINT64", Some("<u8")),
    (DataType::Float32, "float32", "FP32", Some("<f4")),
    (DataType::Float64, "float64", "FP64", Some("<f8")),
    (DataType::String, "string", "BYTES", None),
];

impl DataType {
    /// By its own name or Open Inference's.
    pub fn named(name: &str) -> Option<DataType> {
        DATA_TYPES.iter().find(|(_, own, v2, _)| *own == name || *v2 == name).map(|(found, ..)| *found)
    }

    fn names(self) -> (&'static str, &'static str, Option<&'static str>) {
        let (_, own, v2, npy) = DATA_TYPES[self as usize];
        (own, v2, npy)
    }

    pub fn open_inference(self) -> &'static str {
        self.names().1
    }

    pub fn npy_descr(self) -> Option<&'static str> {
        self.names().2
    }

    fn is_float(self) -> bool {
        matches!(self, DataType::Float32 | DataType::Float64)
    }

    /// The integers that it holds and a double tells apart.
    fn limits(self) -> (f64, f64) {
        match self {
            DataType::Bool => (0.0, 1.0),
            DataType::Int8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
            DataType::Int16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            DataType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DataType::Uint8 => (0.0, f64::from(u8::MAX)),
            DataType::Uint16 => (0.0, f64::from(u16::MAX)),
            DataType::Uint32 => (0.0, f64::from(u32::MAX)),
            DataType::Uint64 => (0.0, 2f64.powi(53)),
            DataType::Int64 | DataType::Float32 | DataType::Float64 | DataType::String => {
                (-(2f64.powi(53)), 2f64.powi(53))
            }
        }
    }
}

/// Elements of a body are bounded: more is a typing error.
const ELEMENTS_MAX: u64 = 100_000_000;

/// An input, as `NAME:TYPE:SHAPE` or `NAME:TYPE:SHAPE=LOW..HIGH`; the shape is sizes joined by `x`, or nothing for a scalar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputSpec {
    pub name: String,
    pub data_type: DataType,
    pub shape: Vec<u64>,
    /// Where its own numbers lie, if not where all others do.
    pub range: Option<Range>,
}

impl FromStr for InputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<InputSpec, String> {
        let (described, range) = match text.rsplit_once('=') {
            Some((described, range)) => (described, Some(range.parse()?)),
            None => (text, None),
        };
        // Names may hold colons; types and shapes don't.
        let mut parts = described.rsplitn(3, ':');
        let (Some(shape), Some(data_type), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("expected an input as NAME:TYPE:SHAPE, such as features:float32:1x10, got '{text}'"));
        };
        let data_type = DataType::named(data_type).ok_or_else(|| {
            let known: Vec<_> = DATA_TYPES.iter().map(|(_, own, ..)| *own).collect();
            format!("expected a type of {}, got '{data_type}' in '{text}'", known.join(", "))
        })?;
        let sizes = shape.split('x').filter(|_| !shape.is_empty()).map(str::parse);
        let shape: Vec<u64> = sizes
            .collect::<Result<_, _>>()
            .map_err(|_| format!("expected a shape of sizes joined by x, such as 1x10, got '{shape}' in '{text}'"))?;
        let elements = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
        if elements.is_none_or(|elements| elements > ELEMENTS_MAX) {
            return Err(format!("expected a shape of at most {ELEMENTS_MAX} elements, got '{text}'"));
        }
        Ok(InputSpec { name: name.to_owned(), data_type, shape, range })
    }
}

impl fmt::Display for InputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.name, self.data_type.names().0, sizes.join("x"))?;
        self.range.map_or(Ok(()), |range| write!(f, "={}", String::from(range)))
    }
}

impl TryFrom<String> for InputSpec {
    type Error = String;

    fn try_from(text: String) -> Result<InputSpec, String> {
        text.parse()
    }
}

impl From<InputSpec> for String {
    fn from(input: InputSpec) -> String {
        input.to_string()
    }
}

/// Where made-up numbers lie: from `low` up to, but without, `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    low: f64,
    high: f64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let range = text
            .split_once("..")
            .and_then(|(low, high)| Some(Range { low: low.parse().ok()?, high: high.parse().ok()? }));
        range
            .filter(|Range { low, high }| low < high && low.is_finite() && high.is_finite())
            .ok_or_else(|| format!("expected a range LOW..HIGH with LOW below HIGH, such as -1..1, got '{text}'"))
    }
}

impl TryFrom<String> for Range {
    type Error = String;

    fn try_from(text: String) -> Result<Range, String> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        format!("{}..{}", range.low, range.high)
    }
}

/// An input with numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub data_type: DataType,
    pub shape: Vec<u64>,
    /// Each exactly what its type holds. A string is its number, written.
    numbers: Vec<f64>,
    decimals: Option<u8>,
}

impl InputSpec {
    /// Numbers for it.
    pub fn draw(&self, range: Option<Range>, decimals: Option<u8>, random: &mut fastrand::Rng) -> Tensor {
        let is_float = self.data_type.is_float();
        let default = if is_float { Range { low: -1.0, high: 1.0 } } else { Range { low: 0.0, high: 100.0 } };
        let Range { low, high } = self.range.or(range).unwrap_or(default);
        let (least, most) = self.data_type.limits();
        let draw = |_| {
            let drawn = low + random.f64() * (high - low);
            let rounded = match (is_float, decimals) {
                (true, None) => drawn,
                (true, Some(digits)) => format!("{drawn:.*}", usize::from(digits)).parse().unwrap_or(drawn),
                (false, _) if self.data_type == DataType::Bool => f64::from(random.bool()),
                (false, _) => drawn.floor().clamp(least, most),
            };
            if self.data_type == DataType::Float32 { f64::from(rounded as f32) } else { rounded }
        };
        let numbers = (0..self.shape.iter().product::<u64>()).map(draw).collect();
        Tensor { name: self.name.clone(), data_type: self.data_type, shape: self.shape.clone(), numbers, decimals }
    }
}

impl Tensor {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.numbers.len()
    }

    /// An element as JSON has it.
    pub fn json_element(&self, index: usize) -> String {
        let number = self.numbers[index];
        match (self.data_type, self.decimals) {
            (DataType::Bool, _) => (number != 0.0).to_string(),
            (DataType::String, _) => format!("\"{number}\""),
            (DataType::Float32 | DataType::Float64, Some(digits)) => format!("{number:.*}", usize::from(digits)),
            // The shortest text that gives the same float again.
            (DataType::Float32, None) => (number as f32).to_string(),
            _ => number.to_string(),
        }
    }

    /// Row-major, little end first. Strings as Open Inference writes them: the length in four bytes, then the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in &self.numbers {
            match self.data_type {
                DataType::Bool => bytes.push(u8::from(*number != 0.0)),
                DataType::Int8 => bytes.extend((*number as i8).to_le_bytes()),
                DataType::Int16 => bytes.extend((*number as i16).to_le_bytes()),
                DataType::Int32 => bytes.extend((*number as i32).to_le_bytes()),
                DataType::Int64 => bytes.extend((*number as i64).to_le_bytes()),
                DataType::Uint8 => bytes.extend((*number as u8).to_le_bytes()),
                DataType::Uint16 => bytes.extend((*number as u16).to_le_bytes()),
                DataType::Uint32 => bytes.extend((*number as u32).to_le_bytes()),
                DataType::Uint64 => bytes.extend((*number as u64).to_le_bytes()),
                DataType::Float32 => bytes.extend((*number as f32).to_le_bytes()),
                DataType::Float64 => bytes.extend(number.to_le_bytes()),
                DataType::String => {
                    let text = number.to_string();
                    bytes.extend(u32::try_from(text.len()).expect("a number's text is short").to_le_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_written_as_they_are_read() {
        for text in ["features:float32:1x10", "a:b:int64:3", "scalar:bool:", "mask:int64:1x32=1..2"] {
            assert_eq!(text.parse::<InputSpec>().unwrap().to_string(), text);
        }
        assert_eq!("x:FP32:2".parse::<InputSpec>().unwrap().to_string(), "x:float32:2");
        let refusal = |text: &str| text.parse::<InputSpec>().unwrap_err();
        assert!(refusal("features").contains("NAME:TYPE:SHAPE"));
        assert!(refusal("x:float:1").contains("got 'float'"));
        assert!(refusal("x:float32:1,10").contains("joined by x"));
        assert!(refusal("x:float32:99999999999x99999999999").contains("at most"));
    }

    #[test]
    fn each_type_is_at_its_own_place_of_the_table() {
        for (index, (data_type, own, ..)) in DATA_TYPES.iter().enumerate() {
            assert_eq!(*data_type as usize, index, "{own}");
        }
    }

    #[test]
    fn ranges_are_checked() {
        assert!("1..1".parse::<Range>().is_err());
        assert!("1".parse::<Range>().is_err());
        assert!("0..inf".parse::<Range>().is_err());
        assert_eq!(String::from("-1.5..2".parse::<Range>().unwrap()), "-1.5..2");
    }
}
