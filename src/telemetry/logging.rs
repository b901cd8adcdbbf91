//! Where log lines go and how they look: standard error, human on a terminal, JSON lines otherwise.

use std::io::IsTerminal;
use std::sync::OnceLock;

pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

/// The way to the level of the lines that are logged, once logging has started.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

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
    let (level, handle) = reload::Layer::new(settings.level);
    let registry = tracing_subscriber::registry().with(level);
    let started = if human {
        registry.with(lines.with_ansi(terminal && !settings.no_color)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
    };
    if started.is_ok() {
        drop(LEVEL.set(handle));
    }
    // An embedder may have installed its own subscriber; its choice stands.
    drop(started);
}

/// The least important lines that are logged; none where logging has not been started here.
pub fn log_level() -> LevelFilter {
    LEVEL.get().and_then(reload::Handle::clone_current).unwrap_or(LevelFilter::OFF)
}

/// Changes [`log_level`] from now on.
pub fn set_log_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // It fails when the subscriber is gone, with nobody left to log to.
        drop(handle.reload(level));
    }
}
