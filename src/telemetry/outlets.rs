//! Standard output and standard error of a server, neither of which it ever waits for.
//!
//! Other commands write to them directly: they have nothing else to do, and must lose nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::line_queue::{LineQueue, Notice, Patience};

/// Lines of the log that its reader has not taken yet: some 5,000 of usual length.
pub const LOG_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// What is written to standard output: a banner, which has a few lines for each model.
const OUT_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the end of the process waits for the readers of both.
const LAST_LINES: Patience = Patience { limit: Duration::from_millis(400), stalled: Duration::from_millis(200) };
const LAST_OUTPUT: Patience = Patience { limit: Duration::from_millis(100), stalled: Duration::from_millis(100) };

/// Once they have been started, what is written goes by way of them.
static OUTLETS: OnceLock<Outlets> = OnceLock::new();

#[derive(Debug)]
struct Outlets {
    log: Arc<LineQueue>,
    out: Arc<LineQueue>,
}

/// A way into the log's queue, for [`tracing_subscriber`].
#[derive(Clone, Debug)]
pub(super) struct LogWriter(Arc<LineQueue>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has both written by threads of their own from now on. Later calls change nothing.
pub(super) fn start(notice: Notice) -> io::Result<LogWriter> {
    if OUTLETS.get().is_none() {
        let outlets = Outlets {
            log: Arc::new(LineQueue::new(LOG_QUEUE_BYTES_MAX)),
            out: Arc::new(LineQueue::new(OUT_QUEUE_BYTES_MAX)),
        };
        // By descriptors of their own: the standard library's handles are locked while they write, and whoever wanted one waited.
        outlets.log.start("scoria-log", File::from(io::stderr().as_fd().try_clone_to_owned()?), notice)?;
        outlets.out.start("scoria-out", File::from(io::stdout().as_fd().try_clone_to_owned()?), |_| String::new())?;
        // Whoever was faster has started the same.
        drop(OUTLETS.set(outlets));
    }
    let log = OUTLETS.get().map(|outlets| Arc::clone(&outlets.log));
    log.map(LogWriter).ok_or_else(|| io::Error::other("the log has no queue"))
}

/// Writes to standard output; in a server, as soon as its reader takes it.
pub fn write_out(text: &str) -> io::Result<()> {
    if let Some(outlets) = OUTLETS.get() {
        outlets.out.put(text.as_bytes());
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The same for standard error.
pub fn write_err(text: &str) -> io::Result<()> {
    match OUTLETS.get() {
        Some(outlets) => outlets.log.put(text.as_bytes()),
        None => io::stderr().write_all(text.as_bytes())?,
    }
    Ok(())
}

/// Has what was written come out before the process ends, if readers take it. Waits for half a second at most.
pub fn flush_outlets() {
    if let Some(Outlets { log, out }) = OUTLETS.get() {
        log.flush(LAST_LINES);
        out.flush(LAST_OUTPUT);
    }
}

/// Lines of the log that were dropped because its reader did not take them.
pub(super) fn dropped_log_lines() -> u64 {
    OUTLETS.get().map_or(0, |outlets| outlets.log.dropped())
}
