//! Where log lines go and how they look: standard error, human on a terminal, JSON lines otherwise.

use std::io::IsTerminal;

pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// How to log.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    pub style: LogStyle,
    /// The least important lines that are logged.
    pub level: LevelFilter,
    /// Whether the user asked for no colour.
    pub no_color: bool,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    /// Human on a terminal, JSON otherwise.
    Auto,
    Human,
    Json,
}

/// Starts logging for the whole process. Later calls change nothing: the first one has won.
pub fn start_logging(settings: LogSettings) {
    let terminal = std::io::stderr().is_terminal();
    let human = match settings.style {
        LogStyle::Human => true,
        LogStyle::Json => false,
        LogStyle::Auto => terminal,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(settings.level);
    let started = if human {
        registry.with(lines.with_ansi(terminal && !settings.no_color)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
    };
    // An embedder may have installed its own subscriber; its choice stands.
    drop(started);
}
