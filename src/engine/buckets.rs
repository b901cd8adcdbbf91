//! The numbers of rows that runs on a device are brought to.
//!
//! What a device's libraries find out about a size they keep for that size, and finding out takes far longer than a run: the fastest
//! of many kernels is looked for. With few sizes all of it is done before the first request comes.

use std::time::Duration;

/// Powers of a step, and the largest batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    largest: usize,
    /// A power of two.
    step: usize,
}

impl Buckets {
    /// Powers of two, for batches of so many rows at most.
    pub fn up_to(largest: usize) -> Buckets {
        Buckets { largest, step: 2 }
    }

    /// Not more than `count` sizes, but one row and the largest batch in any case.
    pub fn at_most(count: usize, largest: usize) -> Buckets {
        let mut buckets = Buckets::up_to(largest);
        while buckets.sizes().count() > count.max(2) {
            buckets.step *= 2;
        }
        buckets
    }

    /// How many rows to run where there are so many: never fewer. Larger batches than there are buckets for stay as they are.
    pub fn rows_for(self, rows: usize) -> usize {
        if rows == 0 || rows >= self.largest {
            return rows;
        }
        self.sizes().find(|size| *size >= rows).unwrap_or(rows)
    }

    /// How many of the rows that wait to run at once, by what runs cost: all of them in a size that they do not fill, or as many as
    /// fill the next smaller one, and the rest in a run of its own.
    pub fn rows_to_run(self, waiting: usize, cost: impl Fn(usize) -> Option<Duration>) -> usize {
        let Some(filled) = self.sizes().take_while(|size| *size <= waiting).last() else { return waiting };
        let padded = self.rows_for(waiting);
        if waiting >= self.largest || filled == waiting {
            return waiting.min(self.largest);
        }
        let together = cost(padded);
        let apart = cost(filled).zip(cost(self.rows_for(waiting - filled))).map(|(first, rest)| first + rest);
        if together.zip(apart).is_some_and(|(together, apart)| apart < together) { filled } else { waiting }
    }

    /// All there are, ascending.
    pub fn sizes(self) -> impl Iterator<Item = usize> {
        let powers = std::iter::successors(Some(1usize), move |size| size.checked_mul(self.step));
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
        for buckets in [Buckets::up_to(100), Buckets::at_most(3, 100)] {
            let sizes: Vec<_> = buckets.sizes().collect();
            assert!((1..=100).all(|rows| buckets.rows_for(rows) >= rows && sizes.contains(&buckets.rows_for(rows))));
        }
    }

    #[test]
    fn few_sizes_are_far_apart() {
        let sizes = |count, largest| Buckets::at_most(count, largest).sizes().collect::<Vec<_>>();
        assert_eq!(sizes(99, 16), [1, 2, 4, 8, 16]);
        assert_eq!(sizes(4, 64), [1, 4, 16, 64]);
        assert_eq!(sizes(3, 100), [1, 16, 100]);
        assert_eq!(sizes(2, 64), [1, 64]);
        assert_eq!(sizes(0, 64), [1, 64]);
        assert_eq!(sizes(1, 1), [1]);
    }

    #[test]
    fn a_size_is_left_unfilled_only_if_that_costs_less_than_two_runs() {
        let buckets = Buckets::up_to(256);
        // So much for a run, and one for each row.
        let cost = |run: u64| move |rows: usize| Some(Duration::from_micros(run + rows as u64));
        assert_eq!(buckets.rows_to_run(130, cost(10)), 128);
        assert_eq!(buckets.rows_to_run(130, cost(1_000)), 130);
        assert_eq!(buckets.rows_to_run(250, cost(10)), 250);
        for exact in [0, 1, 128, 256] {
            assert_eq!(buckets.rows_to_run(exact, cost(0)), exact);
        }
        assert_eq!(buckets.rows_to_run(300, cost(10)), 256);
        assert_eq!(buckets.rows_to_run(130, |_| None), 130, "nothing is known");
    }
}
