//! The process environment. The only file that reads it.

use std::path::PathBuf;

/// A setting's text from its `SCORIA_…` variable. An empty variable counts as unset.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The folder for state when none is configured: `$XDG_STATE_HOME/scoria`, else `~/.local/state/scoria`
/// (XDG Base Directory Specification 0.8).
pub fn default_state_dir() -> Option<PathBuf> {
    let state_home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state_home.or_else(home).map(|base| base.join("scoria"))
}

/// Whether the user asked programs not to use colour (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Proof that ONNX Runtime's telemetry has been opted out of, which must happen before its library is loaded.
#[derive(Clone, Copy, Debug)]
pub struct TelemetryOptOut(());

impl TelemetryOptOut {
    /// Sets `ORT_DISABLE_TELEMETRY=1`: official builds since 1.30 otherwise write a device id and send events, and their
    /// API's own switch comes too late to prevent it.
    ///
    /// To be called first thing in `main`.
    #[allow(unsafe_code)]
    pub fn for_process() -> TelemetryOptOut {
        // SAFETY: the program has one thread yet, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
        TelemetryOptOut(())
    }

    /// The proof, if the environment holds it already.
    pub fn from_environment() -> Option<TelemetryOptOut> {
        (std::env::var_os("ORT_DISABLE_TELEMETRY")? == "1").then_some(TelemetryOptOut(()))
    }
}
