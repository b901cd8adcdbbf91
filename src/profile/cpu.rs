//! How much time on a processor has been used, as Linux tells; elsewhere nobody knows.

use std::fs;
use std::time::Duration;

/// Of this process and of the calling thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    process: Duration,
    thread: Duration,
}

impl CpuTime {
    pub fn now() -> Option<CpuTime> {
        let read = |path| fs::read_to_string(path).ok().and_then(|text| used(&text));
        Some(CpuTime { process: read("/proc/self/stat")?, thread: read("/proc/thread-self/stat")? })
    }

    /// What the process's other threads have used since `earlier`.
    pub fn of_others_since(self, earlier: CpuTime) -> Duration {
        let process = self.process.saturating_sub(earlier.process);
        process.saturating_sub(self.thread.saturating_sub(earlier.thread))
    }
}

/// The fields 14 and 15, utime and stime, in ticks of which there are 100 a second on every Linux (proc(5); USER_HZ).
fn used(stat: &str) -> Option<Duration> {
    // The second field is the name in parentheses, and may hold spaces and parentheses.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 3 0 0 20 0 1 0 5 1000 10";
        assert_eq!(used(stat), Some(Duration::from_millis(150)));
        assert_eq!(used("7 (a) S"), None);
    }
}
