//! Large inputs, brought to the GPU before the run.
//!
//! Those that the runtime copies itself it copies as a part of the run, and what another run computes meanwhile was seen to wait for
//! that: two workers that ran ResNet-50 in batches of 256 images took 11 ms longer for 154 MB, each time. The inputs of recorded
//! runs (`recorder`), copied on a stream of the session's own, took no time from others; these are copied in the same way.

use ort::memory::Allocator;

use super::buffers::Buffer;
use super::device::{self, Device, Direction, Placed};
use super::recent::Recent;
use super::view::{Kind, Place};
use crate::engine::RunError;

/// Smaller ones are a small part of any run, and are left to the runtime.
const BYTES_MIN: usize = 1024 * 1024;

/// What a session keeps on the GPU for later runs: all sizes of batch, as a rule. The driver lets go of memory when
/// nothing uses the GPU.
const KEPT_BYTES_MAX: usize = 1024 * 1024 * 1024;

pub(super) struct Copies {
    /// Before the device, whose memory it is.
    kept: Recent<Kind, Placed>,
    device: Box<dyn Device>,
    place: Place,
    bytes_min: usize,
}

impl Copies {
    pub(super) fn start(place: Place) -> Result<Copies, String> {
        let bytes_min = if place == Place::Host { 1 } else { BYTES_MIN };
        Ok(Copies { kept: Recent::new(KEPT_BYTES_MAX), device: device::open(place)?, place, bytes_min })
    }

    /// The inputs on the device; none if they are better left where they are.
    pub(super) fn bring(&mut self, inputs: &mut [Buffer], allocator: &Allocator) -> Result<Vec<Placed>, RunError> {
        let sizes = || inputs.iter().map(|input| input.kind.bytes());
        if sizes().any(|bytes| bytes == 0) || sizes().sum::<usize>() < self.bytes_min {
            return Ok(Vec::new());
        }
        let placed = inputs.iter().map(|input| match self.kept.take(&input.kind) {
            Some(placed) => Ok(placed),
            None => Placed::new(&*self.device, self.place, &input.kind, allocator),
        });
        let placed = placed.collect::<Result<Vec<_>, _>>()?;
        device::copy(&*self.device, &placed, inputs, Direction::To)?;
        Ok(placed)
    }

    /// Keeps them for later.
    pub(super) fn give_back(&mut self, brought: Vec<Placed>) {
        for placed in brought {
            let bytes = placed.kind.bytes();
            self.kept.put(placed.kind.clone(), placed, bytes);
        }
    }
}
