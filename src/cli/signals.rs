//! The signals that end a server, and the end that they come to whatever hangs.
//!
//! A thread of its own waits for them, from before anything is read or bound: it sees a signal when every other thread waits for a
//! disk, a driver or a model. From the first signal on it also has the clock: when the time of the drain is over it ends the process.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

use super::End;
use crate::app::{AtWork, Ending};
use crate::telemetry::flush_outlets;

/// How long everything after the drain may take: the last report, the admin port, letting go of models. What the readers of the log
/// and of standard output have not taken by then is waited for in [`flush_outlets`]; together it is less than a second.
const AFTER_DRAIN_MAX: Duration = Duration::from_millis(400);

/// The reason why the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// From an orchestrator: load balancers need time to notice.
    Terminate,
    /// From a person at a terminal, who does not want to wait.
    Interrupt,
}

/// The times of a drain.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainTimes {
    /// Between the signal and the end of accepting connections, where there is any.
    pub delay: Duration,
    /// For requests in flight after that.
    pub timeout: Duration,
}

impl DrainTimes {
    pub(super) fn delay_after(self, signal: Signal) -> Duration {
        match signal {
            Signal::Terminate => self.delay,
            Signal::Interrupt => Duration::ZERO,
        }
    }
}

/// Starts the thread, and gives where the first signal will be told. From then on it looks at the clock, and at what `ending` says.
pub(super) fn watch(times: DrainTimes, ending: Arc<Ending>, end: End) -> io::Result<oneshot::Receiver<Signal>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Before the thread exists: from here on no signal is lost.
    let signals = runtime.block_on(async { Signals::listen() })?;
    let (tell, told) = oneshot::channel();
    let work = move || runtime.block_on(see_to_the_end(signals, times, &ending, tell));
    thread::Builder::new().name("scoria-signals".to_owned()).spawn(move || {
        let code = work();
        flush_outlets();
        end(code)
    })?;
    Ok(told)
}

/// Gives the code to exit with, once the process has to end whatever it is at.
async fn see_to_the_end(mut signals: Signals, times: DrainTimes, ending: &Ending, tell: oneshot::Sender<Signal>) -> u8 {
    let signal = signals.next().await;
    tracing::info!(?signal, "stopping");
    // What only begins, or has failed, has nothing to finish.
    if ending.at_work() == AtWork::Start || tell.send(signal).is_err() {
        return 0;
    }
    let deadline = times.delay_after(signal) + times.timeout + AFTER_DRAIN_MAX;
    tokio::select! {
        // While requests are being finished, it means now.
        _ = signals.next() => 1,
        () = tokio::time::sleep(deadline) => {
            let at_work = ending.at_work();
            tracing::error!(
                at_work = at_work.in_words(),
                "the time to drain is over (drain_delay_ms, drain_timeout_ms); what is still at work is given up"
            );
            u8::from(at_work.has_requests())
        }
    }
}

/// Each signal is kept from [`Signals::listen`] on until it is asked for, but several of a kind are one.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Has to be called in a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
