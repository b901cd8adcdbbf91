//! The numbers of rows that runs on a device are brought to.
//!
//! What a device's libraries find out about a size they keep for that size, and finding out takes far longer than a run: the fastest
//! of many kernels is looked for. With few sizes all of it is done before the first request comes.

/// Powers of two, and the largest batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    largest: usize,
}

impl Buckets {
    /// For batches of so many rows at most.
    pub fn up_to(largest: usize) -> Buckets {
        Buckets { largest }
    }

    /// How many rows to run where there are so many: never fewer. Larger batches than there are buckets for stay as they are.
    pub fn rows_for(self, rows: usize) -> usize {
        if rows == 0 || rows >= self.largest { rows } else { rows.next_power_of_two().min(self.largest) }
    }

    /// All there are, ascending.
    pub fn sizes(self) -> impl Iterator<Item = usize> {
        let powers = std::iter::successors(Some(1usize), |size| size.checked_mul(2));
        powers.take_while(move |size| *size < self.largest).chain([self.largest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_into_the_next_larger_bucket() {
        let buckets = Buckets::up_to(48);
        let run: Vec<_> = [0, 1, 2, 3, 5, 32, 33, 48, 49, 1000].map(|rows| buckets.rows_for(rows)).into();
        assert_eq!(run, [0, 1, 2, 4, 8, 32, 48, 48, 49, 1000]);
        assert_eq!(buckets.sizes().collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 48]);
        assert_eq!(Buckets::up_to(1).sizes().collect::<Vec<_>>(), [1]);
        assert_eq!(Buckets::up_to(64).sizes().last(), Some(64));
    }

    #[test]
    fn every_bucket_holds_what_is_put_into_it() {
        let buckets = Buckets::up_to(100);
        let sizes: Vec<_> = buckets.sizes().collect();
        assert!((1..=100).all(|rows| buckets.rows_for(rows) >= rows && sizes.contains(&buckets.rows_for(rows))));
    }
}
