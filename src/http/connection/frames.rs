//! Where HTTP/2 frames begin and end in what a client sends (RFC 9113, sections 4.1, 6.2 and 6.10).
//!
//! hyper has a time limit for an HTTP/1 head and none for an HTTP/2 one, and does not show how far it has read. Following the
//! frames from outside takes nine bytes of each.

use super::sniff::PREFACE;

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// A position in a client's frames.
#[derive(Debug)]
pub struct Frames {
    /// What is left of the connection preface.
    preface_left: usize,
    /// The current frame's header, as far as it has come.
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    /// What is left of the current frame's payload.
    payload_left: usize,
    /// Whether a header block has begun whose last frame has not.
    is_block_open: bool,
}

impl Frames {
    /// The beginning of a connection.
    pub fn new() -> Frames {
        Frames {
            preface_left: PREFACE.len(),
            header: [0; HEADER_BYTES],
            header_filled: 0,
            payload_left: 0,
            is_block_open: false,
        }
    }

    /// Follows what has come.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        bytes = &bytes[take(&mut self.preface_left, bytes.len())..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                bytes = &bytes[take(&mut self.payload_left, bytes.len())..];
                continue;
            }
            if self.header_filled == HEADER_BYTES {
                self.header_filled = 0;
            }
            let count = bytes.len().min(HEADER_BYTES - self.header_filled);
            self.header[self.header_filled..][..count].copy_from_slice(&bytes[..count]);
            self.header_filled += count;
            bytes = &bytes[count..];
            if self.header_filled == HEADER_BYTES {
                self.enter();
            }
        }
    }

    /// Whether something other than a request's body has begun and has not ended.
    pub fn is_incomplete(&self) -> bool {
        // Between frames the last one's header is still there. At the beginning there is none, and SETTINGS must come.
        let is_mid_header = self.header_filled < HEADER_BYTES;
        let is_mid_payload = self.payload_left > 0 && self.kind() != DATA;
        self.is_block_open || is_mid_header || is_mid_payload
    }

    fn enter(&mut self) {
        self.payload_left =
            usize::from(self.header[0]) << 16 | usize::from(self.header[1]) << 8 | usize::from(self.header[2]);
        // Between the frames of a header block there are no others; hyper ends a connection that has some.
        if matches!(self.kind(), HEADERS | CONTINUATION) {
            self.is_block_open = self.header[4] & END_HEADERS == 0;
        }
    }

    fn kind(&self) -> u8 {
        self.header[3]
    }
}

/// Takes up to `available` off what is `left`, and says how many.
fn take(left: &mut usize, available: usize) -> usize {
    let taken = available.min(*left);
    *left -= taken;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_header_block_is_open_from_its_first_byte_to_its_last() {
        let settings = frame(0x4, 0, &[]);
        let block = [frame(HEADERS, 0, b"abc"), frame(CONTINUATION, 0, b""), frame(CONTINUATION, END_HEADERS, b"de")];
        let bytes = [PREFACE, &settings, &block.concat()].concat();
        let whole_at = [PREFACE.len() + settings.len(), bytes.len()];
        // However the bytes come in pieces, what is incomplete is the same.
        for piece in [1, 2, 7, 100] {
            let (mut frames, mut at) = (Frames::new(), 0);
            for part in bytes.chunks(piece) {
                frames.follow(part);
                at += part.len();
                assert_eq!(frames.is_incomplete(), !whole_at.contains(&at), "{at} of {} by {piece}", bytes.len());
            }
        }
    }

    #[test]
    fn a_body_on_its_way_is_not_incomplete() {
        let mut frames = Frames::new();
        frames.follow(PREFACE);
        assert!(frames.is_incomplete(), "SETTINGS must come");
        frames.follow(&frame(HEADERS, END_HEADERS, b"abc"));
        let data = frame(DATA, 0, &[0; 100]);
        frames.follow(&data[..50]);
        assert!(!frames.is_incomplete());
        frames.follow(&data[50..]);
        frames.follow(&frame(0x6, 0, &[0; 8])[..12]);
        assert!(frames.is_incomplete(), "a PING is not a body");
    }
}
