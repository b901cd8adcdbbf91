//! Whether the runtime keeps the rows of a graph apart: each row alone, against the same row beside others.
//!
//! Two comparisons are made. *Beside other neighbours*: the same row at the same place of as many rows must give the same bits,
//! whatever its neighbours hold, since a kernel's order of adding depends on sizes and places alone. *Alone*: the same again
//! without neighbours; exact operators must give the same bits, others may round differently for other numbers of rows
//! (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1: a sum of n products is off by at most
//! n·u/(1 − n·u) times the sum of their magnitudes), so that ordinary rows alone are compared, by [`rounding`].

use std::path::Path;

use scoria::engine::{Engine, Graph, LoadError, LoadOptions, RowWise, Session};
use scoria::tensor::{DType, Element, Signature, Tensor, Value, split_rows};

use super::notation::{Types, Written};
use super::rows;
use crate::support::onnx::{self, Type};

/// Operators whose results are exact or rounded once, however many rows there are. `ReduceMax`, `ReduceMin` and `Hardmax` are not:
/// for one row the runtime takes another kernel, which may pass over NaN. A cast to integers is not: what is beyond their range
/// becomes one number in a vector register and another beside it.
const EXACT: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast to=1",
    "Cast to=9",
    "Cast to=11",
    "CastLike",
    "Ceil",
    "Clip",
    "Compress",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "DynamicQuantizeLinear",
    "Equal",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Greater",
    "GreaterOrEqual",
    "Identity",
    "If",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "Loop",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "QuantizeLinear",
    "Range",
    "Relu",
    "Reshape",
    "ReverseSequence",
    "Round",
    "Scan",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Sign",
    "Size",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "StringConcat",
    "StringNormalizer",
    "StringSplit",
    "Sub",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unique",
    "Unsqueeze",
    "Where",
    "Xor",
    "ml.ArrayFeatureExtractor",
    "ml.Binarizer",
    "ml.CategoryMapper",
    "ml.FeatureVectorizer",
    "ml.Imputer",
    "ml.LabelEncoder",
    "ml.OneHotEncoder",
];

/// What becomes of a graph's rows.
pub enum Outcome {
    /// It does not run, not even alone.
    Fails(String),
    /// No row is reached by another.
    Apart,
    /// A row's outputs depend on others, or their number does.
    Mixes(String),
}

/// A graph that the runtime has loaded.
pub struct Trial {
    pub row_wise: RowWise,
    signature: Signature,
    session: Box<dyn Session>,
    is_exact: bool,
}

impl Trial {
    /// Loads the graph of a text. `path` is where its file may be written.
    pub fn of(engine: &dyn Engine, text: &str, version: i64, path: &Path) -> Result<Trial, String> {
        let written = Written::of(text, version);
        let mut types = Types::new();
        loop {
            let model = written.with(&types);
            let graph = Graph::parse(&model.bytes(), path).map_err(|error| error.to_string())?;
            model.write(path);
            match engine.load(path, &graph, &LoadOptions::default()) {
                Ok(mut loaded) => {
                    let is_exact = written.operators.iter().all(|operator| EXACT.contains(&operator.as_str()));
                    let session = loaded.sessions.remove(0);
                    return Ok(Trial { row_wise: graph.row_wise, signature: graph.signature, session, is_exact });
                }
                Err(LoadError::Failed { reason, .. }) => match type_of(&reason) {
                    Some((name, kind)) if types.insert(name.clone(), kind.clone()).is_none() => {}
                    _ => return Err(reason),
                },
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Whether it runs on one ordinary row by itself.
    pub fn runs_alone(&mut self) -> Result<(), String> {
        let runs = (0..rows::ORDINARY).map(|row| self.run(&[&rows::row(&self.signature, row, 1)]).map(drop));
        runs.reduce(Result::or).expect("there are ordinary rows")
    }

    /// Runs hostile rows alone and together.
    pub fn outcome(&mut self) -> Outcome {
        match self.compare(1) {
            Err(error) => Outcome::Fails(error),
            Ok(None) => Outcome::Apart,
            Ok(Some(Apart { text, is_certain: true })) => Outcome::Mixes(text),
            // A value beside the edge of a step is rounded across it once in millions of rows, not with every row.
            Ok(Some(_)) => match (self.compare(2), self.compare(3)) {
                (Ok(Some(Apart { text, .. })), Ok(Some(_))) => Outcome::Mixes(text),
                _ => Outcome::Apart,
            },
        }
    }

    fn compare(&mut self, seed: u64) -> Result<Option<Apart>, String> {
        let rows: Vec<Vec<Tensor>> = (0..rows::ALL).map(|row| rows::row(&self.signature, row, seed)).collect();
        let mut alone = Vec::new();
        let mut error = None;
        for (number, row) in rows.iter().enumerate() {
            match self.run(&[row]) {
                Ok(outputs) => match each_row(&outputs, 1) {
                    Some(mut outputs) => alone.push((number, outputs.remove(0))),
                    None => {
                        return Ok(Apart::certain(format!(
                            "one row has outputs of other numbers of rows: {}",
                            shapes(&outputs)
                        )));
                    }
                },
                Err(text) => error = Some(text),
            }
        }
        match error {
            Some(error) if alone.iter().all(|(number, _)| *number >= rows::ORDINARY) => return Err(error),
            _ => {}
        }
        let runs = Runs { rows: &rows, alone: &alone };
        let mut rounded = None;
        for index in 0..alone.len() {
            match self.beside(&runs, index) {
                Some(apart) if apart.is_certain => return Ok(Some(apart)),
                apart => rounded = rounded.or(apart),
            }
        }
        match self.in_requests(&runs) {
            Some(apart) if apart.is_certain => Ok(Some(apart)),
            apart => Ok(rounded.or(apart)),
        }
    }

    /// One row beside ordinary neighbours, beside hostile ones, and alone.
    fn beside(&mut self, runs: &Runs<'_>, index: usize) -> Option<Apart> {
        let count = runs.alone.len();
        let place = index % 3;
        let neighbours = |first: usize, second: usize| {
            let mut batch = vec![first % count, second % count];
            batch.insert(place, index);
            batch
        };
        let calm = neighbours(0, 1);
        let loud = neighbours(index * 5 + 6, index * 7 + 10);
        let (calm_rows, loud_rows) = match (self.joined(runs, &calm), self.joined(runs, &loud)) {
            (Ok(calm), Ok(loud)) => (calm, loud),
            (Err(text), _) | (_, Err(text)) => return Apart::certain(text),
        };
        if let Some(text) = apart(&calm_rows[place], &loud_rows[place], None) {
            let (calm, loud) = (runs.numbers(&calm), runs.numbers(&loud));
            return Apart::certain(format!("row {} among {calm:?} and among {loud:?}: {text}", runs.alone[index].0));
        }
        self.beside_alone(runs, index, &calm_rows[place]).map(|text| Apart {
            text: format!("row {} among {:?} and alone: {text}", runs.alone[index].0, runs.numbers(&calm)),
            is_certain: self.is_exact,
        })
    }

    /// Requests of several rows, in another order than alone.
    fn in_requests(&mut self, runs: &Runs<'_>) -> Option<Apart> {
        let count = runs.alone.len();
        for batch in [(0..count).rev().take(6).collect::<Vec<_>>(), (0..count.min(7)).collect()] {
            let outputs = match self.joined(runs, &batch) {
                Ok(outputs) => outputs,
                Err(text) => return Apart::certain(text),
            };
            for (&index, outputs) in batch.iter().zip(&outputs) {
                if let Some(text) = self.beside_alone(runs, index, outputs) {
                    let text =
                        format!("row {} among {:?} and alone: {text}", runs.alone[index].0, runs.numbers(&batch));
                    return Some(Apart { text, is_certain: self.is_exact });
                }
            }
        }
        None
    }

    fn beside_alone(&self, runs: &Runs<'_>, index: usize, outputs: &[Value]) -> Option<String> {
        let (number, alone) = &runs.alone[index];
        let size = runs.rows[*number].iter().map(largest).fold(1.0, f64::max);
        match self.is_exact {
            true => apart(outputs, alone, None),
            false if *number < rows::ORDINARY => apart(outputs, alone, Some(size)),
            false => None,
        }
    }

    /// The outputs of rows joined, row by row. Requests of one, two and three rows take turns.
    fn joined(&mut self, runs: &Runs<'_>, batch: &[usize]) -> Result<Vec<Vec<Value>>, String> {
        let parts: Vec<&[Tensor]> = batch.iter().map(|&index| runs.rows[runs.alone[index].0].as_slice()).collect();
        let numbers = runs.numbers(batch);
        let outputs =
            self.run(&parts).map_err(|error| format!("rows {numbers:?} fail together, and none alone: {error}"))?;
        let shapes = shapes(&outputs);
        each_row(&outputs, batch.len()).ok_or_else(|| format!("rows {numbers:?} together have outputs {shapes}"))
    }

    fn run(&mut self, parts: &[&[Tensor]]) -> Result<Vec<Value>, String> {
        self.session.run_joined(parts).map_err(|error| error.to_string())
    }
}

/// The difference of a row.
struct Apart {
    text: String,
    /// Whether no rounding explains it.
    is_certain: bool,
}

impl Apart {
    fn certain(text: String) -> Option<Apart> {
        Some(Apart { text, is_certain: true })
    }
}

/// Rows, and the outputs of those that run alone, by their numbers.
struct Runs<'a> {
    rows: &'a [Vec<Tensor>],
    alone: &'a [(usize, Vec<Value>)],
}

impl Runs<'_> {
    fn numbers(&self, batch: &[usize]) -> Vec<usize> {
        batch.iter().map(|&index| self.alone[index].0).collect()
    }
}

/// The outputs of each row; `None` unless each output has so many.
fn each_row(outputs: &[Value], count: usize) -> Option<Vec<Vec<Value>>> {
    let mut rows = vec![Vec::new(); count];
    for output in outputs {
        let parts: Vec<Value> = match output {
            Value::Tensor(tensor) => split_rows(tensor, &vec![1; count])?.into_iter().map(Value::Tensor).collect(),
            Value::Sequence(items) if items.len() == count => items.clone(),
            _ => return None,
        };
        rows.iter_mut().zip(parts).for_each(|(row, part)| row.push(part));
    }
    Some(rows)
}

/// How two rows' outputs differ: by a bit, or by more than rounding beside inputs of this size.
fn apart(got: &[Value], expected: &[Value], size: Option<f64>) -> Option<String> {
    let differs = |(got, expected): &(&Value, &Value)| match (got, expected) {
        (Value::Tensor(got), Value::Tensor(expected)) => {
            let size = size.map(|size| size.max(largest(got)).max(largest(expected)));
            tensors_differ(got, expected, size.map_or(0.0, |size| rounding(got.dtype()) * size))
        }
        (Value::Map { values: got, .. }, Value::Map { values: expected, .. }) => tensors_differ(got, expected, 0.0),
        _ => true,
    };
    let (got, expected) = got.iter().zip(expected).find(differs)?;
    Some(shortened(&format!("{got:?} is not {expected:?}")))
}

/// Whether two tensors differ: in type or shape, or, floats, by more than this. One NaN is like another, and zeros of both signs are
/// one number.
fn tensors_differ(got: &Tensor, expected: &Tensor, most: f64) -> bool {
    fn exact<T: Element + PartialEq>(got: &Tensor, expected: &Tensor) -> bool {
        T::array(got).is_none_or(|got| T::array(expected).is_none_or(|expected| got != expected))
    }
    fn floats<T: Element + Copy + Into<f64>>(got: &Tensor, expected: &Tensor, most: f64) -> bool {
        let (Some(got), Some(expected)) = (T::array(got), T::array(expected)) else { return true };
        let close = |(&got, &expected): (&T, &T)| {
            let (got, expected): (f64, f64) = (got.into(), expected.into());
            got == expected || got.is_nan() && expected.is_nan() || (got - expected).abs() <= most
        };
        got.shape() != expected.shape() || !got.iter().zip(expected).all(close)
    }
    match got.dtype() {
        DType::F16 => floats::<half::f16>(got, expected, most),
        DType::BF16 => floats::<half::bf16>(got, expected, most),
        DType::F32 => floats::<f32>(got, expected, most),
        DType::F64 => floats::<f64>(got, expected, most),
        DType::Bool => exact::<bool>(got, expected),
        DType::I8 => exact::<i8>(got, expected),
        DType::I16 => exact::<i16>(got, expected),
        DType::I32 => exact::<i32>(got, expected),
        DType::I64 => exact::<i64>(got, expected),
        DType::U8 => exact::<u8>(got, expected),
        DType::U16 => exact::<u16>(got, expected),
        DType::U32 => exact::<u32>(got, expected),
        DType::U64 => exact::<u64>(got, expected),
        DType::String => exact::<String>(got, expected),
    }
}

/// How far kernels for different numbers of rows may be apart, relative to the largest number of the row and its outputs: about
/// eighty units of the last place for the longest sums of these graphs, whose chains multiply it.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-2,
        DType::BF16 => 1e-1,
        DType::F64 => 1e-12,
        _ => 1e-5,
    }
}

/// The largest finite magnitude of a tensor of floats.
fn largest(tensor: &Tensor) -> f64 {
    fn of<T: Element + Copy + Into<f64>>(tensor: &Tensor) -> f64 {
        let numbers = T::array(tensor).into_iter().flatten().map(|&number| number.into().abs());
        numbers.filter(|number: &f64| number.is_finite()).fold(0.0, f64::max)
    }
    match tensor.dtype() {
        DType::F16 => of::<half::f16>(tensor),
        DType::BF16 => of::<half::bf16>(tensor),
        DType::F32 => of::<f32>(tensor),
        DType::F64 => of::<f64>(tensor),
        _ => 0.0,
    }
}

fn shapes(outputs: &[Value]) -> String {
    let shape = |value: &Value| match value {
        Value::Tensor(tensor) => format!("{:?}", tensor.shape()),
        other => format!("of {} elements", other.len()),
    };
    outputs.iter().map(shape).collect::<Vec<_>>().join(", ")
}

fn shortened(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

/// The output that the runtime says is of another type, and that type.
fn type_of(reason: &str) -> Option<(String, Type)> {
    let (_, rest) = reason.split_once(" of output arg (")?;
    let (name, rest) = rest.split_once(')')?;
    let (_, rest) = rest.split_once("expected type (")?;
    let kind = rest.split_once(").").map_or(rest, |(kind, _)| kind);
    let maps = |key| onnx::sequence(onnx::map(key, onnx::tensor(DType::F32, "")));
    let kind = match kind.strip_prefix("tensor(").and_then(|kind| kind.strip_suffix(')')) {
        Some("float") => onnx::unranked(DType::F32),
        Some("double") => onnx::unranked(DType::F64),
        Some(name) => onnx::unranked(DType::ALL.into_iter().find(|dtype| dtype.name() == name)?),
        None if kind == "seq(map(int64,tensor(float)))" => maps(DType::I64),
        None if kind == "seq(map(string,tensor(float)))" => maps(DType::String),
        None => return None,
    };
    Some((name.to_owned(), kind))
}
