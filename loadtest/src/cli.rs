//! The command line: `loadtest run`, `loadtest plot`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::check::{CheckError, check};
use crate::load::{LoadError, carry_out};
use crate::plan::Protocol;
use crate::plot::{self, PlotError};
use crate::report::{Outcome, Report, outcomes};
use crate::resolve::{Job, ResolveError, jobs};
use crate::scenario::{Scenario, ScenarioError};
use crate::settings::Settings;
use crate::table::table;

/// Puts a scoring server under load, and tells how it did
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send requests by flags, or by a scenario, in which every flag is a key
    Run(Box<RunArguments>),
    /// Draw results: latency by percentile, and over what was answered
    Plot {
        /// Reports of `loadtest run -o json`
        #[arg(required = true, value_name = "RESULTS")]
        results: Vec<PathBuf>,
        /// The SVG file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// A scenario; flags win over what it says
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// The same as --protocol http1
    #[arg(long, conflicts_with_all = ["http2", "protocol"])]
    http1: bool,
    /// The same as --protocol http2
    #[arg(long, conflicts_with = "protocol")]
    http2: bool,
    /// For people or for programs [default: table on a terminal, json otherwise]
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the capacity is 0: nothing was answered with 2xx, so that no load can be a multiple of it")]
    NoCapacity,
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("the results could not be written")]
    Write(#[source] io::Error),
}

impl CommandError {
    /// 2 for what was asked, 1 for what went wrong.
    fn exit_code(&self) -> u8 {
        match self {
            CommandError::Scenario(_) => 2,
            // What has to do with the server or the network is no fault of the command.
            CommandError::Resolve(ResolveError::Address { .. } | ResolveError::Describe(_)) => 1,
            CommandError::Resolve(_) => 2,
            _ => 1,
        }
    }
}

/// Runs the command that `arguments` (the program's name first) mean.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with code 0. If the terminal is gone there is nobody to tell.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let outcome = match arguments.command {
        Command::Run(arguments) => load(*arguments),
        Command::Plot { results, output } => plot::plot(&results, &output).map_err(CommandError::from),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "loadtest: {}", with_causes(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn load(arguments: RunArguments) -> Result<(), CommandError> {
    let mut flags = arguments.settings;
    flags.protocol = match (arguments.http1, arguments.http2) {
        (true, _) => Some(Protocol::Http1),
        (_, true) => Some(Protocol::Http2),
        _ => flags.protocol,
    };
    let scenario = Scenario::of(&flags, arguments.scenario.as_deref())?;
    if let Some(about) = scenario.about.as_ref().filter(|_| io::stderr().is_terminal()) {
        drop(writeln!(io::stderr(), "{about}"));
    }
    let mut report = Report::begin();
    if let Some(settings) = &scenario.capacity {
        let found = jobs(std::slice::from_ref(settings))?.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
        report.capacity = found.into_iter().flatten().next().map(Box::new);
    }
    let capacity = report.capacity.as_ref().map(|outcome| outcome.throughput_per_s);
    let mut steps = Vec::new();
    for step in &scenario.steps {
        let mut settings = step.settings.clone();
        if let Some((load, capacity)) = step.load.zip(capacity) {
            settings.rate = Some(Some(load * capacity).filter(|rate| *rate > 0.0).ok_or(CommandError::NoCapacity)?);
        }
        steps.push(settings);
    }
    for job in jobs(&steps)? {
        report.runs.extend(measure(&job)?);
    }
    let output = arguments.output.unwrap_or(if io::stdout().is_terminal() { Output::Table } else { Output::Json });
    let text = match output {
        Output::Table => table(&report),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report).expect("a report is JSON")),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Write(error)),
        _ => Ok(()),
    }
}

fn measure(job: &Job) -> Result<Vec<Outcome>, CommandError> {
    if job.is_checked {
        check(&job.run.target)?;
    }
    let lasts = job.run.ends().last().copied().unwrap_or_default();
    let bar = progress_bar(lasts);
    let measured = carry_out(&job.run, job.watch, &mut |passed: Duration, over| {
        bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!("{over} requests"));
    })?;
    bar.finish_and_clear();
    Ok(outcomes(job, &measured))
}

/// On standard error, and only if that is a terminal.
fn progress_bar(lasts: Duration) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    bar.set_style(ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}").expect("a template of ours"));
    bar
}
