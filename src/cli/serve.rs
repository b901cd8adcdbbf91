//! `scoria serve`: from arguments to a server, until a signal ends it.

use std::time::Duration;

use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments;
use super::banner::banner;
use super::{Failure, print};
use crate::app::{App, choose_engine};
use crate::config::{Config, LogFormat, LogLevel, env};
use crate::control::resolve_models;
use crate::telemetry::{LevelFilter, LogSettings, LogStyle, start_logging};

/// What ended the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// From an orchestrator: load balancers need time to notice.
    Terminate,
    /// From a person at a terminal, who does not want to wait.
    Interrupt,
}

pub fn serve(matches: &ArgMatches) -> Result<(), Failure> {
    let (config, models_of_file) = arguments::config(matches)?;
    start_logging(log_settings(&config));
    let named: Vec<String> = matches.get_many::<String>("models").unwrap_or_default().cloned().collect();
    let asked = if named.is_empty() { models_of_file } else { named };
    if asked.is_empty() && !config.has_repository() {
        let message = "nothing to serve: name a model, as in `scoria serve model.onnx`";
        return Err(Failure::Usage(message.to_owned()));
    }
    let models = resolve_models(&asked).map_err(|error| Failure::Failed(error.to_string()))?;
    let (engine, without_ort) = choose_engine(&config).map_err(Failure::Failed)?;
    let info = engine.info();
    if let Some(reason) = &without_ort {
        tracing::warn!(engine = info.name, reason, "ONNX Runtime is not used");
    }

    let app = App::start(&config, models.clone(), engine).map_err(|error| Failure::Failed(error.to_string()))?;
    let signal = app.block_on(async {
        let mut stop = std::pin::pin!(next_signal());
        let mut reload = std::pin::pin!(reload_on_hangup(&app));
        tokio::select! {
            signal = stop.as_mut() => return signal,
            failed = reload.as_mut() => return failed,
            () = app.loaded() => drop(print(&banner(&app, &models, &info, without_ort.as_deref()))),
        }
        tokio::select! {
            signal = stop => signal,
            failed = reload => failed,
        }
    });
    let signal = signal.map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
    tracing::info!(?signal, "stopping");
    // A second signal, while requests are being finished, means now.
    app.handle().spawn(async {
        if next_signal().await.is_ok() {
            std::process::exit(1);
        }
    });
    app.drain(match signal {
        Signal::Terminate => Duration::from_millis(config.drain_delay_ms),
        Signal::Interrupt => Duration::ZERO,
    });
    tracing::info!("stopped");
    Ok(())
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
async fn reload_on_hangup(app: &App) -> std::io::Result<Signal> {
    if app.scoring_tls.is_none() && app.admin_tls.is_none() {
        return std::future::pending().await;
    }
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        app.reload_certificates();
    }
}

async fn next_signal() -> std::io::Result<Signal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => Signal::Terminate,
        _ = interrupt.recv() => Signal::Interrupt,
    })
}
