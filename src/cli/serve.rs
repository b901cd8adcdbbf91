//! `scoria serve`: from arguments to a server, until a signal ends it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments;
use super::banner::banner;
use super::probe::{path_flag, shared_flags, try_out};
use super::signals::{self, DrainTimes, Signal};
use super::{End, Failure, print, registry};
use crate::app::{App, AtWork, Ending, Offer, RegistryOffer, choose_engine, state_dir};
use crate::config::{Config, LogFormat, LogLevel, env};
use crate::control::resolve_models;
use crate::engine::Engine;
use crate::follow::ProfileCommand;
use crate::objective::Objective;
use crate::registry::{ModelRef, Presence};
use crate::telemetry::{LevelFilter, LogSettings, LogStyle, start_queued_logging};

pub fn serve(matches: &ArgMatches, end: End) -> Result<(), Failure> {
    let (config, models_of_file) = arguments::config(matches)?;
    let no_thread = |what| move |error| Failure::Failed(format!("cannot start the thread that {what}: {error}"));
    start_queued_logging(log_settings(&config)).map_err(no_thread("writes the log"))?;
    let times = DrainTimes {
        delay: Duration::from_millis(config.drain_delay_ms),
        timeout: Duration::from_millis(config.drain_timeout_ms),
    };
    let ending = Arc::new(Ending::default());
    let mut signal = signals::watch(times, Arc::clone(&ending), end).map_err(no_thread("waits for signals"))?;
    let named: Vec<String> = matches.get_many::<String>("models").unwrap_or_default().cloned().collect();
    let asked = if named.is_empty() { models_of_file } else { named };
    let (engine, without_ort) = choose_engine_once_asked(&config, &asked)?;
    let offer = offer(&config, &asked, engine.info().name)?;
    let info = engine.info();
    if let Some(reason) = &without_ort {
        tracing::warn!(engine = info.name, reason, "ONNX Runtime is not used");
    }

    let app = App::start(&config, offer.clone(), engine).map_err(|error| Failure::Failed(error.to_string()))?;
    ending.reach(AtWork::Serving);
    let signal = app.block_on(async {
        let mut reload = std::pin::pin!(reload_on_hangup(&app));
        tokio::select! {
            signal = &mut signal => return signal.map_err(|_| no_signals()),
            failed = reload.as_mut() => return failed,
            () = app.loaded() => drop(print(&banner(&app, &offer, &info, without_ort.as_deref()))),
        }
        tokio::select! {
            signal = signal => signal.map_err(|_| no_signals()),
            failed = reload => failed,
        }
    });
    let signal = signal.map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    app.end(times.delay_after(signal), &ending);
    tracing::info!("stopped");
    Ok(())
}

/// The thread that waits for them ends the process, or has panicked.
fn no_signals() -> io::Error {
    io::Error::other("their thread has ended")
}

type Chosen = (Arc<dyn Engine>, Option<String>);

/// The engine, if there is anything to serve: who named nothing is told that first.
fn choose_engine_once_asked(config: &Config, asked: &[String]) -> Result<Chosen, Failure> {
    let is_registry_there = || registry::url(config).is_ok_and(|url| url.is_there());
    if asked.is_empty() && !config.has_repository() && config.registry.is_none() && !is_registry_there() {
        let message = "nothing to serve: name a model, as in `scoria serve model.onnx`, or a registry (--registry)";
        return Err(Failure::Usage(message.to_owned()));
    }
    choose_engine(config).map_err(Failure::Failed)
}

/// The models that were named, or else the registry.
fn offer(config: &Config, asked: &[String], engine: &'static str) -> Result<Offer, Failure> {
    // Where clients load models from a folder, there may be none at first.
    if !asked.is_empty() || config.has_repository() {
        return Ok(Offer::Files(resolve_models(asked).map_err(|error| Failure::Failed(error.to_string()))?));
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program cannot be found, to try models out with: {error}")))?;
    let settings = config.clone();
    let tries = program.clone();
    let trial = move |model: &Path, sample: Option<&Path>| try_out(&tries, &settings, engine, model, sample);
    let (url, access) = (registry::url(config)?, registry::access(config, Presence::Expect));
    let profile = profile_command(program, config, engine, &url.to_string())?;
    Ok(Offer::Registry(RegistryOffer { url, access, trial: Some(Arc::new(trial)), profile: Some(profile) }))
}

/// `scoria profile` of a version, under the settings of this process; it has its environment, too.
fn profile_command(
    program: PathBuf,
    config: &Config,
    engine: &'static str,
    registry: &str,
) -> Result<Arc<ProfileCommand>, Failure> {
    let state = state_dir(config).map_err(|error| Failure::Failed(error.to_string()))?;
    let mut flags = shared_flags(config, engine);
    flags.push(format!("--registry={registry}").into());
    flags.push(path_flag("state-dir", &state));
    Ok(Arc::new(move |model: &ModelRef, objective: &Objective, time: Duration| {
        let mut command = std::process::Command::new(&program);
        command.args(["profile", "--aside", "--output", "json"]).args(&flags);
        command.arg(format!("--slo={objective}")).arg(format!("--duration={}s", time.as_secs()));
        command.arg(model.to_string());
        command
    }))
}

pub fn log_settings(config: &Config) -> LogSettings {
    let style = match config.log_format {
        LogFormat::Auto => LogStyle::Auto,
        LogFormat::Human => LogStyle::Human,
        LogFormat::Json => LogStyle::Json,
    };
    let level = match config.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    LogSettings { style, level, no_color: env::no_color() }
}

/// Has SIGHUP mean that certificates are read again, where there are any. Elsewhere it ends the process, as it always does.
async fn reload_on_hangup(app: &App) -> io::Result<Signal> {
    if app.scoring_tls.is_none() && app.admin_tls.is_none() {
        return std::future::pending().await;
    }
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        app.ask_for_certificates();
    }
}
