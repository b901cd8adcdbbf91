//! File descriptors: every connection is one, and a process has only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is opened later and is no connection: listeners, runtimes, model files, logs.
const OTHERS: usize = 32;

/// How many connections each port may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub scoring: usize,
    pub admin: usize,
}

impl Room {
    /// As much of `asked` as this process has descriptors for, after raising its soft limit to the hard one.
    ///
    /// The admin port's are set aside first, so that it answers when the scoring port has used up its own.
    pub fn for_process(asked: Room) -> Room {
        let limit = raise_limit().unwrap_or(usize::MAX);
        // Elsewhere than on Linux: the customary three and some libraries.
        let open = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
        asked.within(limit.saturating_sub(open + OTHERS))
    }

    fn within(self, free: usize) -> Room {
        let admin = self.admin.min((free / 4).max(1));
        Room { admin, scoring: self.scoring.min(free.saturating_sub(admin).max(1)) }
    }
}

/// The limit of open files, if there is one.
fn raise_limit() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_port_has_its_own_and_scoring_the_rest() {
        let asked = Room { scoring: 10_000, admin: 64 };
        assert_eq!(asked.within(20_000), asked);
        assert_eq!(asked.within(1_000), Room { scoring: 936, admin: 64 });
        assert_eq!(asked.within(40), Room { scoring: 30, admin: 10 });
        assert_eq!(asked.within(0), Room { scoring: 1, admin: 1 });
    }
}
