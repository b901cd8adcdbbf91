//! Results for people.

use std::fmt::Write;

use crate::report::{Loop, Outcome, Report, Times};

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
        for warning in &outcome.warnings {
            let of = outcome
                .name
                .as_ref()
                .filter(|_| report.runs.len() > 1)
                .map_or_else(String::new, |name| format!("{name}: "));
            line(&mut text, "warning", &format!("{of}{warning}"));
        }
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    writeln!(text, "{label:<13} {value}").expect("a String takes all");
}

fn single(text: &mut String, outcome: &Outcome) {
    let Outcome { target, load, requests, .. } = outcome;
    line(
        text,
        "target",
        &format!(
            "{} ({:?}, {} connections, {} bodies of {:.0} bytes)",
            target.url,
            target.protocol,
            lanes(outcome),
            target.bodies,
            target.body_bytes
        ),
    );
    let pace = match (load.kind, load.rate, load.arrivals) {
        (Loop::Open, Some(rate), Some(arrivals)) => {
            format!("open loop, {rate:.1}/s, {arrivals:?} arrivals; latency from the intended time").to_lowercase()
        }
        _ => "closed loop; latency is the time of an exchange".to_owned(),
    };
    line(text, "load", &format!("{pace}; {} s after {} s of warm-up", load.duration_s, load.warm_up_s));
    line(
        text,
        "requests",
        &format!(
            "{} begun, {} ok, {} refused, {} failed, {} unfinished",
            requests.begun, requests.ok, requests.refused, requests.failed, requests.unfinished
        ),
    );
    if requests.refused > 0 {
        let counts: Vec<String> =
            requests.by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        line(text, "statuses", &counts.join(", "));
    }
    let objective = load.objective_s.map_or_else(String::new, |objective| {
        format!("; {:.1}/s within {}", outcome.goodput_per_s, time(objective * 1e6))
    });
    line(text, "throughput", &format!("{:.1}/s{objective}", outcome.throughput_per_s));
    for (label, times) in [
        ("latency", &outcome.latency_us),
        ("service time", &outcome.service_time_us),
        ("refusals", &outcome.refused_latency_us),
        ("send lag", &outcome.generator.send_lag_us),
    ] {
        let is_told_twice = label == "service time" && load.kind == Loop::Closed;
        if let Some(times) = times.as_ref().filter(|_| !is_told_twice) {
            line(text, label, &quantiles(times));
        }
    }
    if let Some(server) = &outcome.server {
        let (rss, peak) = (server.rss_bytes as f64 / 1048576.0, server.peak_rss_bytes as f64 / 1048576.0);
        line(
            text,
            "server",
            &format!(
                "{}, {} processes, RSS {rss:.1} MiB, peak {peak:.1} MiB",
                processor(server.cores, server.cpu_us_per_answer),
                server.processes
            ),
        );
    }
    let generator = &outcome.generator;
    let share = 100.0 * generator.cores / outcome.busy.cores.max(1) as f64;
    line(
        text,
        "generator",
        &format!("{}, {share:.0} % of the machine", processor(generator.cores, generator.cpu_us_per_answer)),
    );
    let foreign = outcome.busy.foreign_cores.map_or_else(String::new, |foreign| format!(", {foreign:.2} by others"));
    line(text, "machine", &format!("{:.2} of {} cores busy{foreign}", outcome.busy.busy_cores, outcome.busy.cores));
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
