//! Rows that show it if they are not kept apart: of very different sizes beside each other, and the sample's own.

use ndarray::{ArrayD, IxDyn};

use super::made_up::{Numbers, Shapes, Values};
use crate::engine::Graph;
use crate::splitmix::SplitMix64;
use crate::tensor::{DType, Element, Tensor, element_count, join_rows, split_rows};

/// Kinds of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each row has a scale of its own, from 1e-2 to 1e4; integers as far as the model takes them.
    Sizes,
    /// Rows of the sample, as they are and scaled, beside made-up ones.
    Sample,
    /// A huge number among tiny ones, and rows that are equal throughout.
    Patterns,
    /// NaN and infinities beside common rows.
    NonFinite,
    /// Floats from -1 to 1, small integers.
    Gentle,
}

/// The values of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Row {
    /// Floats of either sign up to this.
    UpTo(f64),
    Equal(f64),
    /// One huge number among tiny ones.
    Spike,
    /// This one among common floats.
    NonFinite(f64),
    /// One of the sample, times this.
    Sample(f64),
    Gentle,
}

impl Kind {
    /// The most telling first: of a slow model no more are tried than there is time for.
    pub const ALL: [Kind; 5] = [Kind::Sizes, Kind::Sample, Kind::Patterns, Kind::NonFinite, Kind::Gentle];

    /// The rows, and how many of them each request has. Kernels differ between one row and several, so both are among them.
    fn rows(self) -> ([Row; 5], &'static [usize]) {
        match self {
            Kind::Sizes => {
                ([Row::UpTo(1e-2), Row::UpTo(1e4), Row::UpTo(1.0), Row::UpTo(100.0), Row::Equal(0.0)], &[1, 1, 2, 1])
            }
            Kind::Sample => (
                [Row::Sample(1.0), Row::UpTo(1e4), Row::Sample(1.0), Row::Sample(100.0), Row::Sample(1e-2)],
                &[1, 1, 1, 2],
            ),
            Kind::Patterns => {
                ([Row::Spike, Row::Equal(3.0), Row::UpTo(1e-2), Row::Equal(-1e4), Row::UpTo(1.0)], &[2, 1, 1, 1])
            }
            Kind::NonFinite => (
                [
                    Row::UpTo(1.0),
                    Row::NonFinite(f64::NAN),
                    Row::UpTo(1e-2),
                    Row::NonFinite(f64::INFINITY),
                    Row::NonFinite(f64::NEG_INFINITY),
                ],
                &[1, 1, 1, 1, 1],
            ),
            Kind::Gentle => ([Row::Gentle; 5], &[3, 1, 1]),
        }
    }
}

/// What one input's integers or texts are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    low: i128,
    high: i128,
    /// Texts of all lengths, rather than the made-up ones.
    any_text: bool,
}

impl Reach {
    /// Wider and wider. The steps in between keep a model that makes something of so many elements from being asked for 2⁶³ of them
    /// at once: it is seen to take longer before.
    pub const STEPS: [i128; 7] = [100, 1_000, 8_192, 1 << 16, 1 << 20, 1 << 24, i128::MAX];

    /// What made-up values hold.
    pub fn of(values: Values) -> Reach {
        let high = match values {
            Values::Varied => 3,
            Values::Narrow => 1,
            Values::Zero => 0,
        };
        Reach { low: 0, high, any_text: false }
    }

    /// All places of a table.
    pub fn places(places: u64) -> Reach {
        Reach { low: 0, high: i128::from(places.saturating_sub(1)), any_text: false }
    }

    /// As far as a step goes, and the type; from 1,000 on to both sides of 0.
    pub fn step(step: i128, dtype: DType) -> Option<Reach> {
        let (least, most) = match dtype {
            DType::I8 => (i8::MIN.into(), i8::MAX.into()),
            DType::I16 => (i16::MIN.into(), i16::MAX.into()),
            DType::I32 => (i32::MIN.into(), i32::MAX.into()),
            DType::I64 => (i64::MIN.into(), i64::MAX.into()),
            DType::U8 => (0, u8::MAX.into()),
            DType::U16 => (0, u16::MAX.into()),
            DType::U32 => (0, u32::MAX.into()),
            DType::U64 => (0, u64::MAX.into()),
            DType::String => (0, 3),
            _ => return None,
        };
        let low = if step < 1_000 { 0 } else { -step };
        Some(Reach { low: low.max(least), high: step.min(most), any_text: true })
    }

    fn draw(self, random: &mut Numbers) -> i128 {
        random.between(self.low, self.high)
    }

    /// Now and then an end.
    fn draw_extreme(self, random: &mut Numbers) -> i128 {
        match random.below(4) {
            0 => self.high,
            1 => self.low,
            _ => self.draw(random),
        }
    }
}

/// Requests whose rows are joined.
pub(super) struct Batch {
    /// Rows of each request.
    pub sizes: &'static [usize],
    pub parts: Vec<Vec<Tensor>>,
    pub joined: Vec<Tensor>,
    /// Whether a row's answers count. What a kernel makes of a row's own NaN depends on where in memory the row lies, since
    /// the vectorised body of a loop and its tail treat it differently; what it does to other rows counts.
    pub counts: [bool; 5],
}

/// The kinds of rows in a batch.
pub(super) struct Maker<'a> {
    pub graph: &'a Graph,
    pub sample: Option<&'a [Tensor]>,
    pub shapes: &'a Shapes,
    pub values: Values,
    /// Of each input.
    pub reach: Vec<Reach>,
    pub max_elements: usize,
}

impl Maker<'_> {
    /// `None` if a batch would be too large, or the kind adds nothing.
    pub fn batch(&self, kind: Kind) -> Option<Batch> {
        let (kinds, sizes) = kind.rows();
        let inputs = &self.graph.signature.inputs;
        let counts = self.shapes.of_inputs().map(element_count);
        let elements = counts.sum::<Option<usize>>()?.checked_mul(kinds.len())?;
        let has_floats = inputs.iter().any(|input| is_float(input.dtype));
        if elements > self.max_elements || (kind == Kind::NonFinite && !has_floats) {
            return None;
        }
        let sample = if kind == Kind::Sample { self.sample_rows()? } else { Vec::new() };
        let mut random = Numbers(SplitMix64::new(kind as u64 + 1));
        let rows: Vec<Vec<Tensor>> = kinds
            .iter()
            .enumerate()
            .map(|(number, row)| match row {
                Row::Sample(factor) => {
                    sample[(number + 1) % sample.len()].iter().map(|tensor| scaled(tensor, *factor)).collect()
                }
                row => (0..inputs.len()).map(|input| self.fill(input, *row, &mut random)).collect(),
            })
            .collect();
        let mut rest = rows.as_slice();
        let parts = sizes.iter().map(|&size| {
            let (part, after) = rest.split_at(size);
            rest = after;
            stacked(part)
        });
        let parts = parts.collect::<Option<_>>()?;
        let counts = kinds.map(|row| !matches!(row, Row::NonFinite(_)));
        Some(Batch { sizes, parts, joined: stacked(&rows)?, counts })
    }

    /// One row with values as far as `reach` goes, and otherwise gentle ones.
    pub fn reaching(&self, reach: &[Reach]) -> Vec<Tensor> {
        let mut random = Numbers(SplitMix64::new(9));
        let wide = Maker { reach: reach.to_vec(), graph: self.graph, shapes: self.shapes, ..*self };
        let inputs = self.graph.signature.inputs.iter().enumerate();
        let row = |dtype| if is_float(dtype) { Row::Gentle } else { Row::UpTo(1e4) };
        inputs.map(|(index, input)| wide.fill(index, row(input.dtype), &mut random)).collect()
    }

    /// The sample's rows, if it has rows of the shape that is tried.
    fn sample_rows(&self) -> Option<Vec<Vec<Tensor>>> {
        let sample = self.sample?;
        let rows = *sample.first()?.shape().first().filter(|rows| **rows > 0)?;
        let split: Vec<Vec<Tensor>> =
            sample.iter().map(|input| split_rows(input, &vec![1; rows])).collect::<Option<_>>()?;
        let fits = split.iter().zip(self.shapes.of_inputs()).all(|(rows, shape)| rows[0].shape() == shape);
        fits.then(|| (0..rows).map(|row| split.iter().map(|input| input[row].clone()).collect()).collect())
    }

    fn fill(&self, input: usize, row: Row, random: &mut Numbers) -> Tensor {
        let spec = &self.graph.signature.inputs[input];
        let shape = self.shapes.of_inputs().nth(input).expect("a shape for each input");
        let gentle = Reach::of(self.values);
        let is_lookup = self.graph.lookups.iter().any(|lookup| lookup.input == input);
        let reach = self.reach[input];
        // Numbers that are looked up are drawn from the whole table in every row but the smallest.
        let reach = match row {
            Row::Gentle if !is_lookup => gentle,
            Row::UpTo(scale) if scale <= 1e-2 && !is_lookup => gentle,
            _ => reach,
        };
        let (equal, spike) = (reach.draw(random), element_count(shape).unwrap_or(0) / 2);
        let mut position = 0usize;
        let mut whole = |random: &mut Numbers| {
            let at = position;
            position += 1;
            match row {
                Row::Equal(0.0) => reach.low.max(0),
                Row::Equal(_) => equal,
                Row::Spike if at == spike => reach.high,
                Row::Spike => reach.low.max(0),
                Row::UpTo(scale) if scale > 100.0 => reach.draw_extreme(random),
                _ => reach.draw(random),
            }
        };
        match spec.dtype {
            dtype if is_float(dtype) && is_lookup => floats(dtype, shape, |_| whole(random) as f64),
            dtype if is_float(dtype) => {
                let is_zero = self.values == Values::Zero;
                floats(dtype, shape, |at| match row {
                    Row::Gentle if is_zero => 0.0,
                    Row::Gentle | Row::Sample(_) => random.float(),
                    Row::UpTo(scale) => scale * random.float(),
                    Row::Equal(value) => value,
                    Row::Spike if at == spike => 1e4,
                    Row::Spike => 1e-2 * random.float(),
                    Row::NonFinite(value) if at == spike => value,
                    Row::NonFinite(_) => random.float(),
                })
            }
            DType::String => tensor(shape, || text(whole(random), reach.any_text, self.values)),
            DType::Bool => tensor(shape, || whole(random) & 1 == 1),
            DType::I8 => tensor(shape, || whole(random) as i8),
            DType::I16 => tensor(shape, || whole(random) as i16),
            DType::I32 => tensor(shape, || whole(random) as i32),
            DType::I64 => tensor(shape, || whole(random) as i64),
            DType::U8 => tensor(shape, || whole(random) as u8),
            DType::U16 => tensor(shape, || whole(random) as u16),
            DType::U32 => tensor(shape, || whole(random) as u32),
            _ => tensor(shape, || whole(random) as u64),
        }
    }
}

pub(super) fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
}

fn stacked(rows: &[Vec<Tensor>]) -> Option<Vec<Tensor>> {
    let inputs = rows.first()?.len();
    (0..inputs).map(|input| join_rows(&rows.iter().map(|row| &row[input]).collect::<Vec<_>>())).collect()
}

fn tensor<T: Element>(shape: &[usize], mut value: impl FnMut() -> T) -> Tensor {
    T::wrap(ArrayD::from_shape_simple_fn(IxDyn(shape), &mut value))
}

fn floats(dtype: DType, shape: &[usize], mut value: impl FnMut(usize) -> f64) -> Tensor {
    let mut position = 0;
    let mut next = || {
        position += 1;
        value(position - 1)
    };
    match dtype {
        DType::F16 => tensor(shape, || half::f16::from_f64(next())),
        DType::BF16 => tensor(shape, || half::bf16::from_f64(next())),
        DType::F32 => tensor(shape, || next() as f32),
        _ => tensor(shape, next),
    }
}

fn text(number: i128, any: bool, values: Values) -> String {
    const COMMON: [&str; 4] = ["a", "b", "c", "d"];
    let number = usize::try_from(number).unwrap_or(0) % 4;
    match (any, values) {
        (true, _) => ["", "a", "-1e9 Zürich", &"long ".repeat(40)][number].to_owned(),
        (false, Values::Varied) => COMMON[number].to_owned(),
        (false, Values::Narrow) => number.to_string(),
        (false, Values::Zero) => String::new(),
    }
}

fn scaled(tensor: &Tensor, factor: f64) -> Tensor {
    match tensor {
        Tensor::F16(a) => Tensor::F16(a.mapv(|a| half::f16::from_f64(a.to_f64() * factor))),
        Tensor::BF16(a) => Tensor::BF16(a.mapv(|a| half::bf16::from_f64(a.to_f64() * factor))),
        Tensor::F32(a) => Tensor::F32(a.mapv(|a| (f64::from(a) * factor) as f32)),
        Tensor::F64(a) => Tensor::F64(a.mapv(|a| a * factor)),
        other => other.clone(),
    }
}
