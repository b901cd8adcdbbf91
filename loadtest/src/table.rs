//! Results for people.

use std::fmt::Write;

use crate::plan::Protocol;
use crate::report::{Loop, Outcome, Report, Requests, TargetReport, Times};
use crate::schedule::Arrivals;

/// The whole report: what a single run found in full, or a line a step.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    if let Some(capacity) = &report.capacity {
        let connections = capacity.target.connections;
        line(&mut text, "capacity", &format!("{:.1}/s, closed loop of {connections}", capacity.throughput_per_s));
    }
    match &report.runs[..] {
        [outcome] => single(&mut text, outcome),
        outcomes => steps(&mut text, outcomes),
    }
    for outcome in &report.runs {
        let step = outcome.name.as_ref().filter(|_| report.runs.len() > 1);
        let step = step.map_or_else(String::new, |name| format!("{name}: "));
        for warning in &outcome.warnings {
            line(&mut text, "warning", &format!("{step}{warning}"));
        }
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    writeln!(text, "{label:<13} {value}").expect("a String takes all");
}

fn single(text: &mut String, outcome: &Outcome) {
    let Outcome { load, requests, generator, busy, .. } = outcome;
    line(text, "target", &target(outcome));
    line(text, "load", &format!("{}; {} s after {} s of warm-up", pace(outcome), load.duration_s, load.warm_up_s));
    let Requests { begun, ok, refused, failed, unfinished, by_status, .. } = requests;
    let counts = format!("{begun} begun, {ok} ok, {refused} refused, {failed} failed, {unfinished} unfinished");
    line(text, "requests", &counts);
    if *refused > 0 {
        let counts: Vec<String> = by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        line(text, "statuses", &counts.join(", "));
    }
    let in_time = |objective: f64| format!("; {:.1}/s within {}", outcome.goodput_per_s, time(objective * 1e6));
    let in_time = load.objective_s.map_or_else(String::new, in_time);
    line(text, "throughput", &format!("{:.1}/s{in_time}", outcome.throughput_per_s));
    // In a closed loop it is the latency again.
    let service_time = outcome.service_time_us.as_ref().filter(|_| load.kind == Loop::Open);
    let times = [
        ("latency", outcome.latency_us.as_ref()),
        ("service time", service_time),
        ("refusals", outcome.refused_latency_us.as_ref()),
        ("send lag", generator.send_lag_us.as_ref()),
    ];
    for (label, times) in times {
        if let Some(times) = times {
            line(text, label, &quantiles(times));
        }
    }
    if let Some(server) = &outcome.server {
        let used = processor(server.cores, server.cpu_us_per_answer);
        let [rss, peak] = [server.rss_bytes, server.peak_rss_bytes].map(|bytes| bytes as f64 / 1_048_576.0);
        let processes = server.processes;
        line(text, "server", &format!("{used}, RSS {rss:.1} MiB, peak {peak:.1} MiB, {processes} processes"));
    }
    let used = processor(generator.cores, generator.cpu_us_per_answer);
    let share = 100.0 * generator.cores / busy.cores.max(1) as f64;
    line(text, "generator", &format!("{used}, {share:.0} % of the machine"));
    let foreign = busy.foreign_cores.map_or_else(String::new, |foreign| format!(", {foreign:.2} by others"));
    line(text, "machine", &format!("{:.2} of {} cores busy{foreign}", busy.busy_cores, busy.cores));
}

fn target(outcome: &Outcome) -> String {
    let TargetReport { url, protocol, bodies, body_bytes, .. } = &outcome.target;
    let protocol = match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    format!("{url} ({protocol}, connections: {}, bodies: {bodies} of {body_bytes:.0} bytes)", lanes(outcome))
}

fn pace(outcome: &Outcome) -> String {
    let arrivals = match outcome.load.arrivals {
        Some(Arrivals::Constant) => "even",
        Some(Arrivals::Poisson) => "Poisson",
        None => return "closed loop; latency is the time of an exchange".to_owned(),
    };
    let rate = outcome.load.rate.unwrap_or_default();
    format!("open loop, {rate:.1}/s, {arrivals} arrivals; latency counts from the intended time")
}

fn lanes(outcome: &Outcome) -> String {
    match outcome.target.streams {
        1 => outcome.target.connections.to_string(),
        streams => format!("{} x {streams}", outcome.target.connections),
    }
}

fn quantiles(times: &Times) -> String {
    let values =
        [("p50", times.p50), ("p90", times.p90), ("p99", times.p99), ("p99.9", times.p99_9), ("max", times.max)];
    values.map(|(name, micros)| format!("{name} {}", time(micros))).join("  ")
}

fn processor(cores: f64, per_answer: Option<f64>) -> String {
    let per_answer = per_answer.map_or_else(String::new, |micros| format!(", {micros:.2} us per answer"));
    format!("{cores:.2} cores{per_answer}")
}

/// Microseconds, in the unit that reads best.
fn time(micros: f64) -> String {
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} us"),
        micros if micros < 1e6 => format!("{:.2} ms", micros / 1e3),
        micros => format!("{:.2} s", micros / 1e6),
    }
}

fn steps(text: &mut String, outcomes: &[Outcome]) {
    let head = [
        "step",
        "conns",
        "rate/s",
        "ok/s",
        "good/s",
        "refused/s",
        "failed",
        "p50",
        "p99",
        "p99.9",
        "cpu us",
        "cores",
        "kept up",
    ];
    let rows: Vec<[String; 13]> = outcomes.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in std::iter::once(&head.map(str::to_owned)).chain(&rows) {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            }
            .expect("a String takes all");
        }
        text.push('\n');
    }
}

fn row(outcome: &Outcome) -> [String; 13] {
    let none = || "-".to_owned();
    let latency = |of: fn(&Times) -> f64| outcome.latency_us.as_ref().map_or_else(none, |times| time(of(times)));
    let server = outcome.server.as_ref();
    [
        outcome.name.clone().unwrap_or_else(none),
        lanes(outcome),
        outcome.load.rate.map_or_else(none, |rate| format!("{rate:.0}")),
        format!("{:.1}", outcome.throughput_per_s),
        format!("{:.1}", outcome.goodput_per_s),
        format!("{:.1}", outcome.answers_per_s - outcome.throughput_per_s),
        outcome.requests.failed.to_string(),
        latency(|times| times.p50),
        latency(|times| times.p99),
        latency(|times| times.p99_9),
        server.and_then(|server| server.cpu_us_per_answer).map_or_else(none, |micros| format!("{micros:.2}")),
        server.map_or_else(none, |server| format!("{:.2}", server.cores)),
        outcome.kept_up_after_s.map_or_else(none, |from| format!("{from:.2} s")),
    ]
}
