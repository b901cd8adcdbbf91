//! A message that comes in pieces, cut into its fields.
//!
//! Only the outermost fields are told apart here. A field that lies in one piece is lent from there; one that does not is
//! gathered, or handed on piece by piece, as its reader likes.

use std::borrow::Cow;

use super::wire::{Follows, TAG_BYTES_MAX, WireError, tag};

/// A position in a message.
#[derive(Debug)]
pub struct Cutter {
    /// What has come of a tag, or of the current field.
    gathered: Vec<u8>,
    current: Option<Current>,
    /// Bytes of an unknown field to be passed over.
    skipped: usize,
    /// What is left of the message's length, where that is known.
    left: Option<usize>,
}

/// The field that the position is in. Its bytes still belong to [`Cutter::left`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    pub field: u32,
    /// Bytes yet to come.
    pub left: usize,
}

impl Cutter {
    /// The beginning of a message of this length; `None` if the length is known at its end only.
    pub fn new(length: Option<usize>) -> Self {
        Cutter { gathered: Vec::new(), current: None, skipped: 0, left: length }
    }

    /// The field that the position is in, or the next one; `None` if more has to come to tell.
    ///
    /// Fields that are numbers are passed over, since no message that is cut here has any.
    pub fn field(&mut self, chunk: &mut &[u8]) -> Result<Option<Current>, WireError> {
        loop {
            if self.current.is_some() {
                return Ok(self.current);
            }
            let skipped = self.skipped.min(chunk.len());
            self.skipped -= skipped;
            *chunk = &chunk[skipped..];
            let Some((follows, field)) = self.tag(chunk)? else { return Ok(None) };
            match follows {
                Follows::Varint(_) => {}
                Follows::Fixed32 => self.spend(4).map(|()| self.skipped = 4)?,
                Follows::Fixed64 => self.spend(8).map(|()| self.skipped = 8)?,
                Follows::Bytes(length) => {
                    let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                    self.spend(length)?;
                    self.current = Some(Current { field, left: length });
                }
            }
        }
    }

    /// The whole of the current field, once it is there.
    pub fn whole<'c>(&mut self, chunk: &mut &'c [u8]) -> Option<Cow<'c, [u8]>> {
        let part = self.part(chunk);
        if self.current.is_some() {
            // Grows with what comes: a mere promise costs nothing.
            self.gathered.extend_from_slice(part);
            None
        } else if self.gathered.is_empty() {
            Some(Cow::Borrowed(part))
        } else {
            self.gathered.extend_from_slice(part);
            Some(Cow::Owned(std::mem::take(&mut self.gathered)))
        }
    }

    /// The length of the field that the next bytes complete, as far as it had to be gathered.
    pub fn gathered_to_complete(&self, next_bytes: usize) -> usize {
        self.current.filter(|current| current.left <= next_bytes).map_or(0, |_| self.gathered.len())
    }

    /// What is there of the current field.
    pub fn part<'c>(&mut self, chunk: &mut &'c [u8]) -> &'c [u8] {
        let Some(current) = &mut self.current else { return &[] };
        let (part, rest) = chunk.split_at(chunk.len().min(current.left));
        *chunk = rest;
        current.left -= part.len();
        if current.left == 0 {
            self.current = None;
        }
        part
    }

    /// Fails if the message ends inside a field.
    pub fn finish(&self) -> Result<(), WireError> {
        let is_whole = self.current.is_none() && self.gathered.is_empty() && self.skipped == 0;
        is_whole.then_some(()).ok_or(WireError::Truncated)
    }

    fn tag(&mut self, chunk: &mut &[u8]) -> Result<Option<(Follows, u32)>, WireError> {
        let before = self.gathered.len();
        let (tag, bytes) = if before == 0 {
            let Some(found) = tag(chunk)? else {
                // Shorter than a tag can be.
                self.gathered.extend_from_slice(chunk);
                *chunk = &[];
                return Ok(None);
            };
            found
        } else {
            let more = chunk.len().min(TAG_BYTES_MAX);
            self.gathered.extend_from_slice(&chunk[..more]);
            let Some(found) = tag(&self.gathered)? else {
                *chunk = &chunk[more..];
                return Ok(None);
            };
            self.gathered.clear();
            found
        };
        *chunk = &chunk[bytes - before..];
        self.spend(bytes)?;
        Ok(Some((tag.follows, tag.field)))
    }

    /// Takes off what a field claims, before anything is done about it.
    fn spend(&mut self, bytes: usize) -> Result<(), WireError> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes).ok_or(WireError::Truncated)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a message that comes in pieces of this size.
    fn cut(message: &[u8], piece_bytes: usize) -> Result<Vec<(u32, Vec<u8>)>, WireError> {
        let mut cutter = Cutter::new(Some(message.len()));
        let mut fields = Vec::new();
        for mut piece in message.chunks(piece_bytes) {
            while let Some(current) = cutter.field(&mut piece)? {
                let Some(payload) = cutter.whole(&mut piece) else { break };
                fields.push((current.field, payload.into_owned()));
            }
        }
        cutter.finish().map(|()| fields)
    }

    #[test]
    fn fields_are_the_same_however_the_message_is_cut() {
        // An empty field, a number, one with a tag of two bytes, fixed ones, one of 200 bytes.
        let mut message =
            vec![0x0a, 0, 0x10, 0x96, 0x01, 0xa2, 0x06, 2, 7, 8, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6];
        message.extend([7, 8, 0x3a, 0xc8, 0x01]);
        message.extend([9; 200]);
        let expected = vec![(1, vec![]), (100, vec![7, 8]), (7, vec![9; 200])];
        for piece_bytes in [1, 2, 3, 5, 7, 23, 64, 1_000] {
            assert_eq!(cut(&message, piece_bytes), Ok(expected.clone()), "{piece_bytes}");
        }
    }

    #[test]
    fn what_claims_more_than_the_message_has_is_refused_at_once() {
        let message = [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(cut(&message, 100), Err(WireError::Truncated));
        let mut cutter = Cutter::new(Some(1 << 20));
        assert_eq!(cutter.field(&mut &message[..]), Err(WireError::Truncated));
        // Of unknown length, it is only believed as far as it comes.
        let mut cutter = Cutter::new(None);
        let current = cutter.field(&mut &message[..]).unwrap().unwrap();
        assert_eq!(current, Current { field: 7, left: u32::MAX as usize });
        assert_eq!((cutter.gathered.capacity(), cutter.finish()), (0, Err(WireError::Truncated)));
    }

    #[test]
    fn a_message_that_ends_inside_a_field_is_not_whole() {
        for message in [&[0x0a][..], &[0x0a, 2, 1], &[0x1d, 1, 2, 3], &[0x10, 0x80]] {
            assert_eq!(cut(message, 1), Err(WireError::Truncated), "{message:x?}");
        }
    }
}
