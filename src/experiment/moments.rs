//! Count, mean and spread of numbers, in three numbers that can be merged.

use serde::{Deserialize, Serialize};

/// Welford's running moments, merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
/// sample variances" (1979): sums of squares of large numbers would cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    pub count: u64,
    pub mean: f64,
    /// The sum of the squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    /// Counts a number. What is not finite, or so large that its square is not, is left out and says false.
    pub fn record(&mut self, value: f64) -> bool {
        let one = Moments { count: 1, mean: value, squares: 0.0 };
        let mut sum = *self;
        sum.add(&one);
        let is_finite = sum.mean.is_finite() && sum.squares.is_finite();
        if is_finite {
            *self = sum;
        }
        is_finite
    }

    pub fn add(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        let (own, others) = (self.count as f64, other.count as f64);
        let (distance, total) = (other.mean - self.mean, own + others);
        self.mean += distance * (others / total);
        self.squares += other.squares + distance * distance * (own * (others / total));
        self.count += other.count;
    }

    /// The unbiased variance; `None` of fewer than two numbers.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_moments_are_those_of_all_numbers_even_far_from_zero() {
        let numbers: Vec<f64> = [4.0, 7.0, 13.0, 16.0].iter().map(|x| 1e9 + x).collect();
        let of = |numbers: &[f64]| {
            let mut moments = Moments::default();
            assert!(numbers.iter().all(|x| moments.record(*x)));
            moments
        };
        for split in 0..=numbers.len() {
            let mut merged = of(&numbers[..split]);
            merged.add(&of(&numbers[split..]));
            assert_eq!((merged.count, merged.mean, merged.variance()), (4, 1e9 + 10.0, Some(30.0)));
        }
        assert_eq!(of(&[1.0]).variance(), None);
    }

    #[test]
    fn what_cannot_be_added_changes_nothing() {
        let mut moments = Moments::default();
        moments.record(1.0);
        for hopeless in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(!moments.record(hopeless), "{hopeless}");
        }
        assert_eq!(moments, Moments { count: 1, mean: 1.0, squares: 0.0 });
    }
}
