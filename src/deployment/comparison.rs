//! How far one deployment's answers are from another's, to the same requests.

use std::time::Duration;

use half::{bf16, f16};
use ndarray::ArrayD;
use parking_lot::Mutex;

use crate::name::Name;
use crate::tensor::{Tensor, Value};

/// What has been measured between the deployment that answers and one that is compared with it.
#[derive(Debug)]
pub struct Comparison {
    /// Who answers.
    pub answering: Name,
    /// Who is run again.
    pub compared: Name,
    measured: Mutex<Measured>,
}

/// Sums and maxima over all requests that both have run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests that both have answered.
    pub requests: u64,
    /// Requests that the compared one failed on, or did not answer in time.
    pub failures: u64,
    pub difference: Difference,
    pub answering_run: Times,
    pub compared_run: Times,
}

/// How far outputs are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Floats that were compared.
    pub numbers: u64,
    /// The largest |a − b|.
    pub max_abs: f64,
    /// The largest |a − b| / max(|a|, |b|).
    pub max_rel: f64,
    /// Pairs of which one is finite and the other is not, or which are infinite and different.
    pub incomparable: u64,
    /// Labels that were compared: integers, flags and texts; where a model gives none, the greatest of each row of floats.
    pub labels: u64,
    pub labels_equal: u64,
    /// Outputs of different shapes, whose elements could not be compared.
    pub shapes_differ: u64,
}

/// How long runs took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    pub sum_s: f64,
    /// Of the squares, for a variance.
    pub sum_squares_s2: f64,
    pub max_s: f64,
}

impl Times {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.sum_s += seconds;
        self.sum_squares_s2 += seconds * seconds;
        self.max_s = self.max_s.max(seconds);
    }
}

impl Comparison {
    pub fn new(answering: Name, compared: Name) -> Comparison {
        Comparison { answering, compared, measured: Mutex::default() }
    }

    /// Takes in a request that both have answered.
    pub fn answered(&self, answer: (&[Value], Duration), again: (&[Value], Duration)) {
        let difference = difference(answer.0, again.0);
        let mut measured = self.measured.lock();
        measured.requests += 1;
        measured.difference.add(difference);
        measured.answering_run.add(answer.1);
        measured.compared_run.add(again.1);
    }

    /// Takes in a request that the compared one failed on.
    pub fn failed(&self) {
        self.measured.lock().failures += 1;
    }

    pub fn measured(&self) -> Measured {
        *self.measured.lock()
    }
}

impl Difference {
    /// The part of labels that are equal; `None` if there were none.
    pub fn agreement(&self) -> Option<f64> {
        (self.labels > 0).then(|| self.labels_equal as f64 / self.labels as f64)
    }

    fn add(&mut self, other: Difference) {
        self.numbers += other.numbers;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.max_rel = self.max_rel.max(other.max_rel);
        self.incomparable += other.incomparable;
        self.labels += other.labels;
        self.labels_equal += other.labels_equal;
        self.shapes_differ += other.shapes_differ;
    }

    fn number(&mut self, a: f64, b: f64) {
        self.numbers += 1;
        if a == b || a.is_nan() && b.is_nan() {
            return;
        }
        if !a.is_finite() || !b.is_finite() {
            self.incomparable += 1;
            return;
        }
        let apart = (a - b).abs();
        self.max_abs = self.max_abs.max(apart);
        self.max_rel = self.max_rel.max(apart / a.abs().max(b.abs()));
    }

    fn label(&mut self, is_equal: bool) {
        self.labels += 1;
        self.labels_equal += u64::from(is_equal);
    }
}

/// How far the outputs of one request are apart.
pub fn difference(answer: &[Value], again: &[Value]) -> Difference {
    let mut found = Difference::default();
    if answer.len() != again.len() {
        found.shapes_differ += 1;
    }
    for (a, b) in answer.iter().zip(again) {
        values(a, b, &mut found);
    }
    if found.labels == 0 {
        for (a, b) in answer.iter().zip(again) {
            greatest(a, b, &mut found);
        }
    }
    found
}

fn values(a: &Value, b: &Value, found: &mut Difference) {
    match (a, b) {
        (Value::Tensor(a), Value::Tensor(b)) => tensors(a, b, found),
        (Value::Sequence(a), Value::Sequence(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| values(a, b, found));
        }
        (Value::Map { keys: a_keys, values: a }, Value::Map { keys: b_keys, values: b }) if a_keys == b_keys => {
            tensors(a, b, found);
        }
        _ => found.shapes_differ += 1,
    }
}

fn tensors(a: &Tensor, b: &Tensor, found: &mut Difference) {
    fn labels<T: PartialEq>(a: &ArrayD<T>, b: &ArrayD<T>, found: &mut Difference) {
        a.iter().zip(b).for_each(|(a, b)| found.label(a == b));
    }
    if a.shape() != b.shape() {
        found.shapes_differ += 1;
        return;
    }
    match (a, b) {
        (Tensor::F32(a), Tensor::F32(b)) => {
            a.iter().zip(b).for_each(|(a, b)| found.number(f64::from(*a), f64::from(*b)));
        }
        (Tensor::F64(a), Tensor::F64(b)) => a.iter().zip(b).for_each(|(a, b)| found.number(*a, *b)),
        (Tensor::F16(a), Tensor::F16(b)) => {
            a.iter().zip(b).for_each(|(a, b)| found.number(f16::to_f64(*a), f16::to_f64(*b)));
        }
        (Tensor::BF16(a), Tensor::BF16(b)) => {
            a.iter().zip(b).for_each(|(a, b)| found.number(bf16::to_f64(*a), bf16::to_f64(*b)));
        }
        (Tensor::Bool(a), Tensor::Bool(b)) => labels(a, b, found),
        (Tensor::I8(a), Tensor::I8(b)) => labels(a, b, found),
        (Tensor::I16(a), Tensor::I16(b)) => labels(a, b, found),
        (Tensor::I32(a), Tensor::I32(b)) => labels(a, b, found),
        (Tensor::I64(a), Tensor::I64(b)) => labels(a, b, found),
        (Tensor::U8(a), Tensor::U8(b)) => labels(a, b, found),
        (Tensor::U16(a), Tensor::U16(b)) => labels(a, b, found),
        (Tensor::U32(a), Tensor::U32(b)) => labels(a, b, found),
        (Tensor::U64(a), Tensor::U64(b)) => labels(a, b, found),
        (Tensor::String(a), Tensor::String(b)) => labels(a, b, found),
        // The contract that both share names the types.
        _ => found.shapes_differ += 1,
    }
}

/// Compares which element of each row is the greatest, where rows of floats have two or more.
fn greatest(a: &Value, b: &Value, found: &mut Difference) {
    fn of<T: Copy + PartialOrd>(a: &ArrayD<T>, b: &ArrayD<T>, found: &mut Difference) {
        let Some(&columns) = a.shape().last().filter(|_| a.ndim() >= 2 && a.shape() == b.shape()) else { return };
        let (Some(a), Some(b)) = (a.as_slice(), b.as_slice()) else { return };
        if columns < 2 {
            return;
        }
        for (a, b) in a.chunks_exact(columns).zip(b.chunks_exact(columns)) {
            found.label(first_greatest(a) == first_greatest(b));
        }
    }
    match (a, b) {
        (Value::Tensor(Tensor::F32(a)), Value::Tensor(Tensor::F32(b))) => of(a, b, found),
        (Value::Tensor(Tensor::F64(a)), Value::Tensor(Tensor::F64(b))) => of(a, b, found),
        (Value::Tensor(Tensor::F16(a)), Value::Tensor(Tensor::F16(b))) => of(a, b, found),
        (Value::Tensor(Tensor::BF16(a)), Value::Tensor(Tensor::BF16(b))) => of(a, b, found),
        _ => {}
    }
}

fn first_greatest<T: Copy + PartialOrd>(row: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;
    use crate::tensor::{Element, MapKeys};

    fn floats(rows: &[[f32; 2]]) -> Value {
        Value::Tensor(f32::wrap(arr2(rows).into_dyn()))
    }

    fn labels(values: &[i64]) -> Value {
        Value::Tensor(i64::wrap(arr1(values).into_dyn()))
    }

    #[test]
    fn numbers_are_apart_by_the_largest_of_their_differences() {
        let found = difference(&[floats(&[[1.0, 2.0], [0.0, -4.0]])], &[floats(&[[1.0, 2.5], [0.0, -3.0]])]);
        assert_eq!((found.numbers, found.max_abs, found.max_rel), (4, 1.0, 0.25));
        // No labels are given, so the greatest of each row is.
        assert_eq!((found.labels, found.labels_equal), (2, 2));
    }

    #[test]
    fn what_is_no_number_equals_its_like_and_nothing_else() {
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        let same = difference(&[floats(&[[nan, infinite]])], &[floats(&[[nan, infinite]])]);
        assert_eq!((same.incomparable, same.max_abs), (0, 0.0));
        let other = difference(&[floats(&[[nan, infinite]])], &[floats(&[[0.0, -infinite]])]);
        assert_eq!((other.incomparable, other.max_abs), (2, 0.0));
    }

    #[test]
    fn labels_go_before_scores() {
        let (a, b) = ([labels(&[1, 2, 3]), floats(&[[0.9, 0.1]])], [labels(&[1, 2, 0]), floats(&[[0.1, 0.9]])]);
        let found = difference(&a, &b);
        assert_eq!((found.labels, found.labels_equal, found.agreement()), (3, 2, Some(2.0 / 3.0)));
    }

    #[test]
    fn other_shapes_are_counted_and_not_compared() {
        let map = |keys: &[i64]| Value::Map {
            keys: MapKeys::I64(keys.to_vec()),
            values: f32::wrap(arr1(&[0.5, 0.5]).into_dyn()),
        };
        for (a, b) in [
            (labels(&[1]), labels(&[1, 1])),
            (map(&[0, 1]), map(&[0, 2])),
            (Value::Sequence(vec![map(&[0, 1])]), Value::Sequence(Vec::new())),
            (labels(&[1]), floats(&[[1.0, 1.0]])),
        ] {
            let found = difference(&[a], &[b]);
            assert_eq!((found.shapes_differ, found.numbers, found.labels), (1, 0, 0));
        }
        assert_eq!(difference(&[map(&[0, 1])], &[map(&[0, 1])]).numbers, 2);
    }

    #[test]
    fn requests_add_up() {
        let name = |text| Name::parse(text).unwrap();
        let comparison = Comparison::new(name("blue"), name("green"));
        let ms = Duration::from_millis;
        comparison.answered((&[labels(&[1])], ms(1)), (&[labels(&[1])], ms(3)));
        comparison.answered((&[labels(&[1])], ms(2)), (&[labels(&[2])], ms(4)));
        comparison.failed();
        let measured = comparison.measured();
        assert_eq!((measured.requests, measured.failures), (2, 1));
        assert_eq!(measured.difference.agreement(), Some(0.5));
        assert!((measured.answering_run.sum_s - 0.003).abs() < 1e-12 && measured.compared_run.max_s == 0.004);
    }
}
