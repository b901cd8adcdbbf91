//! `scoria profile`: which settings suit a model, found by trying them.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::probe::policy;
use super::profiled::Asked;
use super::serve::log_settings;
use super::{Failure, arguments, print};
use crate::app::{choose_engine, described, settings};
use crate::config::{Config, LogLevel};
use crate::control::give_way;
use crate::memory;
use crate::profile::{
    Candidate, Goal, LiveBench, Machine, Objective, Progress, Space, Subject, document, parse_time, render, search,
    trial_line,
};
use crate::schedule::Cores;
use crate::telemetry::start_logging;

/// Less time than this shows nothing.
const DURATION_MIN: Duration = Duration::from_secs(1);

pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("profile")
        .about("Find the settings that suit a model, by trying them")
        .arg(Arg::new("model").value_name("MODEL").required(true).help(
            "file.onnx, name=file.onnx or a model's folder; or a version of the registry, NAME[:VERSION], which keeps the report",
        ))
        .arg(option("slo", "OBJECTIVE").help(
            "What the latency has to be, as in p99=5ms or p50=1ms,p99=5ms; default: the highest rate, and the lowest latency",
        ))
        .arg(option("rate", "N").help("Requests a second that are to be served; default: as many as possible"))
        .arg(option("duration", "TIME").default_value("30s").help("How long all of it may take, as in 30s"))
        .arg(option("sample-input", "FILE").help(
            "A JSON body to score; default: the sample beside the model, else a made-up one",
        ))
        .arg(
            option("output", "FORMAT")
                .short('o')
                .value_parser(PossibleValuesParser::new(["table", "json"]))
                .help("table or json; default: table on a terminal, json otherwise"),
        )
        .arg(
            Arg::new("aside")
                .long("aside")
                .action(ArgAction::SetTrue)
                .help("Give way to all other processes, such as servers on this machine"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only report: the registry keeps nothing of it"),
        )
}

pub fn profile(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    if matches.get_flag("aside") {
        // First of all: threads begin as low as the one that makes them.
        give_way();
    }
    let config = arguments::config(matches)?.0;
    let goal = goal(text("slo"), text("rate"))?;
    let time = parse_time(text("duration").unwrap_or("30s")).map_err(|error| usage(format!("--duration: {error}")))?;
    if time < DURATION_MIN {
        return Err(usage(format!("--duration: expected at least {DURATION_MIN:?}, got {time:?}")));
    }
    let asked = Asked::of(text("model").unwrap_or_default(), &config)?;
    let sample = text("sample-input").map(Path::new).map(read_sample).transpose()?;
    start_logging(log_settings(&Config { log_level: quiet(config.log_level), ..config.clone() }));

    let (engine, _) = choose_engine(&config).map_err(Failure::Failed)?;
    let info = engine.info();
    // Held until the end, so that nobody removes a version's files from the cache.
    let obtained = asked.obtain(&config, &info)?;
    let sample =
        sample.map_or_else(|| obtained.sample.as_deref().map(read_sample).transpose(), |given| Ok(Some(given)))?;
    let (spec, own) = described(&config, obtained.spec.clone());
    let cores = Arc::new(Cores::new(std::thread::available_parallelism().map_or(1, usize::from)));
    let settings = settings(&own, &cores);
    let (name, wishes) = (spec.name.clone(), settings.wishes);
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let tell = |progress: Progress<'_>| show(begun, time, progress);
    let subject = Subject { spec, engine, settings, policy: policy(&own), sample, time };
    let (mut bench, plan, can_join) = LiveBench::start(subject, Arc::clone(&stop), &tell).map_err(Failure::Failed)?;
    bench.runtime().spawn(interrupted(stop));
    let (start, planned) = (Candidate::of(plan), plan.execution);
    let space = Space { start, planned, cores: cores.total(), can_join, asked: wishes };
    let findings = search(&mut bench, &space, &goal);
    clear();

    let engine = format!("{} {}", info.name, info.version);
    let machine = Machine { cores: cores.total(), memory_bytes: memory::total_bytes(), engine };
    let mut report = document(&name, &machine, &goal, &findings, SystemTime::now());
    let kept = match &asked {
        Asked::Version(version) if findings.best().is_some() && !matches.get_flag("dry-run") => {
            report["model"] = json!(version.model.to_string());
            Some((&version.model, version.keep(&report)?))
        }
        _ => None,
    };
    if text("output").map_or(std::io::stdout().is_terminal(), |output| output == "table") {
        print(&render(&name, &machine, &goal, &findings))?;
        if let Some((model, number)) = kept {
            let use_of_it = if findings.is_met() { "; it is deployed with these settings" } else { "" };
            print(&format!("\nKept with {model} as its profile {number}{use_of_it}.\n"))?;
        }
    } else {
        print(&format!("{report:#}\n"))?;
    }
    match findings.best() {
        None => Err(Failure::Failed("nothing could be measured; the report says why".to_owned())),
        Some(_) if findings.is_met() => Ok(()),
        Some(_) => Err(Failure::Missed("no settings were shown to meet the objective".to_owned())),
    }
}

fn goal(slo: Option<&str>, rate: Option<&str>) -> Result<Goal, Failure> {
    let objective = slo.map(str::parse::<Objective>).transpose().map_err(|error| usage(format!("--slo: {error}")))?;
    let rate = rate.map(|text| {
        let rate = text.parse::<f64>().ok().filter(|rate| *rate >= 0.001 && *rate <= 1e9);
        rate.ok_or_else(|| usage(format!("--rate: expected requests a second, as in 200, got '{text}'")))
    });
    Ok(Goal { objective: objective.unwrap_or_default(), rate: rate.transpose()? })
}

fn read_sample(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))
}

/// What a server tells of a model that it loads would come again with each candidate.
fn quiet(level: LogLevel) -> LogLevel {
    match level {
        LogLevel::Debug => LogLevel::Debug,
        _ => LogLevel::Error,
    }
}

/// The first interrupt ends the search, which tells what it knows; the second ends the program.
async fn interrupted(stop: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.store(true, Ordering::Relaxed);
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(1);
    }
}

/// Shows what is going on, to who watches.
fn show(begun: Instant, time: Duration, progress: Progress<'_>) {
    let mut terminal = std::io::stderr().lock();
    if !terminal.is_terminal() {
        return;
    }
    let about = |candidate: &Candidate| {
        let Candidate { workers, intra_op_threads, max_batch, .. } = candidate;
        let execution = candidate.execution_name();
        format!("execution {execution}, workers {workers}, threads {intra_op_threads}, max_batch {max_batch}")
    };
    let (text, end) = match progress {
        Progress::Loading(candidate) => (format!("{}: loading", about(candidate)), ""),
        Progress::Offering(candidate, rate) => (format!("{}: {rate:.0}/s …", about(candidate)), ""),
        Progress::Measured(candidate, measured) => (format!("{}: {}", about(candidate), trial_line(measured)), "\n"),
    };
    let elapsed = begun.elapsed().as_secs();
    // If nobody can be told, nobody watches.
    drop(write!(terminal, "\r\x1b[K{elapsed:>3} of {} s  {text}{end}", time.as_secs()).and_then(|()| terminal.flush()));
}

fn clear() {
    let mut terminal = std::io::stderr().lock();
    if terminal.is_terminal() {
        drop(write!(terminal, "\r\x1b[K"));
    }
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}
