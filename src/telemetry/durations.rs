//! Histograms of durations whose threads do not meet: each thread adds to cells of its own, and a scrape adds them up.
//!
//! The crate's own histogram has one set of cells. A request makes half a dozen observations, and two cores that write to
//! the same cells wait for each other at each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Upper bounds of the buckets, in microseconds: from 50, since a small model answers in less than the 5 ms at which customary
/// buckets begin.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Sets of cells. Threads beyond their number share.
const SHARDS: usize = 8;

/// Durations of one kind, counted by size.
#[derive(Debug, Default)]
pub struct Durations {
    shards: [Shard; SHARDS],
}

/// Aligned so that no cache line belongs to two.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    /// The last is for what is longer than every bound.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    pub fn observe(&self, took: Duration) {
        thread_local!(static SHARD: usize = {
            static THREADS: AtomicUsize = AtomicUsize::new(0);
            THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS
        });
        let shard = &self.shards[SHARD.with(|shard| *shard)];
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|us| ns <= us * 1_000).unwrap_or(BOUNDS_US.len());
        shard.counts[bucket].fetch_add(1, Ordering::Relaxed);
        shard.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many there were, and how long they were together.
    pub fn count_and_sum(&self) -> (u64, Duration) {
        let cells = self.shards.iter().flat_map(|shard| &shard.counts);
        let sum = self.shards.iter().map(|shard| shard.sum_ns.load(Ordering::Relaxed)).sum();
        (cells.map(|cell| cell.load(Ordering::Relaxed)).sum(), Duration::from_nanos(sum))
    }

    /// What all threads have added so far.
    fn total(&self) -> Histogram {
        let add_up = |cell: &dyn Fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| cell(shard).load(Ordering::Relaxed)).sum()
        };
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS_US.len());
        for (index, us) in BOUNDS_US.iter().enumerate() {
            cumulative += add_up(&|shard| &shard.counts[index]);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*us as f64 / 1e6);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_sample_count(cumulative + add_up(&|shard| &shard.counts[BOUNDS_US.len()]));
        histogram.set_sample_sum(add_up(&|shard| &shard.sum_ns) as f64 / 1e9);
        histogram.set_bucket(buckets);
        histogram
    }
}

/// A metric of durations, with labels.
#[derive(Clone, Debug)]
pub struct DurationsVec(Arc<Family>);

#[derive(Debug)]
struct Family {
    desc: Desc,
    /// By their labels' values, in the order of the description's names.
    children: Mutex<BTreeMap<Vec<String>, Arc<Durations>>>,
}

impl DurationsVec {
    pub fn new(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<DurationsVec> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?;
        Ok(DurationsVec(Arc::new(Family { desc, children: Mutex::default() })))
    }

    /// The durations with these labels. Made when first asked for.
    pub fn with_label_values(&self, values: &[&str]) -> Arc<Durations> {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Arc::clone(self.0.children.lock().entry(values).or_default())
    }
}

impl Collector for DurationsVec {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let desc = &self.0.desc;
        let metric = |(values, durations): (&Vec<String>, &Arc<Durations>)| {
            let pair = |(name, value): (&String, &String)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(value.clone());
                pair
            };
            let mut pairs: Vec<_> = desc.variable_labels.iter().zip(values).map(pair).collect();
            // As the crate's own metrics have them.
            pairs.sort_by(|one, other| one.name().cmp(other.name()));
            let mut metric = Metric::from_label(pairs);
            metric.set_histogram(durations.total());
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(desc.fq_name.clone());
        family.set_help(desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(self.0.children.lock().iter().map(metric).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, Registry, TextEncoder};

    use super::*;

    #[test]
    fn what_threads_have_added_is_exposed_as_one_histogram() {
        let family = DurationsVec::new("took_seconds", "Time.", &["stage", "endpoint"]).unwrap();
        let registry = Registry::new();
        registry.register(Box::new(family.clone())).unwrap();
        let durations = family.with_label_values(&["run", "a"]);
        let add = |us: u64| durations.observe(Duration::from_micros(us));
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| [1, 50, 51, 10_000_000, 20_000_000].into_iter().for_each(add));
            }
        });
        assert!(Arc::ptr_eq(&durations, &family.with_label_values(&["run", "a"])));
        assert_eq!(durations.count_and_sum(), (80, Duration::from_micros(480_001_632)));
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "# HELP took_seconds Time.",
            "# TYPE took_seconds histogram",
            "took_seconds_bucket{endpoint=\"a\",stage=\"run\",le=\"0.00005\"} 32",
            "took_seconds_bucket{endpoint=\"a\",stage=\"run\",le=\"0.0001\"} 48",
            "took_seconds_bucket{endpoint=\"a\",stage=\"run\",le=\"5\"} 48",
            "took_seconds_bucket{endpoint=\"a\",stage=\"run\",le=\"10\"} 64",
            "took_seconds_bucket{endpoint=\"a\",stage=\"run\",le=\"+Inf\"} 80",
            "took_seconds_sum{endpoint=\"a\",stage=\"run\"} 480.001632",
            "took_seconds_count{endpoint=\"a\",stage=\"run\"} 80",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
