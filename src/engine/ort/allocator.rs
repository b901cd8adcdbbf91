//! The memory that ONNX Runtime computes in: this process's own allocator, in place of an arena for each session.
//!
//! An arena never shrinks, belongs to one session, and has one lock for all who run that session. The process's allocator
//! gives back what has been free for a while, serves every model, and its threads do not wait for each other. It is registered
//! once with the environment (`ort/mod.rs`), and every session is built to use it. The `ort` crate has no safe way to do this
//! ([ADR 11](../../../docs/adr/0011-one-session.md)).

#![allow(unsafe_code, reason = "the runtime calls back through C function pointers, for raw memory")]

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::{AsPointer, sys};

use crate::memory;

/// What every block is aligned to, as in the runtime's own allocator: a cache line, and its widest vectors.
const ALIGNMENT: usize = 64;

/// Room in front of a block for its size, which the process's allocator wants to hear again. As long as the alignment, so
/// that the block stays aligned.
const HEADER: usize = ALIGNMENT;

/// The version of the C API since which the runtime reads the functions below, and up to which it reads no others.
const VERSION: u32 = 18;

/// The beginning of the C API's `OrtAllocator`, as far as [`VERSION`] goes.
///
/// Not the crate's own type for it, which leaves out that asking for memory may unwind.
#[repr(C)]
struct Functions {
    version: u32,
    alloc: unsafe extern "system-unwind" fn(*mut Functions, usize) -> *mut c_void,
    free: unsafe extern "system" fn(*mut Functions, *mut c_void),
    info: unsafe extern "system" fn(*const Functions) -> *const sys::OrtMemoryInfo,
    reserve: unsafe extern "system-unwind" fn(*mut Functions, usize) -> *mut c_void,
}

/// What the runtime holds a pointer to, for ever.
#[repr(C)]
struct Allocator {
    /// First, so that the runtime's pointer to it is one to the whole.
    functions: Functions,
    info: MemoryInfo<'static>,
    /// The runtime's own allocator, whose way of refusing is borrowed.
    default: *mut Functions,
    /// What is larger is refused without trying: the kernel promises memory that it does not have.
    largest_bytes: usize,
}

thread_local! {
    /// The last size that was refused to this thread. The runtime's exception does not carry it.
    static REFUSED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The size of the block that this thread was refused since it was last asked, if there was one.
pub(super) fn refused_bytes() -> Option<usize> {
    REFUSED.take()
}

/// Has those sessions of `environment` that are built `with_env_allocators` compute in the process's memory.
///
/// To be called once in a process, as the environment is made.
pub(super) fn register(environment: &Environment) -> ort::Result<()> {
    let mut default = ptr::null_mut();
    // SAFETY: the function writes the address of an allocator that lives as long as the library, which is never closed.
    unsafe { ort::Error::result_from_status((ort::api().GetAllocatorWithDefaultOptions)(&mut default))? };
    let allocator = Allocator {
        functions: Functions { version: VERSION, alloc: allocate, free, info, reserve: allocate },
        info: MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?,
        default: default.cast(),
        largest_bytes: memory::total_bytes().map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
    };
    let allocator: *mut Allocator = Box::leak(Box::new(allocator));
    // SAFETY: the environment is alive; the allocator is never freed or changed, and begins with what the runtime expects.
    // Any thread may call its functions: they read the allocator, and ask the process's allocator, which is made for that.
    unsafe {
        let status = (ort::api().RegisterAllocator)(environment.ptr().cast_mut(), allocator.cast());
        ort::Error::result_from_status(status)
    }
}

/// A block of `bytes`. Never null: the runtime uses what it gets without looking at it.
///
/// # Safety
///
/// `functions` is the beginning of an [`Allocator`].
unsafe extern "system-unwind" fn allocate(functions: *mut Functions, bytes: usize) -> *mut c_void {
    // SAFETY: see above; it is never changed, so that any number of threads may look at it.
    let allocator = unsafe { &*functions.cast::<Allocator>() };
    let block = match layout(bytes) {
        // SAFETY: the size is not 0, for the header.
        Some(layout) if bytes <= allocator.largest_bytes => unsafe { alloc(layout) },
        _ => ptr::null_mut(),
    };
    if block.is_null() {
        REFUSED.set(Some(bytes));
        // SAFETY: as the runtime made it, and with its own pointer. No machine has so much: the function throws, as the
        // runtime's code expects of an allocator, whose C++ exception passes through this frame, which has nothing to drop.
        return unsafe { ((*allocator.default).alloc)(allocator.default, usize::MAX / 2) };
    }
    // SAFETY: the block begins with `HEADER` bytes of ours, aligned for more than a `usize`; what follows is within it.
    unsafe {
        block.cast::<usize>().write(bytes);
        block.add(HEADER).cast()
    }
}

/// # Safety
///
/// `block` is null or from [`allocate`], and not used any more.
unsafe extern "system" fn free(_functions: *mut Functions, block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: the block has a header with the size that it was asked for, by which it had a layout then.
    unsafe {
        let start = block.cast::<u8>().sub(HEADER);
        let bytes = start.cast::<usize>().read();
        dealloc(start, Layout::from_size_align_unchecked(bytes + HEADER, ALIGNMENT));
    }
}

/// # Safety
///
/// `functions` is the beginning of an [`Allocator`].
unsafe extern "system" fn info(functions: *const Functions) -> *const sys::OrtMemoryInfo {
    // SAFETY: see above.
    unsafe { (*functions.cast::<Allocator>()).info.ptr() }
}

/// The layout of a block with its header; `None` where no address space could hold it.
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEADER)?, ALIGNMENT).ok()
}
