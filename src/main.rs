//! The `scoria` binary: a thin shell around the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use scoria::config::env;
use scoria::engine::ort::TelemetryOff;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    env::set_before_threads(TelemetryOff::VARIABLE, "1");
    // Some engines panic on odd inputs. That fails one request, which is logged under its id; it is no news for the console.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    scoria::cli::run(std::env::args_os())
}
