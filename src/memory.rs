//! How much memory this process takes and the machine has, as Linux tells; elsewhere nobody knows.

use std::fs;

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

/// Hands memory that the C library keeps after it was freed back to the kernel. Takes up to a few milliseconds.
///
/// Rust code has an allocator that does so by itself; this is for what C and C++ libraries have used (malloc_trim(3)).
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "a function of the C library has to be declared")]
        unsafe extern "C" {
            // SAFETY: declared as in malloc.h; it may be called by any thread at any time.
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
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
