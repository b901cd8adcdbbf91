//! The process environment. The only file that reads it.

#![allow(clippy::disallowed_methods, reason = "this is the file that clippy.toml points everybody else to")]

use std::ffi::OsString;
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

/// A variable as the operating system has it.
pub fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The variables whose names begin with one of `prefixes`, for libraries that are told by many.
pub fn starting_with(prefixes: &[&str]) -> Vec<(String, String)> {
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// Sets a variable of this process, for libraries that are told by nothing else.
///
/// To be called first thing in `main`.
#[allow(unsafe_code)]
pub fn set_before_threads(name: &str, value: &str) {
    // SAFETY: the program has one thread yet, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}
