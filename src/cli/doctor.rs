//! `scoria doctor`: a report on each model.

use std::io::{ErrorKind, IsTerminal};
use std::path::PathBuf;

use clap::ArgMatches;
use serde::Serialize;

use super::probe::{policy, try_out};
use super::{Failure, arguments, print};
use crate::config::EngineChoice;
use crate::control::{ModelSpec, SpecError, resolve_models};
use crate::doctor::{EngineTrial, Practice, Report, diagnose, render};
use crate::engine::file_kind;

/// What `-o json` prints.
#[derive(Serialize)]
struct Document<'a> {
    /// The version of the program.
    scoria: &'static str,
    models: &'a [Report],
}

pub fn doctor(matches: &ArgMatches) -> Result<(), Failure> {
    let config = arguments::config(matches)?.0;
    let named: Vec<String> = matches.get_many::<String>("models").unwrap_or_default().cloned().collect();
    let models = resolve_models(&named).map_err(refuse)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program cannot be found, to try models out with: {error}")))?;
    let try_out = |engine, spec: &ModelSpec, sample: Option<&PathBuf>| {
        try_out(&program, &config, engine, &spec.path, sample.map(PathBuf::as_path))
    };
    let ort = |spec: &ModelSpec, sample: Option<&PathBuf>| try_out("ort", spec, sample);
    let tract = |spec: &ModelSpec, sample: Option<&PathBuf>| try_out("tract", spec, sample);
    let engines: &[&EngineTrial<'_>] = match config.engine {
        EngineChoice::Ort => &[&ort],
        EngineChoice::Tract => &[&tract],
        EngineChoice::Auto if cfg!(feature = "tract") => &[&ort, &tract],
        EngineChoice::Auto => &[&ort],
    };
    // A library that the operator named is meant, and a server would not start without it.
    let falls_back = config.ort_lib.is_none();
    let external_data_folders = &config.weights_folders();
    let practice = Practice { engines, falls_back, external_data_folders, policy: policy(&config) };
    let reports: Vec<Report> = models.iter().map(|spec| diagnose(spec, &practice)).collect();

    let table_wanted =
        matches.get_one::<String>("output").map_or(std::io::stdout().is_terminal(), |output| output == "table");
    if table_wanted {
        print(&reports.iter().map(render).collect::<Vec<_>>().join("\n"))?;
    } else {
        let document = Document { scoria: env!("CARGO_PKG_VERSION"), models: &reports };
        let text = serde_json::to_string_pretty(&document).map_err(|error| Failure::Failed(error.to_string()))?;
        print(&format!("{text}\n"))?;
    }
    match reports.iter().filter(|report| !report.servable).count() {
        0 => Ok(()),
        ill => Err(Failure::Failed(format!("{ill} of {} cannot be served", count(reports.len())))),
    }
}

fn count(models: usize) -> String {
    if models == 1 { "1 model".to_owned() } else { format!("{models} models") }
}

/// Why there is nothing to look at.
pub fn refuse(error: SpecError) -> Failure {
    match &error {
        SpecError::Io { source, .. } if source.kind() == ErrorKind::NotFound => Failure::NotFound(error.to_string()),
        SpecError::NotAModel { path } => Failure::Failed(match file_kind(path) {
            Some(kind) => format!("{error}: it is {kind}"),
            None => error.to_string(),
        }),
        _ => Failure::Failed(error.to_string()),
    }
}
