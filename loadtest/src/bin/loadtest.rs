//! The `loadtest` binary: a thin shell around the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    scoria_loadtest::cli::run(std::env::args_os())
}
