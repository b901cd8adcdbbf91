//! A message on its way out, in pieces, with room before it for what carries it.

use bytes::Bytes;

/// The bytes kept free before a message, so that what stands there costs no piece of its own.
pub const ROOM_BYTES: usize = 16;

/// A message: [`ROOM_BYTES`] that are free and its first bytes, and the rest of it.
#[derive(Debug)]
pub struct Message {
    pub head: Vec<u8>,
    pub rest: Vec<Bytes>,
}

impl Message {
    /// The message of generated code.
    pub fn of(message: &impl prost::Message) -> Message {
        let mut head = Vec::with_capacity(ROOM_BYTES + message.encoded_len());
        head.resize(ROOM_BYTES, 0);
        message.encode_raw(&mut head);
        Message { head, rest: Vec::new() }
    }

    /// The message's length.
    pub fn len(&self) -> usize {
        self.head.len() - ROOM_BYTES + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
