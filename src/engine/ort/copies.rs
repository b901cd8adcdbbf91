//! Large inputs, brought to the GPU before the run.
//!
//! Those that the runtime copies itself it copies as a part of the run, and what another run computes meanwhile was seen to wait for
//! that: two workers that ran ResNet-50 in batches of 256 images took 11 ms longer for 154 MB, each time. Copied on a stream of
//! the session's own they take no time from anybody.

use ort::memory::Allocator;
use ort::value::DynValue;

use super::buffers::Buffer;
use super::device::{self, Block, Device, Direction};
use super::recent::Recent;
use super::view::{Kind, Place, over};
use crate::engine::RunError;

/// Below this the wait for a copy costs more than the copy.
const BYTES_MIN: usize = 1024 * 1024;

/// What a session keeps on the GPU for later runs: all sizes of batch, as a rule. To let go of memory has the GPU stop for everybody.
const KEPT_BYTES_MAX: usize = 1024 * 1024 * 1024;

pub(super) struct Copies {
    /// Before the device, whose memory it is.
    kept: Recent<Kind, Box<dyn Block>>,
    device: Box<dyn Device>,
    place: Place,
    bytes_min: usize,
}

/// An input where the graph computes.
pub(super) struct Brought {
    /// Before its memory.
    pub value: DynValue,
    block: Box<dyn Block>,
    kind: Kind,
}

impl Copies {
    pub(super) fn start(place: Place) -> Result<Copies, String> {
        let bytes_min = if place == Place::Host { 1 } else { BYTES_MIN };
        Ok(Copies { kept: Recent::new(KEPT_BYTES_MAX), device: device::open(place)?, place, bytes_min })
    }

    /// The inputs on the device; none if they are better left where they are.
    pub(super) fn bring(&mut self, inputs: &mut [Buffer], allocator: &Allocator) -> Result<Vec<Brought>, RunError> {
        let sizes = || inputs.iter().map(|input| input.kind.bytes());
        if sizes().any(|bytes| bytes == 0) || sizes().sum::<usize>() < self.bytes_min {
            return Ok(Vec::new());
        }
        let blocks = inputs.iter().map(|input| match self.kept.take(&input.kind) {
            Some(block) => Ok(block),
            None => self.device.allocate(input.kind.bytes()).map_err(RunError::Failed),
        });
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        device::copy(&*self.device, &blocks, inputs, Direction::To)?;
        let brought = blocks.into_iter().zip(inputs).map(|(block, input)| {
            let kind = input.kind.clone();
            Ok(Brought { value: self.value(&*block, &kind, allocator)?, block, kind })
        });
        brought.collect()
    }

    /// Keeps their memory for later.
    pub(super) fn give_back(&mut self, brought: Vec<Brought>) {
        for Brought { value, block, kind } in brought {
            drop(value);
            let bytes = kind.bytes();
            self.kept.put(kind, block, bytes);
        }
    }

    #[allow(unsafe_code, reason = "a value over memory that is lent")]
    fn value(&self, block: &dyn Block, kind: &Kind, allocator: &Allocator) -> Result<DynValue, RunError> {
        // SAFETY: the block was allocated for this kind, and stays with the value, which is dropped before it.
        unsafe { over(block.address(), kind, self.place, allocator) }
    }
}
