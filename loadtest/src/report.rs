//! Results, as they are written: the schema `scoria-loadtest/1`, which README.md describes. Fields may be added to it; those
//! that are there keep their meaning and unit.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::{Measured, Used, Watch};
use crate::plan::{Pace, Phase, Protocol, Run};
use crate::record::{Failures, Interval, Record};
use crate::resolve::Job;
use crate::schedule::Arrivals;
use crate::usage::Machine;

pub const SCHEMA: &str = "scoria-loadtest/1";

/// What one command measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub version: String,
    pub started_unix_s: f64,
    pub machine: Machine,
    /// The closed loop that steps' loads are multiples of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Box<Outcome>>,
    pub runs: Vec<Outcome>,
}

/// One measured phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub name: Option<String>,
    pub target: TargetReport,
    pub load: LoadReport,
    pub requests: Requests,
    /// 2xx answers that came in the measured time, per second of it; any answers; 2xx within the objective.
    pub throughput_per_s: f64,
    pub answers_per_s: f64,
    pub goodput_per_s: f64,
    /// Of 2xx answers, from the intended time (open loop) or the send (closed loop).
    pub latency_us: Option<Times>,
    /// Of 2xx answers, from the send.
    pub service_time_us: Option<Times>,
    /// Of other answers, as `latency_us`.
    pub refused_latency_us: Option<Times>,
    /// Quantiles of `latency_us`, with their microseconds.
    pub latency_distribution: Vec<(f64, f64)>,
    pub timeline: Vec<Moment>,
    /// Open loop: the begin of the first interval from which on at least 95 % of what was offered was answered with 2xx.
    pub kept_up_after_s: Option<f64>,
    pub server: Option<ServerReport>,
    pub generator: GeneratorReport,
    pub busy: Busy,
    /// What makes the figures worth less than they look.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    pub url: String,
    pub protocol: Protocol,
    pub connections: u32,
    pub streams: u32,
    pub threads: u32,
    pub bodies: usize,
    /// The mean.
    pub body_bytes: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loop {
    Closed,
    Open,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    #[serde(rename = "loop")]
    pub kind: Loop,
    pub rate: Option<f64>,
    pub arrivals: Option<Arrivals>,
    pub warm_up_s: f64,
    pub duration_s: f64,
    pub timeout_s: f64,
    pub objective_s: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    pub begun: u64,
    pub ok: u64,
    pub refused: u64,
    pub failed: u64,
    pub unfinished: u64,
    pub by_status: BTreeMap<u16, u64>,
    pub by_failure: Failures,
    /// Connections made anew, in the whole run.
    pub reconnects: u64,
    pub received_bytes: u64,
}

/// Of a histogram, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub stddev: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    pub from_s: f64,
    pub ok: u64,
    pub refused: u64,
    pub failed: u64,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    pub pid: u32,
    pub processes: u32,
    pub cpu_s: f64,
    pub cores: f64,
    /// Per answer of any status.
    pub cpu_us_per_answer: Option<f64>,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorReport {
    pub cpu_s: f64,
    pub cores: f64,
    pub cpu_us_per_answer: Option<f64>,
    /// The share of a core that its busiest thread took.
    pub busiest_thread: f64,
    pub send_lag_us: Option<Times>,
    pub kept_schedule: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    pub cores: usize,
    pub busy_cores: f64,
    /// Neither the server's nor the generator's; unknown without the server's process.
    pub foreign_cores: Option<f64>,
}

impl Report {
    /// An empty one, of now.
    pub fn begin() -> Report {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Report {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_s: (now.as_secs_f64() * 1000.0).round() / 1000.0,
            machine: Machine::this(),
            capacity: None,
            runs: Vec::new(),
        }
    }
}

impl Times {
    fn of(histogram: &Histogram<u64>) -> Option<Times> {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Times {
            count: histogram.len(),
            min: micros(histogram.min()),
            mean: round(histogram.mean() / 1e3),
            stddev: round(histogram.stdev() / 1e3),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

/// Nanoseconds as microseconds; tenths are more than a histogram of three digits tells.
fn micros(nanos: u64) -> f64 {
    round(nanos as f64 / 1e3)
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn distribution(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = histogram.iter_quantiles(10);
    steps.map(|step| (step.quantile_iterated_to(), micros(step.value_iterated_to().min(histogram.max())))).collect()
}

/// Turns what a job measured into what is reported.
pub fn outcomes(job: &Job, measured: &[Measured]) -> Vec<Outcome> {
    measured
        .iter()
        .zip(&job.measured)
        .map(|(measured, (name, warm_up))| outcome(job, measured, name, *warm_up))
        .collect()
}

fn outcome(job: &Job, measured: &Measured, name: &Option<String>, warm_up: Duration) -> Outcome {
    let Run { target, phases, interval, .. } = &job.run;
    let phase = &phases[measured.phase];
    let Record { timeline, .. } = &measured.record;
    let seconds = phase.lasts.as_secs_f64();
    let sum = |count: fn(&Interval) -> u64| timeline.iter().map(count).sum::<u64>();
    let answers = sum(|interval| interval.ok + interval.refused);
    let body_bytes = target.requests.iter().map(|request| request.body.len()).sum::<usize>();
    let (load, requests) = (load(&job.run, job.watch, phase, warm_up), requests(measured));
    let mut outcome = Outcome {
        name: name.clone(),
        target: TargetReport {
            url: target.url.clone(),
            protocol: target.protocol,
            connections: target.connections,
            streams: target.streams,
            threads: target.threads,
            bodies: target.requests.len(),
            body_bytes: round(body_bytes as f64 / target.requests.len() as f64),
        },
        throughput_per_s: round(sum(|interval| interval.ok) as f64 / seconds),
        answers_per_s: round(answers as f64 / seconds),
        goodput_per_s: round(sum(|interval| interval.ok_in_time) as f64 / seconds),
        latency_us: Times::of(&measured.record.latency),
        service_time_us: Times::of(&measured.record.service_time),
        refused_latency_us: Times::of(&measured.record.refused_latency),
        latency_distribution: distribution(&measured.record.latency),
        timeline: moments(timeline, *interval),
        kept_up_after_s: kept_up_after(timeline, *interval, phase),
        server: server(job.watch, &measured.used, answers),
        generator: generator(&measured.record, &measured.used, answers),
        busy: busy(&measured.used),
        load,
        requests,
        warnings: Vec::new(),
    };
    outcome.warnings = warnings(&outcome);
    outcome
}

fn load(run: &Run, watch: Watch, phase: &Phase, warm_up: Duration) -> LoadReport {
    let (kind, rate, arrivals) = match phase.pace {
        Pace::Closed => (Loop::Closed, None, None),
        Pace::Open { rate, arrivals } => (Loop::Open, Some(rate), Some(arrivals)),
    };
    LoadReport {
        kind,
        rate,
        arrivals,
        warm_up_s: warm_up.as_secs_f64(),
        duration_s: phase.lasts.as_secs_f64(),
        timeout_s: run.target.timeout.as_secs_f64(),
        objective_s: watch.objective.map(|objective| objective.as_secs_f64()),
    }
}

fn requests(measured: &Measured) -> Requests {
    let record = &measured.record;
    Requests {
        begun: record.ok() + record.refused() + record.failed(),
        ok: record.ok(),
        refused: record.refused(),
        failed: record.failed(),
        unfinished: record.unfinished,
        by_status: record.by_status.clone(),
        by_failure: record.failures,
        reconnects: measured.reconnects,
        received_bytes: record.received_bytes,
    }
}

fn moments(timeline: &[Interval], interval: Duration) -> Vec<Moment> {
    let quantile = |histogram: &Histogram<u32>, quantile: f64| {
        (!histogram.is_empty()).then(|| micros(histogram.value_at_quantile(quantile)))
    };
    let moment = |(index, counts): (usize, &Interval)| Moment {
        from_s: round(index as f64 * interval.as_secs_f64()),
        ok: counts.ok,
        refused: counts.refused,
        failed: counts.failed,
        p50_us: quantile(&counts.latency, 0.5),
        p99_us: quantile(&counts.latency, 0.99),
    };
    timeline.iter().enumerate().map(moment).collect()
}

/// The share of what is offered that a server which keeps up answers.
const KEPT_UP: f64 = 0.95;

fn kept_up_after(timeline: &[Interval], interval: Duration, phase: &Phase) -> Option<f64> {
    let Pace::Open { rate, arrivals } = phase.pace else { return None };
    // A last piece that is shorter than an interval tells nothing.
    let whole = usize::try_from(phase.lasts.as_nanos() / interval.as_nanos()).ok()?;
    let expected = rate * interval.as_secs_f64();
    // Of Poisson arrivals there are fewer at times: three standard deviations are chance.
    let chance = if arrivals == Arrivals::Poisson { 3.0 * expected.sqrt() } else { 0.0 };
    let behind = |counts: &Interval| (counts.ok as f64) < KEPT_UP * expected - chance;
    let from = timeline[..whole].iter().rposition(behind).map_or(0, |last| last + 1);
    (from < whole).then(|| round(from as f64 * interval.as_secs_f64()))
}

fn per_answer(processor: Duration, answers: u64) -> Option<f64> {
    (answers > 0).then(|| round(processor.as_secs_f64() * 1e6 / answers as f64))
}

fn server(watch: Watch, used: &Used, answers: u64) -> Option<ServerReport> {
    let (pid, tree) = watch.server.zip(used.server)?;
    Some(ServerReport {
        pid,
        processes: tree.processes,
        cpu_s: tree.processor.as_secs_f64(),
        cores: round(tree.processor.as_secs_f64() / used.wall.as_secs_f64()),
        cpu_us_per_answer: per_answer(tree.processor, answers),
        rss_bytes: tree.resident_bytes,
        peak_rss_bytes: tree.peak_resident_bytes,
    })
}

/// Requests that are sent later than this, though a connection was free, are the generator's fault.
const LAG_NS: u64 = 1_000_000;
const LAGGING_SHARE: f64 = 0.01;

fn generator(record: &Record, used: &Used, answers: u64) -> GeneratorReport {
    let wall = used.wall.as_secs_f64();
    let lag = &record.send_lag;
    let late = lag.count_between(LAG_NS, lag.high()) as f64;
    GeneratorReport {
        cpu_s: round(used.generator.as_secs_f64()),
        cores: round(used.generator.as_secs_f64() / wall),
        cpu_us_per_answer: per_answer(used.generator, answers),
        busiest_thread: round(used.busiest_thread.as_secs_f64() / wall),
        send_lag_us: Times::of(lag),
        kept_schedule: (!lag.is_empty()).then(|| late <= LAGGING_SHARE * lag.len() as f64),
    }
}

fn busy(used: &Used) -> Busy {
    let wall = used.wall.as_secs_f64();
    let foreign = used.server.map(|server| used.machine.saturating_sub(server.processor + used.generator));
    Busy {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        busy_cores: round(used.machine.as_secs_f64() / wall),
        foreign_cores: foreign.map(|foreign| round(foreign.as_secs_f64() / wall)),
    }
}

fn warnings(outcome: &Outcome) -> Vec<String> {
    let mut warnings = Vec::new();
    let Outcome { requests, generator, busy, .. } = outcome;
    if requests.failed > 0 {
        let Failures { connect, disconnected, malformed, timeout, unsent } = requests.by_failure;
        warnings.push(format!(
            "{} of {} requests have no answer: {connect} could not connect, {disconnected} were disconnected, {malformed} got no \
             HTTP, {timeout} timed out, {unsent} were never sent; percentiles leave them out",
            requests.failed, requests.begun
        ));
    }
    if requests.refused > 0 {
        let share = 100.0 * requests.refused as f64 / requests.begun as f64;
        warnings.push(format!("{} answers ({share:.1} %) are not 2xx", requests.refused));
    }
    if generator.kept_schedule == Some(false) {
        warnings.push(
            "the generator was over 1 ms late for more than 1 % of its requests: latencies are partly its own (more --threads, or \
             a machine of its own)"
                .to_owned(),
        );
    }
    if generator.busiest_thread > 0.95 {
        warnings.push(format!(
            "a thread of the generator took {:.0} % of a core: it, not the server, may be the limit (more --threads)",
            100.0 * generator.busiest_thread
        ));
    }
    if let Some(foreign) = busy.foreign_cores.filter(|foreign| *foreign > 0.1) {
        warnings.push(format!("other programs used {foreign:.2} cores"));
    }
    // `/proc` counts in hundredths of a second.
    if let Some(server) = outcome.server.as_ref().filter(|server| server.cpu_s < 0.5) {
        warnings.push(format!(
            "the server used {:.2} s of processor time, which is known to 0.01 s: measure for longer",
            server.cpu_s
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answered, Exchange, Recorder};

    const QUARTER: Duration = Duration::from_millis(250);

    /// A timeline of quarters of a second with so many answers each.
    fn timeline(counts: &[u64]) -> Vec<Interval> {
        let mut recorder = Recorder::new(vec![QUARTER * u32::try_from(counts.len()).unwrap()], QUARTER, None, true);
        for (index, count) in counts.iter().enumerate() {
            let at = QUARTER * u32::try_from(index).unwrap();
            for _ in 0..*count {
                let outcome = Ok(Answered { status: 200, body_bytes: 0 });
                recorder.over(&Exchange { intended: at, sent: at, done: at, outcome });
            }
        }
        recorder.into_records().remove(0).timeline
    }

    #[test]
    fn a_server_has_recovered_when_it_keeps_up_to_the_end() {
        // 400 a second are 100 a quarter; 95 are enough.
        let phase = |arrivals, lasts| Phase { pace: Pace::Open { rate: 400.0, arrivals }, lasts, is_measured: true };
        let after =
            |counts: &[u64], lasts| kept_up_after(&timeline(counts), QUARTER, &phase(Arrivals::Constant, lasts));
        let second = Duration::from_secs(1);
        assert_eq!(after(&[95, 100, 130, 96], second), Some(0.0));
        assert_eq!(after(&[10, 100, 20, 100], second), Some(0.75));
        assert_eq!(after(&[100, 100, 100, 94], second), None);
        // 65 of 100 Poisson arrivals are chance, 64 are not.
        let poisson = |counts: &[u64]| kept_up_after(&timeline(counts), QUARTER, &phase(Arrivals::Poisson, second));
        assert_eq!((poisson(&[65, 65, 65, 65]), poisson(&[64, 65, 65, 65])), (Some(0.0), Some(0.25)));
        // The last piece is a tenth of a second, and is left out.
        assert_eq!(after(&[10, 100, 100, 0], second - QUARTER + Duration::from_millis(100)), Some(0.25));
    }

    #[test]
    fn times_are_microseconds() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert_eq!(Times::of(&histogram), None);
        (1..=1000).for_each(|micros| histogram.record(micros * 1000).unwrap());
        let times = Times::of(&histogram).unwrap();
        for (found, expected) in [(times.p50, 500.0), (times.p99, 990.0), (times.p99_9, 999.0), (times.max, 1000.0)] {
            assert!((found / expected - 1.0).abs() < 2e-3, "{found} instead of {expected}");
        }
        let distribution = distribution(&histogram);
        assert!(distribution.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        assert_eq!(distribution.last().map(|last| last.0), Some(1.0));
    }
}
