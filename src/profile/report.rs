//! The report as JSON: the keys of Azure ML's `Model.profile`, and ours beside them.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value as Json, json};

use super::candidate::Candidate;
use super::measurement::Measurement;
use super::search::{Findings, Goal, Tried, Verdict};
use crate::moment::Moment;
use crate::name::Name;

/// What the model was profiled on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub cores: usize,
    pub memory_bytes: Option<u64>,
    /// The engine and its version.
    pub engine: String,
}

const GB: f64 = (1u64 << 30) as f64;

/// The document. Figures are of the best candidate's shown trial, `null` where there is none.
pub fn document(name: &Name, machine: &Machine, goal: &Goal, findings: &Findings, created: SystemTime) -> Json {
    let best = findings.best();
    let shown = best.and_then(|best| best.shown(goal)).map(|trial| &trial.measurement);
    let measurements = || findings.tried.iter().flat_map(|tried| &tried.trials).map(|trial| &trial.measurement);
    let is_met = findings.is_met();
    let error = match (shown, is_met) {
        (None, _) => Some(complaint(findings)),
        (_, false) => Some("no candidate was shown to meet the objective".to_owned()),
        _ => None,
    };
    let of_shown = |value: fn(&Measurement) -> Option<Json>| shown.and_then(value).unwrap_or(Json::Null);
    let percentile = |percentile: f64| ms(shown.and_then(|shown| shown.latencies.at(percentile)));
    let mut document = json!({
        "name": name.as_str(),
        "state": if shown.is_some() { "Succeeded" } else { "Failed" },
        "error": error,
        "createdTime": Moment::from(created),
        "requestedCpu": machine.cores,
        "requestedMemoryInGB": machine.memory_bytes.map(gigabytes),
        "requestedQueriesPerSecond": goal.rate.or(shown.map(|shown| shown.rate)).map(|rate| round(rate, 10.0)),
        "maxUtilizedCpu": measurements().filter_map(|measured| measured.cpu).reduce(f64::max).map(|cpu| round(cpu, 100.0)),
        "maxUtilizedMemoryInGB": measurements().filter_map(|measured| measured.memory_bytes).max().map(gigabytes),
        "totalQueries": of_shown(|shown| Some(json!(shown.latencies.succeeded() + shown.latencies.failed))),
        "successQueries": of_shown(|shown| Some(json!(shown.latencies.succeeded()))),
        "successRate": of_shown(|shown| Some(json!(round(100.0 * success(shown), 100.0)))),
        "averageLatencyInMs": of_shown(|shown| Some(ms(shown.latencies.mean()))),
        "latencyPercentile50InMs": percentile(50.0),
        "latencyPercentile90InMs": percentile(90.0),
        "latencyPercentile95InMs": percentile(95.0),
        "latencyPercentile99InMs": percentile(99.0),
        "latencyPercentile999InMs": percentile(99.9),
        "measuredQueriesPerSecond": of_shown(|shown| Some(json!(round(shown.throughput(), 10.0)))),
        "recommendedCpu": of_shown(|shown| Some(json!((shown.cpu?.max(0.1) * 10.0).ceil() / 10.0))),
        "recommendedMemoryInGB": of_shown(|shown| Some(json!((shown.memory_bytes? as f64 / GB * 10.0).ceil() / 10.0))),
    });
    // Ours, beside Azure's.
    let mut add = |key: &str, value: Json| document[key] = value;
    add("engine", json!(machine.engine));
    add("objective", json!((!goal.objective.bounds.is_empty()).then(|| goal.objective.to_string())));
    add("objectiveMet", json!(is_met));
    add("recommended", json!(best.map(|best| settings(&best.candidate))));
    add("lowestLatency", json!(findings.quickest().map(quickest)));
    add("tried", findings.tried.iter().map(tried).collect());
    document
}

/// Why nothing was measured.
pub fn complaint(findings: &Findings) -> String {
    let note = findings.tried.iter().find_map(|tried| tried.note.clone());
    note.unwrap_or_else(|| "nothing was measured in the time there was; give it more (--duration)".to_owned())
}

fn settings(candidate: &Candidate) -> Map<String, Json> {
    let settings = [
        ("execution", json!(candidate.execution_name())),
        ("workers", json!(candidate.workers)),
        ("intra_op_threads", json!(candidate.intra_op_threads)),
        ("max_batch", json!(candidate.max_batch)),
    ];
    settings.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

fn quickest(tried: &Tried) -> Map<String, Json> {
    let mut map = settings(&tried.candidate);
    map.insert("aloneLatencyInMs".to_owned(), ms(tried.alone));
    map
}

fn tried(tried: &Tried) -> Map<String, Json> {
    let trials = tried.trials.iter().map(|trial| {
        let measured = &trial.measurement;
        json!({
            "queriesPerSecond": round(measured.rate, 10.0),
            "measuredQueriesPerSecond": round(measured.throughput(), 10.0),
            "totalQueries": measured.latencies.succeeded() + measured.latencies.failed,
            "successQueries": measured.latencies.succeeded(),
            "latencyPercentile50InMs": ms(measured.latencies.at(50.0)),
            "latencyPercentile99InMs": ms(measured.latencies.at(99.0)),
            "utilizedCpu": measured.cpu.map(|cpu| round(cpu, 100.0)),
            "verdict": match trial.verdict {
                Verdict::Met => "met",
                Verdict::Missed => "missed",
                Verdict::Unsure => "unsure",
            },
        })
    });
    let mut map = quickest(tried);
    map.insert("trials".to_owned(), trials.collect());
    map.insert("note".to_owned(), json!(tried.note));
    map
}

fn success(measured: &Measurement) -> f64 {
    let latencies = &measured.latencies;
    latencies.succeeded() as f64 / (latencies.succeeded() + latencies.failed).max(1) as f64
}

/// `null` for a request that never was answered.
fn ms(time: Option<Duration>) -> Json {
    json!(time.map(|time| round(time.as_secs_f64() * 1e3, 1e4)))
}

fn gigabytes(bytes: u64) -> f64 {
    round(bytes as f64 / GB, 1e3)
}

fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}
