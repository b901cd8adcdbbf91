//! What one input may cost: memory, whether or not it was ever touched, and time of the processor.
//!
//! Time is not the clock's, so that a busy machine finds nothing that is not there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with the sum of what is held. The fuzzer's own memory does not go through it.
struct Counting;

fn count(more: usize) {
    let held = HELD.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
    MOST_HELD.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While the bytes are moved, both places are held.
        count(size);
        let moved = unsafe { System.realloc(pointer, layout, size) };
        HELD.fetch_sub(if moved.is_null() { size } else { layout.size() }, Ordering::Relaxed);
        moved
    }
}

/// The most time of the processor that an input may take.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Does `work`, and panics if it held more than `bytes` beyond what was held before, at any moment, or took more than a second
/// of the processor.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    MOST_HELD.store(before, Ordering::Relaxed);
    let started = processor_time();
    let outcome = work();
    let took = processor_time() - started;
    let most = MOST_HELD.load(Ordering::Relaxed).saturating_sub(before);
    assert!(most <= bytes, "{most} bytes were held at once; the bound is {bytes}");
    assert!(took <= TIME_MAX, "it took {took:?} of the processor");
    outcome
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a clock that began at 0 is not negative")
}
