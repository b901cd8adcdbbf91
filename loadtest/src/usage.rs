//! What processes and the machine have used, from `/proc` (Linux).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Reading `/proc` failed, or held something else than expected.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("there is no process {0}: expected the process id of the server (see `--server-pid`)")]
    NoProcess(u32),
    #[error("{0} could not be read")]
    Unreadable(String, #[source] std::io::Error),
    #[error("{0} has another form than expected")]
    Unexpected(String),
}

/// `/proc` counts processor time in these, whatever the kernel's own tick is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process and all its descendants, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tree {
    pub processes: u32,
    /// User and system time, with that of children that have been waited for: what a worker used is not lost with it.
    pub processor: Duration,
    pub resident_bytes: u64,
    /// The sum of each process's own peak since it began.
    pub peak_resident_bytes: u64,
}

impl Tree {
    /// Looks at the tree under this process.
    pub fn of(root: u32) -> Result<Tree, UsageError> {
        let mut stats = BTreeMap::new();
        let folder = fs::read_dir("/proc").map_err(|error| UsageError::Unreadable("/proc".to_owned(), error))?;
        for pid in folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
            // A process may end while it is looked at.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            stats.insert(pid, Stat::parse(&text).ok_or_else(|| UsageError::Unexpected(format!("/proc/{pid}/stat")))?);
        }
        if !stats.contains_key(&root) {
            return Err(UsageError::NoProcess(root));
        }
        let mut tree = Tree::default();
        for (pid, stat) in &stats {
            if !descends(*pid, root, &stats) {
                continue;
            }
            tree.processes += 1;
            tree.processor += stat.processor;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            tree.resident_bytes += kibibytes(&status, "VmRSS:") << 10;
            tree.peak_resident_bytes += kibibytes(&status, "VmHWM:") << 10;
        }
        Ok(tree)
    }
}

fn descends(pid: u32, root: u32, stats: &BTreeMap<u32, Stat>) -> bool {
    let mut pid = pid;
    // A parent may have ended and its id be taken by a child since: no more steps than there are processes.
    for _ in 0..=stats.len() {
        match stats.get(&pid) {
            _ if pid == root => return true,
            Some(stat) if stat.parent != 0 => pid = stat.parent,
            _ => return false,
        }
    }
    false
}

/// What `/proc/<pid>/stat` says (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    processor: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The second field is the program's name in parentheses, and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // utime, stime, cutime, cstime: fields 14 to 17, where the state, here the first, is field 3.
        let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Stat { parent: fields.get(1)?.parse().ok()?, processor: TICK * u32::try_from(ticks).ok()? })
    }
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// The time that all processors of the machine were busy since it started.
pub fn machine_busy() -> Result<Duration, UsageError> {
    let path = "/proc/stat";
    let text = fs::read_to_string(path).map_err(|error| UsageError::Unreadable(path.to_owned(), error))?;
    busy(&text).ok_or_else(|| UsageError::Unexpected(path.to_owned()))
}

fn busy(stat: &str) -> Option<Duration> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_ascii_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq; what follows is counted in these, or was not ours to use.
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = fields[..] else { return None };
    u32::try_from(user + nice + system + irq + softirq).ok().map(|ticks| TICK * ticks)
}

/// The processor time of this process.
pub fn own_processor() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// The processor time of a thread of this process; to the nanosecond where the kernel keeps it.
pub fn thread_processor(thread: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The id of the calling thread, for [`thread_processor`].
pub fn own_thread() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// What the figures were taken on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    pub memory_bytes: u64,
}

impl Machine {
    /// This one. What cannot be told is empty.
    pub fn this() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find(|line| line.starts_with("model name"));
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: model
                .and_then(|line| line.split_once(": "))
                .map_or_else(String::new, |(_, name)| name.to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_bytes: kibibytes(&read("/proc/meminfo"), "MemTotal:") << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 2 0 9 10 11";
        let expected = Stat { parent: 7, processor: Duration::from_millis(1_240) };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (a) S"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        assert_eq!(busy("cpu  100 1 10 5000 700 2 3 9 0 0\ncpu0 1"), Some(Duration::from_millis(1_160)));
        assert_eq!(busy("cpu 1 2"), None);
    }

    #[test]
    fn this_process_and_its_child_are_a_tree() {
        let own = std::process::id();
        let alone = Tree::of(own).unwrap();
        // It waits for its standard input to end.
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat is everywhere");
        let together = Tree::of(own).unwrap();
        assert!(together.processes > alone.processes);
        assert!(together.resident_bytes > 0 && together.peak_resident_bytes >= together.resident_bytes);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(matches!(Tree::of(child.id()), Err(UsageError::NoProcess(_))));
    }

    #[test]
    fn a_thread_knows_what_it_used() {
        // The kernel brings it up to date at its ticks, so that it may still be zero.
        assert!(thread_processor(own_thread()).is_some());
        assert_eq!(thread_processor(u32::MAX), None);
        assert!(own_processor() > Duration::ZERO);
    }
}
