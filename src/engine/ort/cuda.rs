//! The few functions of NVIDIA's driver that a replayed run takes: memory that stays where it is, and copies to it and from it.
//!
//! The runtime's C API has no copy that another stream's work can overlap. The driver's library is opened when it is first needed, and
//! nothing is linked to it. Its functions are declared as in `cuda.h`
//! (<https://docs.nvidia.com/cuda/cuda-driver-api/index.html>).

#![allow(unsafe_code, reason = "a library of C functions")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use super::device::{self, Device};

const LIBRARY: &str = "libcuda.so.1";

/// Only those who have begun a recording are kept from what would spoil it: `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`.
const CAPTURE_THREAD_LOCAL: c_int = 1;
/// A stream that does not wait for the default one: `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;

type Status = c_int;
type Pointer = u64;
type Handle = *mut c_void;

struct Driver {
    device_get: unsafe extern "C" fn(*mut c_int, c_int) -> Status,
    primary_context_retain: unsafe extern "C" fn(*mut Handle, c_int) -> Status,
    context_set_current: unsafe extern "C" fn(Handle) -> Status,
    stream_create: unsafe extern "C" fn(*mut Handle, c_uint) -> Status,
    stream_destroy: unsafe extern "C" fn(Handle) -> Status,
    stream_synchronize: unsafe extern "C" fn(Handle) -> Status,
    memory_allocate: unsafe extern "C" fn(*mut Pointer, usize) -> Status,
    memory_free: unsafe extern "C" fn(Pointer) -> Status,
    copy_to_device: unsafe extern "C" fn(Pointer, *const c_void, usize, Handle) -> Status,
    copy_to_host: unsafe extern "C" fn(*mut c_void, Pointer, usize, Handle) -> Status,
    exchange_capture_mode: unsafe extern "C" fn(*mut c_int) -> Status,
    error_name: unsafe extern "C" fn(Status, *mut *const c_char) -> Status,
    /// Never closed: the functions are its.
    _library: Library,
}

impl Driver {
    fn get() -> Result<&'static Driver, String> {
        static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
        DRIVER.get_or_init(Driver::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Driver, String> {
        // SAFETY: the library's initializers are NVIDIA's, and run in every process that uses a GPU.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|error| error.to_string())?;
        /// # Safety
        ///
        /// `F` is the function's type.
        unsafe fn function<F: Copy>(library: &Library, name: &CStr) -> Result<F, String> {
            // SAFETY: the caller knows the type.
            let symbol = unsafe { library.get::<F>(name.to_bytes_with_nul()) };
            symbol.map(|symbol| *symbol).map_err(|error| error.to_string())
        }
        // SAFETY: the types are those of `cuda.h`, of the versions that the names end with. The first call is the one that all
        // others want to have been made; it may be made again.
        unsafe {
            let init: unsafe extern "C" fn(c_uint) -> Status = function(&library, c"cuInit")?;
            let driver = Driver {
                device_get: function(&library, c"cuDeviceGet")?,
                primary_context_retain: function(&library, c"cuDevicePrimaryCtxRetain")?,
                context_set_current: function(&library, c"cuCtxSetCurrent")?,
                stream_create: function(&library, c"cuStreamCreate")?,
                stream_destroy: function(&library, c"cuStreamDestroy_v2")?,
                stream_synchronize: function(&library, c"cuStreamSynchronize")?,
                memory_allocate: function(&library, c"cuMemAlloc_v2")?,
                memory_free: function(&library, c"cuMemFree_v2")?,
                copy_to_device: function(&library, c"cuMemcpyHtoDAsync_v2")?,
                copy_to_host: function(&library, c"cuMemcpyDtoHAsync_v2")?,
                exchange_capture_mode: function(&library, c"cuThreadExchangeStreamCaptureMode")?,
                error_name: function(&library, c"cuGetErrorName")?,
                _library: library,
            };
            driver.check("cuInit", init(0))?;
            Ok(driver)
        }
    }

    fn check(&self, what: &str, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let mut name = ptr::null();
        // SAFETY: the function writes the address of a text that lives as long as the library, or nothing.
        let name = unsafe {
            (self.error_name)(status, &mut name);
            if name.is_null() { "an unknown error".into() } else { CStr::from_ptr(name).to_string_lossy() }
        };
        Err(format!("{what}: {name} ({status})"))
    }
}

/// Has this thread go on as usual while another one records a run.
///
/// Otherwise a recording fails as soon as any thread of the process allocates memory on the GPU, and so does that thread
/// (`cudaStreamCaptureModeGlobal`, which is how the runtime records).
pub(super) fn ignore_recordings_of_others() {
    thread_local! {
        static IS_SET: Cell<bool> = const { Cell::new(false) };
    }
    if IS_SET.replace(true) {
        return;
    }
    // Without a driver there are no recordings.
    let Ok(driver) = Driver::get() else { return };
    let mut mode = CAPTURE_THREAD_LOCAL;
    // SAFETY: the function reads the mode, and writes what it was before.
    let status = unsafe { (driver.exchange_capture_mode)(&mut mode) };
    if let Err(reason) = driver.check("cuThreadExchangeStreamCaptureMode", status) {
        tracing::warn!(reason, "runs on this thread and recordings of others may spoil each other");
    }
}

/// A queue of copies to one GPU and from it.
pub(super) struct Stream {
    context: Context,
    handle: Handle,
}

// SAFETY: the driver's handles are the process's, and may be used by any thread that has made their context its own, as every method
// does.
unsafe impl Send for Stream {}

/// A GPU's context that the runtime works in, too; it lives as long as the process.
#[derive(Clone, Copy)]
struct Context {
    driver: &'static Driver,
    handle: Handle,
}

impl Context {
    /// Makes it the thread's own, which whatever is done on the GPU wants.
    fn enter(self) -> Result<&'static Driver, String> {
        // SAFETY: the context is there.
        let status = unsafe { (self.driver.context_set_current)(self.handle) };
        self.driver.check("cuCtxSetCurrent", status).map(|()| self.driver)
    }
}

impl Stream {
    pub(super) fn new(gpu: u32) -> Result<Stream, String> {
        let driver = Driver::get()?;
        let (mut device, mut context, mut handle) = (0, ptr::null_mut(), ptr::null_mut());
        let gpu = c_int::try_from(gpu).map_err(|error| error.to_string())?;
        // SAFETY: each function writes to its first argument.
        unsafe {
            driver.check("cuDeviceGet", (driver.device_get)(&mut device, gpu))?;
            driver.check("cuDevicePrimaryCtxRetain", (driver.primary_context_retain)(&mut context, device))?;
        }
        let context = Context { driver, handle: context };
        context.enter()?;
        // SAFETY: as above.
        driver.check("cuStreamCreate", unsafe { (driver.stream_create)(&mut handle, NON_BLOCKING) })?;
        Ok(Stream { context, handle })
    }
}

impl Device for Stream {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn device::Block>, String> {
        let driver = self.context.enter()?;
        let mut at = 0;
        // SAFETY: the function writes the address of memory that is ours.
        let status = unsafe { (driver.memory_allocate)(&mut at, bytes) };
        driver.check(&format!("{bytes} bytes of the GPU's memory"), status)?;
        Ok(Box::new(Block { context: self.context, at }))
    }

    unsafe fn copy_to(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String> {
        let driver = self.context.enter()?;
        // SAFETY: the caller's promise.
        let status = unsafe { (driver.copy_to_device)(to.addr() as Pointer, from, bytes, self.handle) };
        driver.check("the copy to the GPU", status)
    }

    unsafe fn copy_from(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String> {
        let driver = self.context.enter()?;
        // SAFETY: the caller's promise.
        let status = unsafe { (driver.copy_to_host)(to, from.addr() as Pointer, bytes, self.handle) };
        driver.check("the copy from the GPU", status)
    }

    fn wait(&self) -> Result<(), String> {
        let driver = self.context.enter()?;
        // SAFETY: the stream is ours.
        let status = unsafe { (driver.stream_synchronize)(self.handle) };
        driver.check("a copy to the GPU or from it", status)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(driver) = self.context.enter() {
            // SAFETY: the stream is ours, and not used any more; the driver ends what it still does.
            unsafe { (driver.stream_destroy)(self.handle) };
        }
    }
}

/// Memory on a GPU.
struct Block {
    context: Context,
    at: Pointer,
}

// SAFETY: as for the stream.
unsafe impl Send for Block {}

impl device::Block for Block {
    fn address(&self) -> *mut c_void {
        ptr::without_provenance_mut(usize::try_from(self.at).unwrap_or(0))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Ok(driver) = self.context.enter() {
            // SAFETY: the memory is ours; the driver waits for what still uses it.
            unsafe { (driver.memory_free)(self.at) };
        }
    }
}
