//! `scoria probe`, hidden: what `scoria doctor` starts for each engine. Tells events as lines of JSON on standard output.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;

use super::{Failure, arguments};
use crate::app::choose_engine;
use crate::codec::Policy;
use crate::config::Config;
use crate::engine::LoadOptions;
use crate::probe::{Event, Limits, Stage, Subject, confine, examine};

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
    let sample = text("sample").and_then(|path| std::fs::read(path).ok());
    let options = LoadOptions {
        providers: config.providers.0.clone(),
        max_output_elements: config.max_elements,
        ..LoadOptions::default()
    };
    let subject = Subject { path: model, sample: sample.as_deref(), options: &options, policy: policy(&config) };
    examine(engine.as_ref(), subject, &mut tell);
    Ok(())
}

/// What bodies may hold.
pub fn policy(config: &Config) -> Policy {
    Policy {
        null_input: config.null_input,
        non_finite_output: config.non_finite_output,
        max_elements: config.max_elements,
        max_rank: config.max_rank,
        max_json_depth: config.max_json_depth,
    }
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
