//! What tests of the whole crate share: engines, folders, small models.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "a test binary is its own main, and config/env.rs is the server's")]

pub mod onnx;

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scoria::engine::library::candidates;
use scoria::engine::ort::{OldRuntime, OrtEngine, TelemetryOff, start};

/// ONNX Runtime, from `SCORIA_ORT_LIB` or from where `make` puts it.
///
/// A machine without it fails the tests that need it: a suite that skips half of itself proves nothing.
pub fn ort() -> OrtEngine {
    switch_telemetry_off();
    let library = ort_library();
    let exe = std::env::current_exe().expect("a test has an executable");
    let telemetry = TelemetryOff::from_variable(std::env::var_os(TelemetryOff::VARIABLE).as_deref());
    let candidates = candidates(Some(&library), &exe);
    start(&candidates, OldRuntime::Refuse, telemetry.expect("just switched off")).unwrap_or_else(|error| {
        panic!("these tests need ONNX Runtime ({error}): run `make`, or set SCORIA_ORT_LIB to libonnxruntime.so.1.31.1")
    })
}

/// Where the tests' ONNX Runtime is: a library, or a folder with one.
pub fn ort_library() -> PathBuf {
    let bundled = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".onnxruntime");
    std::env::var_os("SCORIA_ORT_LIB").map_or_else(bundled, PathBuf::from)
}

#[allow(unsafe_code, reason = "changing the environment is unsafe, and the runtime can be told in no other way")]
fn switch_telemetry_off() {
    static ONCE: Once = Once::new();
    // SAFETY: only Rust's own functions read the environment meanwhile, and those take a lock; the first C code to read it is
    // the runtime, which is opened after this.
    ONCE.call_once(|| unsafe { std::env::set_var(TelemetryOff::VARIABLE, "1") });
}

/// A new folder below the system's temporary one, removed with its contents when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("scoria-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder is made");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A server that ends waits for no model that is being loaded, which may write once more.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = std::fs::remove_dir_all(&self.0) {
            assert!(Instant::now() < deadline, "the temporary folder stays: {error}");
            std::thread::yield_now();
        }
    }
}
