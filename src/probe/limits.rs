//! What a probe may take: time, memory, no core file, no files written.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::memory;

/// Below this a runtime does not even start; so much address space is reserved and never touched.
const MEMORY_BYTES_MIN: u64 = 4 * 1024 * 1024 * 1024;

/// How far below other processes: beside one that is always busy, a quarter of a core is left. Its time is limited by the clock.
const NICENESS: i32 = 5;

/// The bounds of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By the clock on the wall.
    pub time: Duration,
    /// Of address space; 0 is three quarters of what is available. At least 4 GiB in either case.
    pub memory_bytes: u64,
}

impl Limits {
    /// The bytes of address space that are really set.
    fn address_space(self) -> u64 {
        let asked = match self.memory_bytes {
            0 => memory::available_bytes().map_or(u64::MAX, |available| available / 4 * 3),
            bytes => bytes,
        };
        asked.max(MEMORY_BYTES_MIN)
    }

    /// The processor time that every core together can give in [`Limits::time`], and a little more: the parent's clock comes
    /// first, and this one is for a parent that is gone.
    fn processor_seconds(self, cores: usize) -> u64 {
        self.time.as_secs().saturating_add(1).saturating_mul(cores as u64).saturating_add(1)
    }
}

/// Puts this process under limits, for good. To be called before anything of the model is looked at.
pub fn confine(limits: Limits) -> io::Result<()> {
    memory::volunteer();
    // The server that waits for it has requests to answer. Threads that are made from here on begin as low.
    rustix::process::nice(NICENESS)?;
    // Follows the thread that started us, which waits for us.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Cpu, limits.processor_seconds(cores)),
        (Resource::As, limits.address_space()),
    ] {
        let held = rustix::process::getrlimit(resource);
        // Nobody but root may raise what is set already.
        let most = held.maximum.map_or(most, |held| held.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_limits_are_raised_to_what_a_runtime_needs() {
        let limits = |memory_bytes| Limits { time: Duration::from_secs(10), memory_bytes };
        assert_eq!(limits(1).address_space(), MEMORY_BYTES_MIN);
        assert_eq!(limits(MEMORY_BYTES_MIN + 1).address_space(), MEMORY_BYTES_MIN + 1);
        assert!(limits(0).address_space() >= MEMORY_BYTES_MIN);
        assert_eq!(limits(0).processor_seconds(2), 23);
    }
}
