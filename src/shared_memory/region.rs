//! A tensor's part of a registered region: read, and written.

use std::io;

use super::registry::{Registered, SharedMemory};
use crate::codec::open_inference::{Region, Regions};
use crate::codec::{DecodeError, DecodeFault, EncodeError};

/// Bytes that are read at a time. They are in the cache still when they are copied on.
const PIECE_BYTES: usize = 256 * 1024;

impl Registered {
    /// Where a part of so many bytes begins in the object; an error in words if it does not lie in the region, or the region
    /// not in the object any more.
    fn locate(&self, region: &Region, bytes: usize) -> Result<u64, String> {
        let (name, offset) = (&region.name, region.offset_bytes);
        let end = (offset as u64).checked_add(bytes as u64);
        if end.is_none_or(|end| end > self.byte_size) {
            let size = self.byte_size;
            return Err(format!(
                "{bytes} bytes from {offset} do not lie in shared memory region '{name}', which has {size}"
            ));
        }
        let start = self.offset + offset as u64;
        let size = self.object.size().map_err(|error| gone(region, &error))?;
        if size < start + bytes as u64 {
            return Err(format!("shared memory region '{name}' has been cut off: its object has {size} bytes left"));
        }
        Ok(start)
    }
}

impl Regions for SharedMemory {
    fn read(&self, region: &Region, take: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        let refuse = |message: String| DecodeError::new(DecodeFault::WrongInputs, message);
        let registered = self.find(&region.name).map_err(|error| refuse(error.to_string()))?;
        let start = registered.locate(region, region.size_bytes).map_err(refuse)?;
        let mut piece = vec![0; region.size_bytes.min(PIECE_BYTES)];
        let mut done = 0;
        while done < region.size_bytes {
            let piece = &mut piece[..(region.size_bytes - done).min(PIECE_BYTES)];
            registered.object.read(piece, start + done as u64).map_err(|error| refuse(gone(region, &error)))?;
            take(piece)?;
            done += piece.len();
        }
        Ok(())
    }

    fn write(&self, region: &Region, output: &str, bytes: &[u8]) -> Result<(), EncodeError> {
        let refuse = |message: String| EncodeError::NotRepresentable(format!("output '{output}': {message}"));
        let registered = self.find(&region.name).map_err(|error| refuse(error.to_string()))?;
        if bytes.len() > region.size_bytes {
            let (name, needed, size) = (&region.name, bytes.len(), region.size_bytes);
            return Err(refuse(format!(
                "it has {needed} bytes, {size} of shared memory region '{name}' are given for it"
            )));
        }
        let start = registered.locate(region, bytes.len()).map_err(refuse)?;
        registered.object.write(bytes, start).map_err(|error| refuse(gone(region, &error)))
    }
}

fn gone(region: &Region, error: &io::Error) -> String {
    let why =
        if error.kind() == io::ErrorKind::UnexpectedEof { "it has been cut off" } else { "it cannot be used any more" };
    format!("shared memory region '{}': {why}", region.name)
}
