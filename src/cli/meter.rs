//! How far something is that takes long, shown on a terminal's standard error and nowhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bytes on their way.
pub struct Meter(ProgressBar);

impl Meter {
    pub fn new() -> Meter {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Meter(ProgressBar::with_draw_target(None, target))
    }

    /// Begins to count: `total` bytes of `what`.
    pub fn begin(&self, what: &'static str, total: u64) {
        let style = ProgressStyle::with_template("{msg:>9} {bar:40} {bytes}/{total_bytes}  {eta}");
        self.0.reset();
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_message(what);
        self.0.set_length(total);
    }

    /// Begins something whose end nobody knows.
    pub fn wait(&self, what: &'static str) {
        let style = ProgressStyle::with_template("{msg:>9} {spinner} {elapsed}");
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        self.0.set_message(what);
        self.0.enable_steady_tick(Duration::from_millis(100));
    }

    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
