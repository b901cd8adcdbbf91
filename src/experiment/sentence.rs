//! A comparison in one plain sentence.

use super::agreement::Agreement;
use super::comparison::{Comparison, Metric, Verdict};
use super::interval::Interval;

impl Metric {
    /// The metric in words, as in "its error rate".
    pub const fn words(self) -> &'static str {
        match self {
            Metric::ErrorRate => "error rate",
            Metric::RefusalRate => "share of refused requests",
            Metric::LatencyP50 => "median latency",
            Metric::LatencyP99 => "p99 latency",
            Metric::SuccessRate => "success rate",
            Metric::MeanOutcome => "mean outcome",
        }
    }

    const fn counted(self) -> &'static str {
        match self {
            Metric::ErrorRate | Metric::RefusalRate => "requests",
            Metric::LatencyP50 | Metric::LatencyP99 => "answers",
            Metric::SuccessRate | Metric::MeanOutcome => "outcomes",
        }
    }

    /// A value of this metric, or a difference of two, with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::ErrorRate | Metric::RefusalRate | Metric::SuccessRate => percent(value),
            Metric::LatencyP50 | Metric::LatencyP99 => time(value),
            Metric::MeanOutcome => number(value),
        }
    }

    /// The size of a difference without its unit, and the unit.
    fn amount(self, size: f64) -> (String, &'static str) {
        match self {
            Metric::ErrorRate | Metric::RefusalRate | Metric::SuccessRate => (number(100.0 * size), " points"),
            Metric::LatencyP50 | Metric::LatencyP99 | Metric::MeanOutcome => (self.show(size), ""),
        }
    }

    /// Two sizes of a difference, such as `1.2 to 3.4 points`.
    fn range(self, least: Option<f64>, most: Option<f64>) -> String {
        match (least.map(|size| self.amount(size)), most.map(|size| self.amount(size))) {
            (Some((least, _)), Some((most, unit))) => format!("{least} to {most}{unit}"),
            (Some((least, unit)), None) => format!("at least {least}{unit}"),
            (None, _) => "some amount".to_owned(),
        }
    }
}

/// Such as "green's error rate is 1.2 to 3.4 points lower than blue's (20 to 45 % lower; 95 % sure, whenever you look)".
pub fn of_comparison(comparison: &Comparison) -> String {
    let Comparison { metric, candidate, baseline, difference, verdict, .. } = comparison;
    let subject = format!("{}'s {}", candidate.deployment, metric.words());
    let sure = format!("{} % sure, whenever you look", comparison.confidence_percent);
    match verdict {
        Verdict::TooFew => format!(
            "{subject} cannot be compared with {}'s yet: there are {} and {} {}",
            baseline.deployment,
            candidate.count,
            baseline.count,
            metric.counted()
        ),
        Verdict::NoDifferenceShown => format!(
            "no difference between {subject} and {}'s is shown: it may be {} ({sure})",
            baseline.deployment,
            either_way(*metric, difference)
        ),
        Verdict::Better | Verdict::Worse | Verdict::Different => {
            let (way, ends) = one_way(difference);
            let relative = relative(&comparison.relative, way);
            let range = metric.range(ends[0], ends[1]);
            format!("{subject} is {range} {way} than {}'s ({relative}{sure})", baseline.deployment)
        }
    }
}

/// Such as "green's answers agree with those given in 98.1 to 99.2 % of requests".
pub fn of_agreement(agreement: &Agreement) -> String {
    let [lower, upper] = [agreement.share.lower, agreement.share.upper].map(|end| number(100.0 * end.unwrap_or(0.0)));
    let failed = match agreement.failed {
        0 => String::new(),
        failed => format!(", {failed} of them failed"),
    };
    format!(
        "{}'s answers agree with those given in {lower} to {upper} % of requests ({} of {} did{failed}; {} % sure, \
         whenever you look)",
        agreement.deployment, agreement.agreed, agreement.compared, agreement.confidence_percent
    )
}

/// The direction of a difference that is not 0, and its sizes from the least.
fn one_way(interval: &Interval) -> (&'static str, [Option<f64>; 2]) {
    if interval.is_above(0.0) {
        ("higher", [interval.lower, interval.upper])
    } else {
        ("lower", [interval.upper, interval.lower].map(|end| end.map(f64::abs)))
    }
}

fn either_way(metric: Metric, interval: &Interval) -> String {
    let up_to = |size: Option<f64>, way: &str| match size.map(|size| metric.amount(size)) {
        Some((most, unit)) => format!("up to {most}{unit} {way}"),
        None => format!("any amount {way}"),
    };
    format!("{} or {}", up_to(interval.lower.map(f64::abs), "lower"), up_to(interval.upper, "higher"))
}

/// The relative difference in the same direction, or nothing if it is not known.
fn relative(interval: &Interval, way: &str) -> String {
    let (own_way, ends) = one_way(interval);
    match ends {
        [Some(least), Some(most)] if own_way == way && most.is_finite() => {
            format!("{} to {} %; ", number(100.0 * least), number(100.0 * most))
        }
        [Some(least), None] if own_way == way => format!("at least {} %; ", number(100.0 * least)),
        _ => String::new(),
    }
}

/// A number with three significant digits, and no more than it needs.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share))
}

/// A time in seconds, in the unit that suits it.
pub fn time(seconds: f64) -> String {
    let (scale, unit) = match seconds.abs() {
        at_least if at_least >= 1.0 => (1.0, "s"),
        at_least if at_least >= 1e-3 => (1e3, "ms"),
        _ => (1e6, "µs"),
    };
    format!("{} {unit}", number(seconds * scale))
}
