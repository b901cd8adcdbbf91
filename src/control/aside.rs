//! Work of the control plane that gives way to threads that serve.
//!
//! Loading a model takes a core for as long as it lasts, and with it the time of requests that would have had that core. What is
//! done aside has a lower priority: it takes what is left over, and a share that lets it end if nothing is.

use std::panic::resume_unwind;
use std::thread;

/// How far below the threads that serve: beside one of them that is always busy, a tenth of a core is left.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Does work that makes no threads which outlive it, and waits for it; a panic goes on here.
///
/// A thread cannot be raised again by whoever is not privileged, and those that it makes begin as low as it is. So this is a
/// thread of its own, and what makes threads that serve is not to be done here.
pub fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = thread::scope(|scope| {
        let aside = scope.spawn(|| {
            give_way();
            work()
        });
        aside.join()
    });
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Lowers this thread, and those that it makes from now on. Elsewhere than on Linux a priority is the whole process's, and stays.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "models are loaded at the priority of threads that serve");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::panic::catch_unwind;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn work_aside_has_a_lower_priority_and_its_caller_keeps_its_own() {
        let before = getpriority_process(None).unwrap();
        let within = aside(|| getpriority_process(None).unwrap());
        assert_eq!(within, (before + NICENESS).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before);
        assert!(catch_unwind(|| aside(|| panic!("on purpose"))).is_err());
    }
}
