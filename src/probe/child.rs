//! The outside of a probe: a child process, watched.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::event::{Event, Stage};
use super::report::{Cause, Failure, ProbeReport};

/// The most of a child's standard output that is looked at, and of its standard error that is kept.
const OUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ERR_BYTES_KEPT: usize = 2 * 1024;

/// A probe to be started: `program arguments…` tells events on standard output.
#[derive(Clone, Debug)]
pub struct Probe {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// The engine that it is of.
    pub engine: &'static str,
    pub timeout: Duration,
}

/// Runs a probe to its end, or ends it when its time is over.
///
/// Blocks. To be called by a thread that outlives it: the child asks to be killed when the thread that started it ends.
pub fn run(probe: &Probe) -> ProbeReport {
    let mut report = ProbeReport::new(probe.engine);
    let started = Command::new(&probe.program)
        .args(&probe.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let not_started = |error: io::Error| Failure {
        stage: Stage::Start,
        cause: Cause::NotStarted,
        reason: format!("{} cannot be started: {error}", probe.program.display()),
        stderr: String::new(),
    };
    match started {
        Ok(child) => {
            report.failure = watch(child, probe.timeout, &mut report).map_err(not_started).unwrap_or_else(Some)
        }
        Err(error) => report.failure = Some(not_started(error)),
    }
    report
}

/// Follows a child to its end. Gives why it ended early, if it did.
fn watch(mut child: Child, timeout: Duration, report: &mut ProbeReport) -> io::Result<Option<Failure>> {
    let deadline = Instant::now() + timeout;
    let (send, events) = sync_channel(16);
    let out = child.stdout.take();
    let err = child.stderr.take();
    let readers = spawn("scoria-probe-out", move || out.map(|out| forward(out, &send)))
        .and_then(|out| Ok((out, spawn("scoria-probe-err", move || err.map(tail).unwrap_or_default())?)));
    let readers = readers.inspect_err(|_| drop(child.kill()))?;

    let mut stage = Stage::Start;
    let (is_over, is_late) = follow(&events, deadline, report, &mut stage);
    // The end of its output is the end of the child, or it has closed it and lives on, which no honest one does. Killing one
    // that is ending already does not change how it ended.
    drop(child.kill());
    let status = child.wait()?;
    drop(events);
    drop(readers.0.join());
    let stderr = readers.1.join().unwrap_or_default();
    if is_over {
        return Ok(report.failure.take());
    }
    let (cause, how) = if is_late {
        (Cause::Timeout, format!("was ended after {} ms (probe_timeout_ms)", timeout.as_millis()))
    } else {
        how_it_ended(status)
    };
    let reason = format!("the process that tried it out {how} while {}", stage.in_words());
    Ok(Some(Failure { stage, cause, reason, stderr }))
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Takes in events until the last one, the end of the output, or the deadline: whether it was the first, whether the last.
fn follow(events: &Receiver<Event>, deadline: Instant, report: &mut ProbeReport, stage: &mut Stage) -> (bool, bool) {
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => {
                if report.take(event, stage) {
                    return (true, false);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return (false, false),
            Err(RecvTimeoutError::Timeout) => return (false, true),
        }
    }
}

/// Passes on the lines that are events. Others are a native library's, which may write where it likes.
fn forward(out: ChildStdout, events: &SyncSender<Event>) {
    let mut lines = BufReader::new(out.take(OUT_BYTES_MAX));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let event = serde_json::from_slice(&line);
        line.clear();
        if event.is_ok_and(|event| events.send(event).is_err()) {
            return;
        }
    }
}

/// The end of what comes, when no more comes.
fn tail(mut err: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(bytes @ 1..) = err.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..bytes]);
        let surplus = kept.len().saturating_sub(ERR_BYTES_KEPT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn how_it_ended(status: ExitStatus) -> (Cause, String) {
    match status.signal() {
        Some(signal) => {
            let hint = match signal {
                6 => " (SIGABRT: the engine gave up, as it does when it cannot get memory)",
                9 => " (SIGKILL: from outside, as when the machine has no memory left)",
                4 => " (SIGILL)",
                7 => " (SIGBUS)",
                8 => " (SIGFPE)",
                11 => " (SIGSEGV: a defect of the engine, which the file provokes)",
                24 => " (SIGXCPU: it used up its processor time)",
                25 => " (SIGXFSZ: it tried to write a file)",
                _ => "",
            };
            (Cause::Signal(signal), format!("was killed by signal {signal}{hint}"))
        }
        None => {
            let code = status.code().unwrap_or(-1);
            (Cause::Exit(code), format!("ended with code {code} without a report"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A probe that is a line of shell.
    fn told_by(script: &str, timeout: Duration) -> ProbeReport {
        let arguments = ["-c", script].map(OsString::from).into();
        run(&Probe { program: "/bin/sh".into(), arguments, engine: "ort", timeout })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_child_tells_is_added_up_and_noise_is_passed_over() {
        let report = told_by(
            r#"echo noise; printf '\377\n'; echo '{"engine":{"version":"1.31.1","library":null}}'; echo '{"stage":"load"}'
               echo '{"loaded":{"took_us":5,"providers":["cpu"],"missing_providers":[]}}'; echo '"done"'"#,
            LONG,
        );
        assert_eq!((report.version.as_deref(), report.loads, report.runs), (Some("1.31.1"), true, false));
        assert_eq!(report.failure, None);
    }

    #[test]
    fn what_the_engine_says_no_to_is_told_with_its_stage() {
        let report = told_by(r#"echo '{"stage":"load"}'; echo '{"failed":{"reason":"no such operator"}}'"#, LONG);
        let failure = report.failure.unwrap();
        assert_eq!(
            (failure.stage, failure.cause, failure.reason.as_str()),
            (Stage::Load, Cause::Refused, "no such operator")
        );
    }

    #[test]
    fn a_child_that_dies_is_told_by_signal_stage_and_last_words() {
        let report = told_by(r#"echo '{"stage":"run"}'; echo 'last words' >&2; kill -SEGV $$"#, LONG);
        let failure = report.failure.unwrap();
        assert_eq!(
            (failure.stage, failure.cause, failure.stderr.as_str()),
            (Stage::Run, Cause::Signal(11), "last words")
        );
        assert!(
            failure.reason.contains("running the model") && failure.reason.contains("SIGSEGV"),
            "{}",
            failure.reason
        );
        let code = told_by("exit 7", LONG).failure.unwrap();
        assert_eq!((code.stage, code.cause), (Stage::Start, Cause::Exit(7)));
    }

    #[test]
    fn a_child_that_does_not_end_is_ended() {
        let report = told_by(r#"echo '{"stage":"load"}'; exec tail -f /dev/null"#, Duration::from_millis(50));
        let failure = report.failure.unwrap();
        assert!(failure.cause == Cause::Timeout && failure.reason.contains("50 ms"), "{failure:?}");
    }

    #[test]
    fn endless_output_ends_all_the_same() {
        let failure = told_by("yes x", LONG).failure.unwrap();
        // The pipe is closed on it, or it is killed: either way it does not go on.
        assert!(matches!(failure.cause, Cause::Signal(9 | 13) | Cause::Exit(_)), "{failure:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be() {
        let probe = Probe { program: "/nowhere/scoria".into(), arguments: Vec::new(), engine: "ort", timeout: LONG };
        let failure = run(&probe).failure.unwrap();
        assert!(failure.cause == Cause::NotStarted && failure.reason.contains("/nowhere/scoria"), "{failure:?}");
    }
}
