//! What a process of its own has found out about a model, as a verdict.

use std::path::Path;

use super::PublishError;
use crate::probe::{ProbeReport, RunInput, Stage};
use crate::registry::Trial;

/// Tries a model out on one engine, with the sample at a path if there is one.
pub type EngineTrial<'a> = dyn Fn(&Path, Option<&Path>) -> ProbeReport + 'a;

/// Tries a model on the engines in turn, until one of them can be started.
pub fn try_out(engines: &[&EngineTrial<'_>], model: &Path, sample: Option<&Path>) -> Result<Trial, PublishError> {
    let mut absent = Vec::new();
    for engine in engines {
        let report = engine(model, sample);
        let is_absent = report.failure.as_ref().is_some_and(|failure| failure.stage == Stage::Start);
        match &report.failure {
            Some(failure) if is_absent => absent.push(format!("{}: {}", report.engine, failure.reason)),
            _ => return verdict(report, sample.is_some()),
        }
    }
    Err(refuse(format!("no engine could be started: {}", absent.join("; "))))
}

fn verdict(report: ProbeReport, has_sample: bool) -> Result<Trial, PublishError> {
    if let Some(failure) = report.failure {
        let words = if failure.stderr.is_empty() { String::new() } else { format!(" (it said: {})", failure.stderr) };
        return Err(refuse(format!("{}: {}{words}", report.engine, failure.reason)));
    }
    let Some(load) = report.load else {
        return Err(refuse(format!("{} did not load it", report.engine)));
    };
    let ran_on_sample = report.run.as_ref().is_some_and(|run| run.input == RunInput::Sample);
    if has_sample && !ran_on_sample {
        let reason = report.not_run.map(|failure| failure.reason).unwrap_or_default();
        return Err(refuse(format!("{} does not run it on its sample: {reason}", report.engine)));
    }
    Ok(Trial {
        engine: report.engine.to_owned(),
        version: report.version.unwrap_or_default(),
        load_us: load.took_us,
        run_us: report.run.map(|run| run.steady_us),
    })
}

fn refuse(reason: String) -> PublishError {
    PublishError::Trial { reason }
}
