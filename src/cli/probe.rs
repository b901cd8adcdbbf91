//! `scoria probe`, hidden: what `scoria doctor` and `scoria register` start for each engine. Tells events as lines of JSON on standard
//! output.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;

use super::{Failure, arguments};
use crate::app::choose_engine;
use crate::codec::Policy;
use crate::config::{Config, SettingValue};
use crate::engine::LoadOptions;
use crate::plain_file;
use crate::probe::{Event, Limits, Probe, ProbeReport, Stage, Subject, confine, examine, run};

pub fn probe(matches: &ArgMatches) -> Result<(), Failure> {
    let config = arguments::config(matches)?.0;
    let limits =
        Limits { time: Duration::from_millis(config.probe_timeout_ms), memory_bytes: config.probe_max_memory_bytes };
    confine(limits).map_err(|error| Failure::Failed(format!("the limits cannot be set: {error}")))?;

    tell(Event::Stage(Stage::Start));
    let engine = match choose_engine(&config) {
        Ok((engine, _)) => engine,
        Err(reason) => {
            tell(Event::Failed { reason });
            return Ok(());
        }
    };
    let text = |name| matches.get_one::<String>(name).map(Path::new);
    let model = text("model").ok_or_else(|| Failure::Usage("name a model".to_owned()))?;
    let sample = text("sample").and_then(|path| plain_file::read(path).ok());
    let options = LoadOptions {
        providers: config.providers.0.clone(),
        provider_options: config.provider_options.clone(),
        max_output_elements: config.max_elements,
        ..LoadOptions::default()
    };
    let subject = Subject {
        path: model,
        sample: sample.as_deref(),
        options: &options,
        external_data_folders: &config.weights_folders(),
        policy: policy(&config),
    };
    examine(engine.as_ref(), subject, &mut tell);
    Ok(())
}

/// What bodies may hold.
pub fn policy(config: &Config) -> Policy {
    Policy {
        null_input: config.null_input,
        extra_columns: config.extra_columns,
        non_finite_output: config.non_finite_output,
        max_elements: config.max_elements,
        max_rank: config.max_rank,
        max_json_depth: config.max_json_depth,
    }
}

/// Tries a model out in a process of its own, under the settings of this one.
pub fn try_out(
    program: &Path,
    config: &Config,
    engine: &'static str,
    model: &Path,
    sample: Option<&Path>,
) -> ProbeReport {
    let mut arguments = vec![OsString::from("probe")];
    arguments.extend(shared_flags(config, engine));
    arguments.extend(sample.map(|path| path_flag("sample", path)));
    arguments.extend([OsString::from("--"), model.as_os_str().to_owned()]);
    let timeout = Duration::from_millis(config.probe_timeout_ms);
    run(&Probe { program: program.to_owned(), arguments, engine, timeout })
}

/// What another process has to be told to load models as this one does.
pub fn shared_flags(config: &Config, engine: &'static str) -> Vec<OsString> {
    let flag = |name: &str, value: &str| OsString::from(format!("--{name}={value}"));
    let mut flags = vec![
        flag("engine", engine),
        flag("allow-old-ort", &config.allow_old_ort.to_text()),
        // A GPU's libraries reserve more address space than the machine has memory, and write files: a process under the limits
        // of a trial cannot have one.
        flag("providers", "cpu"),
        flag("provider-options", ""),
        flag("external-data-folders", &config.external_data_folders.to_text()),
        flag("max-elements", &config.max_elements.to_text()),
        flag("max-rank", &config.max_rank.to_text()),
        flag("max-json-depth", &config.max_json_depth.to_text()),
        flag("null-input", &config.null_input.to_text()),
        flag("probe-timeout-ms", &config.probe_timeout_ms.to_text()),
        flag("probe-max-memory-bytes", &config.probe_max_memory_bytes.to_text()),
    ];
    flags.extend(config.ort_lib.as_deref().map(|path| path_flag("ort-lib", path)));
    flags
}

/// `--name=path`, whatever bytes the path is of.
pub fn path_flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}

/// Writes an event, at once: the next step may be the last.
fn tell(event: Event) {
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        // Nobody listens any more.
        std::process::exit(1);
    }
}
