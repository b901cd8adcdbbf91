//! How large values were, in a fixed number of buckets that can be added up.
//!
//! Buckets as in HdrHistogram (G. Tene): sixteen in each octave, so that a value is known to within 1/16 of itself, and those
//! below 16 exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets in an octave, and the power of two that this is.
const PER_OCTAVE: u64 = 16;
const OCTAVE_BITS: u32 = 4;

/// More than any index, for whoever keeps them in an array.
pub const BUCKETS: usize = (PER_OCTAVE * (64 - OCTAVE_BITS as u64 + 1)) as usize;

/// Counts by bucket; those without any are left out. At most [`BUCKETS`] of them, whatever was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Sketch(BTreeMap<u16, u64>);

/// The bucket of a value.
pub const fn bucket(value: u64) -> usize {
    if value < PER_OCTAVE {
        return value as usize;
    }
    let octave = value.ilog2() - OCTAVE_BITS;
    // The highest bit is always one, so the next four tell the buckets of an octave apart.
    (octave as u64 * PER_OCTAVE + (value >> octave)) as usize
}

/// The largest value of a bucket.
pub const fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PER_OCTAVE {
        return bucket;
    }
    let octave = bucket / PER_OCTAVE - 1;
    let next = (bucket % PER_OCTAVE + PER_OCTAVE + 1) as u128;
    ((next << octave) - 1) as u64
}

impl Sketch {
    pub fn record(&mut self, value: u64) {
        self.record_in(bucket(value), 1);
    }

    /// Adds to a bucket by its index.
    pub fn record_in(&mut self, bucket: usize, count: u64) {
        if count > 0 && bucket < BUCKETS {
            let cell = self.0.entry(bucket as u16).or_default();
            *cell = cell.saturating_add(count);
        }
    }

    pub fn add(&mut self, other: &Sketch) {
        for (&bucket, &count) in &other.0 {
            self.record_in(usize::from(bucket), count);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many values were at most `value`, or in its bucket.
    pub fn count_up_to(&self, value: u64) -> u64 {
        self.0.range(..=bucket(value) as u16).map(|(_, count)| count).sum()
    }

    /// Index and count of each bucket that holds something, from the smallest.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().map(|(&bucket, &count)| (usize::from(bucket), count))
    }

    /// The upper edge of the bucket with the nearest rank to a quantile between 0 and 1; `None` of nothing.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        self.buckets().find_map(|(bucket, in_bucket)| {
            seen += in_bucket;
            (seen >= rank).then(|| upper_edge(bucket))
        })
    }
}

impl From<Sketch> for Vec<(u16, u64)> {
    fn from(sketch: Sketch) -> Self {
        sketch.0.into_iter().collect()
    }
}

impl TryFrom<Vec<(u16, u64)>> for Sketch {
    type Error = String;

    fn try_from(pairs: Vec<(u16, u64)>) -> Result<Sketch, String> {
        let mut sketch = Sketch::default();
        for (bucket, count) in pairs {
            if usize::from(bucket) >= BUCKETS {
                return Err(format!("there is no bucket {bucket}, {} is the last", BUCKETS - 1));
            }
            sketch.record_in(usize::from(bucket), count);
        }
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        for index in 0..BUCKETS - 1 {
            let upper = upper_edge(index);
            assert_eq!((bucket(upper), bucket(upper + 1)), (index, index + 1));
            let lower = if index == 0 { 0 } else { upper_edge(index - 1) + 1 };
            assert!(upper - lower <= lower / 16, "{lower} to {upper}");
        }
        assert_eq!((bucket(u64::MAX), upper_edge(BUCKETS - 1)), (BUCKETS - 1, u64::MAX));
    }

    #[test]
    fn sketches_add_up_to_the_sketch_of_all_and_come_back_from_text() {
        let (mut one, mut other, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        for value in (0..2_000u64).map(|n| n * n * 37) {
            both.record(value);
            if value % 3 == 0 { one.record(value) } else { other.record(value) }
        }
        one.add(&other);
        assert_eq!(one, both);
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), both);
        assert!(serde_json::from_str::<Sketch>("[[976, 1]]").is_err());
    }

    #[test]
    fn quantiles_are_right_to_within_a_bucket() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        (1..=1_000u64).for_each(|value| sketch.record(value * 1_000));
        for (quantile, exact) in [(0.0, 1_000), (0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let found = sketch.quantile(quantile).unwrap();
            assert!(found >= exact && found <= exact + exact / 16, "{quantile}: {found}");
        }
        assert_eq!(sketch.count_up_to(u64::MAX), 1_000);
    }
}
