//! Rows that show whether others reach them: ordinary ones, and hostile ones of every kind.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use scoria::splitmix::SplitMix64;
use scoria::tensor::{DType, Dim, Element, Signature, Tensor, TensorSpec};

/// Rows whose numbers are of one size, so that what is added up in another order stays close.
pub const ORDINARY: usize = 4;

/// All rows, the ordinary ones first.
pub const ALL: usize = 21;

/// From here on, integers and strings are hostile and the floats beside them ordinary.
const HOSTILE_INTEGERS: usize = 16;

/// Row `row` of each input of a model, as tensors of one row. `seed` makes others of the same kinds.
pub fn row(signature: &Signature, row: usize, seed: u64) -> Vec<Tensor> {
    signature
        .inputs
        .iter()
        .enumerate()
        .map(|(number, input)| of_input(input, row, seed ^ ((number as u64) << 8)))
        .collect()
}

fn of_input(input: &TensorSpec, row: usize, seed: u64) -> Tensor {
    let dims = input.dims.as_deref().unwrap_or_default();
    // Sizes that are free are the same in all rows: requests of other sizes are never joined.
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Dynamic(name) => 2 + name.as_deref().map_or(0, str::len) % 3,
    };
    let shape: Vec<usize> = dims.iter().enumerate().map(|(axis, dim)| if axis == 0 { 1 } else { size(dim) }).collect();
    let count = shape.iter().product();
    // The last of the first kinds is a copy of an ordinary row.
    let same = if row == HOSTILE_INTEGERS - 1 { 0 } else { row };
    let mut numbers = SplitMix64::new(seed.wrapping_mul(977) + same as u64);
    match input.dtype {
        DType::F32 => array(&shape, floats(row, count, &mut numbers).map(|number| number as f32)),
        DType::F64 => array(&shape, floats(row, count, &mut numbers)),
        DType::F16 => array(&shape, floats(row, count, &mut numbers).map(f16::from_f64)),
        DType::BF16 => array(&shape, floats(row, count, &mut numbers).map(bf16::from_f64)),
        DType::Bool => array(&shape, integers(row, count, &mut numbers, 0, 1).map(|number| number != 0)),
        DType::I8 => array(&shape, integers(row, count, &mut numbers, i8::MIN.into(), i8::MAX.into()).map(|n| n as i8)),
        DType::I16 => {
            array(&shape, integers(row, count, &mut numbers, i16::MIN.into(), i16::MAX.into()).map(|n| n as i16))
        }
        DType::I32 => {
            array(&shape, integers(row, count, &mut numbers, i32::MIN.into(), i32::MAX.into()).map(|n| n as i32))
        }
        DType::I64 => array(&shape, integers(row, count, &mut numbers, i64::MIN, i64::MAX)),
        DType::U8 => array(&shape, integers(row, count, &mut numbers, 0, u8::MAX.into()).map(|n| n as u8)),
        DType::U16 => array(&shape, integers(row, count, &mut numbers, 0, u16::MAX.into()).map(|n| n as u16)),
        DType::U32 => array(&shape, integers(row, count, &mut numbers, 0, u32::MAX.into()).map(|n| n as u32)),
        DType::U64 => array(&shape, integers(row, count, &mut numbers, 0, i64::MAX).map(|n| n as u64)),
        DType::String => array(&shape, strings(row, count, &mut numbers)),
    }
}

fn array<T: Element>(shape: &[usize], values: impl Iterator<Item = T>) -> Tensor {
    T::wrap(ArrayD::from_shape_vec(IxDyn(shape), values.collect()).expect("as many values as the shape has room for"))
}

fn floats(row: usize, count: usize, numbers: &mut SplitMix64) -> impl Iterator<Item = f64> {
    let special = numbers.draw() as usize % count.max(1);
    (0..count).map(move |index| {
        let ordinary = numbers.share() * 4.0 - 2.0;
        match row {
            4 => ordinary * 1e-3,
            5 => ordinary * 1e3,
            6 => ordinary * 1e6,
            7 => 0.75,
            8 => 0.0,
            9 => -3.0 - ordinary.abs(),
            10 if index == special => f64::NAN,
            11 if index == special => f64::INFINITY,
            12 if index == special => f64::NEG_INFINITY,
            13 => 1e-40 * ordinary,
            14 => ordinary.signum() * 10f64.powf(3.0 * ordinary),
            _ => ordinary,
        }
    })
}

/// Small ones, which are places in tables too, unless the row is hostile.
fn integers(row: usize, count: usize, numbers: &mut SplitMix64, least: i64, most: i64) -> impl Iterator<Item = i64> {
    (0..count).map(move |_| {
        let draw = numbers.draw();
        match row {
            16 => least,
            17 => most,
            18 => (draw as i64).clamp(least, most),
            19 => (-((draw % 3) as i64)).max(least),
            20 => (most / 2 + (draw % 100) as i64).clamp(least, most),
            8 => 0,
            7 => 1,
            _ => ((draw % 3) as i64).min(most),
        }
    })
}

fn strings(row: usize, count: usize, numbers: &mut SplitMix64) -> impl Iterator<Item = String> {
    (0..count).map(move |_| {
        let draw = numbers.draw() as usize;
        match row {
            16 => String::new(),
            17 => "long ".repeat(50 + draw % 50),
            18 => format!("{}.5", draw % 1000),
            19 => ["ä ö", "a  b", " the ", "A-B_c"][draw % 4].to_owned(),
            20 => "b".to_owned(),
            _ => ["a", "b", "c", "1", "2"][draw % 5].to_owned(),
        }
    })
}
