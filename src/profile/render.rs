//! The report for people.

use std::fmt::Write;
use std::time::Duration;

use super::candidate::Candidate;
use super::measurement::Measurement;
use super::report::{Machine, complaint};
use super::search::{Findings, Goal, Tried};
use crate::name::Name;

/// Everything: what was tried, what is best, and how to have it.
pub fn render(name: &Name, machine: &Machine, goal: &Goal, findings: &Findings) -> String {
    let objective = match goal.objective.bounds.is_empty() {
        true => "the highest rate that is kept up with".to_owned(),
        false => goal.objective.to_string(),
    };
    let rate = goal.rate.map(|rate| format!(" at {}", per_second(rate))).unwrap_or_default();
    let mut text = format!("{name}: {objective}{rate}, on {} cores, in process (without HTTP)\n\n", machine.cores);
    let header =
        ["execution", "workers", "threads", "max_batch", "alone", "rate", "p50", "p99", "cores used", "objective"];
    let rows: Vec<Vec<String>> = findings.tried.iter().map(|tried| row(tried, goal)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.fold(header[column].len(), usize::max)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &[String], mark: &str, note: &str| {
        let mut line = mark.to_owned();
        for (cell, width) in cells.iter().zip(&widths) {
            write!(line, " {cell:>width$} ").expect("writing to a String cannot fail");
        }
        format!("{line} {note}").trim_end().to_owned() + "\n"
    };
    text += &line(&header.map(str::to_owned), " ", "");
    for (index, (cells, tried)) in rows.iter().zip(&findings.tried).enumerate() {
        let mark = if findings.best == Some(index) { ">" } else { " " };
        text += &line(cells, mark, tried.note.as_deref().unwrap_or_default());
    }
    text += &conclusion(name, goal, findings);
    text
}

fn conclusion(name: &Name, goal: &Goal, findings: &Findings) -> String {
    let Some((best, trial)) = findings.best().and_then(|best| Some((best, best.shown(goal)?))) else {
        return format!("\nNothing was measured: {}\n", complaint(findings));
    };
    let told = trial_line(&trial.measurement);
    let toml = best.candidate.toml(name);
    if !findings.is_met() {
        return format!("\nThe objective was not shown to be met. The nearest to it ({told}):\n\n{toml}");
    }
    let mut text = format!("\nBest ({told}), for scoria.toml:\n\n{toml}");
    if let Some((quickest, alone)) = findings.quickest().and_then(|tried| Some((tried, tried.alone?)))
        && quickest.candidate != best.candidate
    {
        write!(text, "\nA request that is alone is answered soonest, in {}, with {}.\n", time(alone), short(quickest))
            .expect("writing to a String cannot fail");
    }
    text
}

/// A candidate in a few words.
fn short(tried: &Tried) -> String {
    let Candidate { workers, intra_op_threads, max_batch, .. } = tried.candidate;
    let execution = tried.candidate.execution_name();
    format!("execution {execution}, workers {workers}, intra_op_threads {intra_op_threads}, max_batch {max_batch}")
}

/// A measurement in a few words.
pub fn trial_line(measured: &Measurement) -> String {
    let at = |percentile: f64| measured.latencies.at(percentile).map_or("-".to_owned(), time);
    format!("{}, p50 {}, p99 {}", per_second(measured.rate), at(50.0), at(99.0))
}

fn row(tried: &Tried, goal: &Goal) -> Vec<String> {
    let Candidate { workers, intra_op_threads, max_batch, .. } = tried.candidate;
    let shown = tried.shown(goal).map(|trial| &trial.measurement);
    let cell = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        tried.candidate.execution_name().to_owned(),
        workers.to_string(),
        intra_op_threads.to_string(),
        max_batch.to_string(),
        cell(tried.alone.map(time)),
        cell(shown.map(|shown| per_second(shown.rate))),
        cell(shown.and_then(|shown| shown.latencies.at(50.0)).map(time)),
        cell(shown.and_then(|shown| shown.latencies.at(99.0)).map(time)),
        cell(shown.and_then(|shown| shown.cpu).map(|cpu| format!("{cpu:.2}"))),
        cell(shown.map(|_| if tried.met().is_some() { "met" } else { "missed" }.to_owned())),
    ]
}

fn time(time: Duration) -> String {
    format!("{time:.1?}")
}

fn per_second(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}
