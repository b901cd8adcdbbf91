//! Families of metrics that are put together when they are asked for, in the forms that the encoder takes.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// The families as text. One without a metric is left out, as an exposition has none.
pub(super) fn text(families: &[MetricFamily]) -> prometheus::Result<Vec<u8>> {
    let families: Vec<_> = families.iter().filter(|family| !family.get_metric().is_empty()).cloned().collect();
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}

/// Labels have to be in alphabetical order.
pub(super) fn counter<const N: usize>(labels: [LabelPair; N], value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels.into());
    metric.set_counter(counter);
    metric
}

/// Labels have to be in alphabetical order.
pub(super) fn gauge<const N: usize>(labels: [LabelPair; N], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels.into());
    metric.set_gauge(gauge);
    metric
}

pub(super) fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
