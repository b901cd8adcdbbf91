//! The command line.

mod ab;
mod arguments;
mod banner;
mod columns;
mod deploy;
mod doctor;
mod endpoints;
mod follow;
mod health;
mod invoke;
mod keys;
mod meter;
mod models;
mod probe;
mod profile;
mod profiled;
mod register;
mod registry;
mod replicas;
mod serve;
mod signals;

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ArgMatches;
use serde_json::json;

use crate::app::choose_engine;
use crate::config::{self, Config};
use crate::telemetry::{flush_outlets, write_err, write_out};

/// How a command ended.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 1.
    Failed(String),
    /// Exit code 2: the command line or the configuration is wrong.
    Usage(String),
    /// Exit code 3: what the command is about is not there.
    NotFound(String),
    /// Exit code 4: what was asked of a model cannot be had.
    Missed(String),
}

/// Ends the process with a code, at once, from any thread.
pub type End = fn(u8) -> !;

/// Runs the command that `arguments` (the program's name first) mean, and gives the exit code. A server that hangs when it is to
/// stop calls `end` instead.
pub fn run(arguments: impl IntoIterator<Item = OsString>, end: End) -> u8 {
    let code = run_command(arguments, end);
    flush_outlets();
    code
}

fn run_command(arguments: impl IntoIterator<Item = OsString>, end: End) -> u8 {
    let matches = match arguments::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version come this way too, with code 0. If the terminal is gone there is nobody to tell.
            drop(error.print());
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let outcome = match matches.subcommand() {
        Some(("serve", matches)) => serve::serve(matches, end),
        Some(("doctor", matches)) => doctor::doctor(matches),
        Some(("register", matches)) => register::register(matches),
        Some(("models", matches)) => models::models(matches),
        Some(("ab", matches)) => ab::ab(matches),
        Some(("follow", matches)) => follow::follow(matches),
        Some(("deploy", matches)) => deploy::deploy(matches),
        Some(("update", matches)) => endpoints::update(matches),
        Some(("traffic", matches)) => endpoints::traffic(matches),
        Some(("mirror", matches)) => endpoints::mirror(matches),
        Some(("rollback", matches)) => endpoints::rollback(matches),
        Some(("endpoints", matches)) => endpoints::endpoints(matches),
        Some(("keys", matches)) => keys::keys(matches),
        Some(("invoke", matches)) => invoke::invoke(matches),
        Some(("profile", matches)) => profile::profile(matches),
        Some(("probe", matches)) => probe::probe(matches),
        Some(("health", matches)) => health::health(matches),
        Some(("runtime", matches)) => runtime_info(matches.subcommand_matches("info").unwrap_or(matches)),
        Some(("config", matches)) => match matches.subcommand_name() {
            Some("schema") => print(&config::schema()),
            _ => print(&config::reference()),
        },
        _ => Err(Failure::Usage("nothing to do; see scoria --help".to_owned())),
    };
    match outcome {
        Ok(()) => 0,
        Err(Failure::Failed(message)) => complain(&message, 1),
        Err(Failure::Usage(message)) => complain(&message, 2),
        Err(Failure::NotFound(message)) => complain(&message, 3),
        Err(Failure::Missed(message)) => complain(&message, 4),
    }
}

/// `scoria runtime info`: what would run a model here, and why not ONNX Runtime if it would not.
fn runtime_info(matches: &ArgMatches) -> Result<(), Failure> {
    let config = arguments::config(matches)?.0;
    let (engine, without_ort) = choose_engine(&config).map_err(Failure::Failed)?;
    let info = engine.info();
    let json_wanted =
        matches.get_one::<String>("output").map_or(!std::io::stdout().is_terminal(), |output| output == "json");
    if json_wanted {
        let value = json!({
            "engine": info.name, "version": info.version, "library": info.loaded_from, "without_onnx_runtime_because": without_ort,
        });
        return print(&format!("{value}\n"));
    }
    let mut text = format!("engine   {}\nversion  {}\n", info.name, info.version);
    if let Some(library) = info.loaded_from {
        text += &format!("library  {}\n", library.display());
    }
    if let Some(reason) = without_ort {
        text += &format!("note     {reason}\n");
    }
    print(&text)
}

/// Writes to standard output. A reader that has gone, as in `scoria … | head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match write_out(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Failed(error.to_string())),
        _ => Ok(()),
    }
}

fn complain(message: &str, code: u8) -> u8 {
    // If standard error is gone there is nobody to tell; the exit code remains.
    drop(write_err(&format!("scoria: {message}\n")));
    code
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

/// What [`arguments::config`] gives: the settings, and the models that the file names.
type Configured = (Config, Vec<String>);
