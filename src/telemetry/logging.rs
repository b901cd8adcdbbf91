//! Where log lines go and how they look: standard error, human on a terminal, JSON lines otherwise.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::config::{LogFormat, LogLevel};

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Whether the user asked for no colour.
    pub no_color: bool,
}

/// Starts logging for the whole process. Later calls change nothing: the first one has won.
pub fn start_logging(settings: LogSettings) {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let terminal = std::io::stderr().is_terminal();
    let human = match settings.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    let started = if human {
        registry.with(lines.with_ansi(terminal && !settings.no_color)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
    };
    // An embedder may have installed its own subscriber; its choice stands.
    drop(started);
}
