//! The `scoria` binary: a thin shell around the library.

use std::ffi::c_int;

use mimalloc::MiMalloc;
use scoria::config::env;
use scoria::engine::ort::TelemetryOff;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[allow(unsafe_code, reason = "the crate declares this function only together with many others")]
unsafe extern "C" {
    // SAFETY: declared as in mimalloc.h, whose code the allocator above brings; any thread may call it at any time.
    safe fn mi_collect(force: bool);
}

#[allow(unsafe_code, reason = "the standard library has no way to it")]
unsafe extern "C" {
    // SAFETY: declared as in POSIX; any thread may end the process at any time.
    safe fn _exit(code: c_int) -> !;
}

fn main() {
    env::set_before_threads(TelemetryOff::VARIABLE, "1");
    scoria::memory::collect_with(|| mi_collect(true));
    // Some engines panic on odd inputs. That fails one request, which is logged under its id; it is no news for the console.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    let code = scoria::cli::run(std::env::args_os(), end);
    end(code)
}

/// At an orderly end, libraries take down what threads that let go of models are still working with. CUDA's crash then.
fn end(code: u8) -> ! {
    _exit(c_int::from(code))
}
