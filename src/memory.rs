//! How much memory this process takes and the machine has, as Linux tells; elsewhere nobody knows.

use std::fs;
use std::sync::OnceLock;

/// The process's resident memory now, and the most it has been.
pub fn resident_bytes() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some((field_bytes(&status, "VmRSS:")?, field_bytes(&status, "VmHWM:")?))
}

/// What could be had without swapping.
pub fn available_bytes() -> Option<u64> {
    of_machine("MemAvailable:")
}

/// All that the machine has.
pub fn total_bytes() -> Option<u64> {
    of_machine("MemTotal:")
}

fn of_machine(field: &str) -> Option<u64> {
    field_bytes(&fs::read_to_string("/proc/meminfo").ok()?, field)
}

/// Asks the kernel to take this process first when memory runs out.
pub fn volunteer() {
    // Best effort: not every system has the file, and without it another process may be chosen.
    drop(fs::write("/proc/self/oom_score_adj", "1000"));
}

/// What has the process's allocator hand back what is free, where the binary has said so.
static COLLECT: OnceLock<fn()> = OnceLock::new();

/// Says how the process's allocator hands free memory back. The binary that chooses the allocator calls this, once.
pub fn collect_with(collect: fn()) {
    // A second call changes nothing: there is one allocator.
    COLLECT.get_or_init(|| collect);
}

/// Hands memory that is kept though it is free back to the kernel. Takes up to a few milliseconds: for after something large,
/// such as loading a model.
///
/// Allocators keep it in case it is needed again, and look at it again only when they are called.
pub fn give_back() {
    if let Some(collect) = COLLECT.get() {
        collect();
    }
    // What C and C++ libraries have used (malloc_trim(3)).
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "a function of the C library has to be declared")]
        unsafe extern "C" {
            // SAFETY: declared as in malloc.h; any thread may call it at any time.
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

/// Takes the program's own code out of this process's memory. What is still used comes back by itself, from the file, a few
/// pages at a time.
///
/// For after everything is loaded: what reads and rearranges models is most of the code, and is not needed again. The kernel
/// would notice only when memory runs short.
pub fn forget_code() {
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "the range is known to the linker, and mappings are the kernel's")]
    {
        use std::ffi::{c_int, c_void};

        unsafe extern "C" {
            // The linker's names for the two ends (ld(1)): before the read-only data, and behind the code.
            static __executable_start: u8;
            static etext: u8;
            fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        }
        const MADV_DONTNEED: c_int = 4;
        /// A multiple of every page size in use; the ends need not be exact.
        const PAGE: usize = 64 * 1024;
        let (first, end) = (&raw const __executable_start, (&raw const etext).addr());
        let start = first.addr().next_multiple_of(PAGE);
        let bytes = (end / PAGE * PAGE).saturating_sub(start);
        // SAFETY: between the two are constants and code only, mapped from the file and never written to, so that what is
        // dropped is read again as it was (madvise(2), MADV_DONTNEED on a private file mapping). A failure changes nothing.
        unsafe { madvise(first.with_addr(start).cast_mut().cast(), bytes, MADV_DONTNEED) };
    }
}

/// A line such as `VmRSS:   1234 kB` (proc(5)).
fn field_bytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_bytes() {
        let text = "Name:\tscoria\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n";
        assert_eq!(field_bytes(text, "VmRSS:"), Some(1 << 20));
        assert_eq!(field_bytes(text, "Threads:"), None);
        assert_eq!(field_bytes(text, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_some_memory_of_what_there_is() {
        let (now, most) = resident_bytes().unwrap();
        assert!(now > 0 && most > 0 && available_bytes().unwrap() > 0);
        assert!(total_bytes().unwrap() >= now);
    }
}
