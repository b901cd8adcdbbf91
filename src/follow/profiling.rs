//! The search for a candidate's settings before its rollout begins: in a process of its own, which has the registry keep the report.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::objective::Objective;
use crate::registry::{ModelRef, Registry, RegistryError};

/// Makes the command that profiles a version against an objective for so long, and keeps its report with the version.
pub type ProfileCommand = dyn Fn(&ModelRef, &Objective, Duration) -> Command + Send + Sync;

/// How much longer than the search itself the process may take: it fetches the model and tries it out first.
const AROUND: Duration = Duration::from_secs(120);

/// A search under way, or over. The process ends with this, at the latest.
#[derive(Debug)]
pub struct Profiling {
    pub model: ModelRef,
    child: Option<Child>,
    end: Instant,
}

impl Profiling {
    /// Starts a search. One that cannot be started is over, and told of.
    pub fn start(mut command: Command, model: &ModelRef, time: Duration) -> Profiling {
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = started.inspect_err(|error| tracing::warn!(%model, %error, "the version cannot be profiled")).ok();
        if child.is_some() {
            tracing::info!(%model, ?time, "the version is profiled before its rollout begins");
        }
        Profiling { model: model.clone(), child, end: Instant::now() + time + AROUND }
    }

    /// Whether nothing more is to be waited for. Does not wait itself.
    pub fn is_over(&mut self, now: Instant) -> bool {
        let Some(child) = &mut self.child else { return true };
        match child.try_wait() {
            Ok(None) if now < self.end => false,
            Ok(Some(status)) => {
                // 4: it was measured, and no settings were shown to meet the objective.
                if !matches!(status.code(), Some(0 | 4)) {
                    tracing::warn!(model = %self.model, %status, "the version could not be profiled");
                }
                self.child = None;
                true
            }
            _ => {
                tracing::warn!(model = %self.model, "profiling the version took too long, and is given up");
                self.stop();
                true
            }
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has just ended by itself needs no killing.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Profiling {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a version has been profiled against this very objective, here or anywhere.
pub async fn is_profiled(registry: &Registry, model: &ModelRef, objective: &Objective) -> Result<bool, RegistryError> {
    let latest = registry.models().profile(model).latest().await?;
    Ok(latest.is_some_and(|profile| profile.body["objective"] == objective.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn shell(script: &str, time: Duration) -> Profiling {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let model = ModelRef { name: Name::parse("m").unwrap(), version: 1 };
        Profiling::start(command, &model, time)
    }

    #[test]
    fn a_search_is_over_when_its_process_has_ended_or_taken_too_long() {
        let mut ended = shell("exit 4", Duration::from_secs(60));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ended.is_over(Instant::now()) {
            assert!(Instant::now() < deadline, "it never ended");
            std::thread::yield_now();
        }
        let mut endless = shell("read line < /dev/zero", Duration::from_secs(60));
        assert!(!endless.is_over(Instant::now()));
        assert!(endless.is_over(Instant::now() + Duration::from_secs(60) + AROUND));
        let model = endless.model.clone();
        assert!(Profiling::start(Command::new("/no/such/program"), &model, AROUND).is_over(Instant::now()));
    }
}
