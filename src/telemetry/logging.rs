//! Where log lines go and how they look: standard error, human on a terminal, JSON lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

use super::outlets;

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
///
/// Whoever logs waits for the reader of standard error, as suits a command that has nothing else to do.
pub fn start_logging(settings: LogSettings) {
    start(settings, settings.is_human(), io::stderr);
}

/// The same for a server: nobody who logs waits, and lines that the reader of standard error does not take are dropped and counted.
/// What is written by [`write_out`](super::write_out) goes the same way from then on.
pub fn start_queued_logging(settings: LogSettings) -> io::Result<()> {
    let human = settings.is_human();
    let writer = outlets::start(if human { human_notice } else { json_notice })?;
    start(settings, human, move || writer.clone());
    Ok(())
}

fn start<W: Write>(
    settings: LogSettings,
    human: bool,
    writer: impl for<'a> MakeWriter<'a, Writer = W> + Send + Sync + 'static,
) {
    let colour = io::stderr().is_terminal() && !settings.no_color;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let (level, handle) = reload::Layer::new(settings.level);
    let registry = tracing_subscriber::registry().with(level);
    let started = if human {
        registry.with(lines.with_ansi(colour)).try_init()
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
    };
    if started.is_ok() {
        drop(LEVEL.set(handle));
    }
    // An embedder may have installed its own subscriber; its choice stands.
    drop(started);
}

impl LogSettings {
    fn is_human(self) -> bool {
        match self.style {
            LogStyle::Human => true,
            LogStyle::Json => false,
            LogStyle::Auto => io::stderr().is_terminal(),
        }
    }
}

/// What a line says that stands for those that were dropped. It is written at every level: whoever reads a log has to know that it
/// is not whole.
const DROPPED: &str = "lines of the log were dropped: its reader did not take them in time";

fn json_notice(lines: u64) -> String {
    format!("{{\"timestamp\":\"{}\",\"level\":\"WARN\",\"message\":\"{DROPPED}\",\"lines\":{lines}}}\n", now())
}

fn human_notice(lines: u64) -> String {
    format!("{}  WARN {DROPPED} lines={lines}\n", now())
}

/// The time as in every other line.
fn now() -> String {
    let mut text = String::new();
    // Writing to a text cannot fail, and a line without a time is better than none.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_in_the_form_of_the_other_lines() {
        let line: serde_json::Value = serde_json::from_str(&json_notice(7)).unwrap();
        assert_eq!((&line["lines"], &line["level"]), (&7.into(), &"WARN".into()));
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        let line = human_notice(7);
        assert!(line.contains("Z  WARN lines of the log were dropped") && line.ends_with("lines=7\n"), "{line}");
    }
}
