//! Shared memory as requests name it, and the seam behind which it is looked up.
//!
//! Nothing here knows where a region's bytes are. Whoever serves the extension gives a [`Regions`] to the codec; without it
//! every region is refused.

use crate::codec::{DecodeError, DecodeFault, EncodeError};

/// A part of a registered region, as a tensor's parameters name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The name under which it was registered.
    pub name: String,
    /// From the beginning of the region.
    pub offset_bytes: usize,
    pub size_bytes: usize,
}

/// Where registered regions are found.
pub trait Regions: Sync {
    /// Hands the region's bytes to `take`, in order, piece by piece. The pieces are the caller's own copy: a client may write
    /// to its memory at any moment.
    fn read(&self, region: &Region, take: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError>;

    /// Writes an output to the region's beginning. `output` is its name, for the message when the region is too small.
    fn write(&self, region: &Region, output: &str, bytes: &[u8]) -> Result<(), EncodeError>;
}

/// No shared memory.
#[derive(Clone, Copy, Debug)]
pub struct NoRegions;

impl Regions for NoRegions {
    fn read(&self, region: &Region, _: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        let message = off(region);
        Err(DecodeError::new(DecodeFault::WrongInputs, message))
    }

    fn write(&self, region: &Region, _: &str, _: &[u8]) -> Result<(), EncodeError> {
        Err(EncodeError::NotRepresentable(off(region)))
    }
}

fn off(region: &Region) -> String {
    let name = crate::codec::refusal::quoted(&region.name);
    format!("the shared memory region '{name}' is not known: this server takes no shared memory; send the bytes")
}
