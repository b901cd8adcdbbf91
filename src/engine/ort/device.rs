//! Where a graph computes: memory there, and copies to it and from it.

use std::cell::Cell;
use std::ffi::c_void;

use ort::memory::Allocator;
use ort::value::DynValue;

use super::buffers::Buffer;
use super::cuda;
use super::view::{Kind, Place, over};
use crate::engine::RunError;

/// Used by one thread at a time, but not always by the same.
#[allow(unsafe_code, reason = "memory that is known by its address only")]
pub(super) trait Device: Send {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Block>, String>;

    /// Begins to copy `bytes` to an address on the device.
    ///
    /// # Safety
    ///
    /// There is room for them, and what `from` points to stays there until [`Device::wait`] has returned.
    unsafe fn copy_to(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String>;

    /// Begins to copy `bytes` from an address on the device.
    ///
    /// # Safety
    ///
    /// They are there, and so is the room that `to` points to, which nobody else uses until [`Device::wait`] has returned.
    unsafe fn copy_from(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String>;

    /// Waits until all copies have been made.
    fn wait(&self) -> Result<(), String>;
}

/// Memory on a device, for as long as this is there.
pub(super) trait Block: Send {
    /// Where the runtime finds it.
    fn address(&self) -> *mut c_void;
}

/// A way of its own to a device.
pub(super) fn open(place: Place) -> Result<Box<dyn Device>, String> {
    Ok(match place {
        Place::Gpu(gpu) => Box::new(cuda::Stream::new(gpu)?),
        Place::Host => Box::new(Host),
    })
}

/// A tensor on a device.
pub(super) struct Placed {
    /// Before its memory, and the only one there is of it.
    pub value: DynValue,
    block: Box<dyn Block>,
    pub kind: Kind,
}

impl Placed {
    /// Of `device`, which is the way to `place`; `allocator` is any of the session's.
    #[allow(unsafe_code, reason = "a value over memory that is lent")]
    pub(super) fn new(
        device: &dyn Device,
        place: Place,
        kind: &Kind,
        allocator: &Allocator,
    ) -> Result<Placed, RunError> {
        let block = device.allocate(kind.bytes()).map_err(RunError::Failed)?;
        // SAFETY: the block is of this kind's length, and stays with the value, which is dropped before it.
        let value = unsafe { over(block.address(), kind, place, allocator) }?;
        Ok(Placed { value, block, kind: kind.clone() })
    }
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    To,
    From,
}

/// Copies each buffer to its tensor, or the other way round. Each two are of one kind.
#[allow(unsafe_code, reason = "memory that is known by its address only")]
pub(super) fn copy(
    device: &dyn Device,
    placed: &[Placed],
    buffers: &mut [Buffer],
    direction: Direction,
) -> Result<(), RunError> {
    let begun = placed.iter().zip(buffers).try_for_each(|(placed, buffer)| {
        let (at, data, bytes) = (placed.block.address(), buffer.data()?, buffer.kind.bytes());
        // SAFETY: tensor and buffer were allocated for one kind, and so are of one length. The buffers are not touched before
        // this function returns, which waits, whatever has happened.
        let begun = unsafe {
            match direction {
                Direction::To => device.copy_to(at, data, bytes),
                Direction::From => device.copy_from(data, at, bytes),
            }
        };
        begun.map_err(RunError::Failed)
    });
    let made = device.wait().map_err(RunError::Failed);
    begun.and(made)
}

/// The processor, for tests of all this where there is no GPU.
struct Host;

/// Words, so that any element is aligned, in cells, since the runtime writes to them.
struct HostBlock(Box<[Cell<u64>]>);

impl Block for HostBlock {
    fn address(&self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

#[allow(unsafe_code, reason = "memory that is known by its address only")]
impl Device for Host {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Block>, String> {
        Ok(Box::new(HostBlock(vec![Cell::new(0); bytes.div_ceil(size_of::<u64>())].into_boxed_slice())))
    }

    unsafe fn copy_to(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String> {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.cast(), bytes) };
        Ok(())
    }

    unsafe fn copy_from(&self, to: *mut c_void, from: *const c_void, bytes: usize) -> Result<(), String> {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.cast(), bytes) };
        Ok(())
    }

    fn wait(&self) -> Result<(), String> {
        Ok(())
    }
}
