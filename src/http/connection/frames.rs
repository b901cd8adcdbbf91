//! Where HTTP/2 frames begin and end in what a client sends (RFC 9113, sections 4.1, 6.2 and 6.10).
//!
//! hyper has a time limit for an HTTP/1 head and none for an HTTP/2 one, and does not show how far it has read. Nor does it
//! bound frames that carry nothing, such as PING. Following the frames from outside takes nine bytes of each.

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
    /// Frames so far that were neither heads nor bodies.
    control: u64,
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
            control: 0,
        }
    }

    /// Follows what has come. With more than `max_control` frames that are neither heads nor bodies, one of them gets a length
    /// that no frame may have, to which hyper answers by GOAWAY and the end of the connection.
    pub fn follow(&mut self, bytes: &mut [u8], max_control: u64) {
        let mut at = take(&mut self.preface_left, bytes.len());
        while at < bytes.len() {
            if self.payload_left > 0 {
                at += take(&mut self.payload_left, bytes.len() - at);
                continue;
            }
            if self.header_filled == HEADER_BYTES {
                self.header_filled = 0;
            }
            let count = (bytes.len() - at).min(HEADER_BYTES - self.header_filled);
            self.header[self.header_filled..][..count].copy_from_slice(&bytes[at..][..count]);
            self.header_filled += count;
            at += count;
            if self.header_filled == HEADER_BYTES {
                self.enter();
                if self.control > max_control && count == HEADER_BYTES {
                    bytes[at - HEADER_BYTES..][..3].fill(u8::MAX);
                    return;
                }
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
        match self.kind() {
            HEADERS | CONTINUATION => self.is_block_open = self.header[4] & END_HEADERS == 0,
            DATA => {}
            _ => self.control += 1,
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
        let mut bytes = [PREFACE, &settings, &block.concat()].concat();
        let whole_at = [PREFACE.len() + settings.len(), bytes.len()];
        // However the bytes come in pieces, what is incomplete is the same.
        for piece in [1, 2, 7, 100] {
            let (mut frames, mut at) = (Frames::new(), 0);
            for part in bytes.chunks_mut(piece) {
                frames.follow(part, u64::MAX);
                at += part.len();
                assert_eq!(frames.is_incomplete(), !whole_at.contains(&at), "{at} by {piece}");
            }
        }
    }

    #[test]
    fn a_body_on_its_way_is_not_incomplete() {
        let mut frames = Frames::new();
        let mut is_incomplete_after = |bytes: &[u8]| {
            frames.follow(&mut bytes.to_vec(), u64::MAX);
            frames.is_incomplete()
        };
        assert!(is_incomplete_after(PREFACE), "SETTINGS must come");
        let data = frame(DATA, 0, &[0; 100]);
        assert!(!is_incomplete_after(&[frame(HEADERS, END_HEADERS, b"abc"), data[..50].to_vec()].concat()));
        assert!(!is_incomplete_after(&data[50..]));
        assert!(is_incomplete_after(&frame(0x6, 0, &[0; 8])[..12]), "a PING is not a body");
    }

    #[test]
    fn too_many_frames_that_carry_nothing_are_spoilt() {
        let ping = frame(0x6, 0, &[0; 8]);
        let mut bytes = [PREFACE, &frame(DATA, 0, b"abc"), &ping.repeat(3)].concat();
        let sent = bytes.clone();
        let mut frames = Frames::new();
        frames.follow(&mut bytes, 2);
        let third = bytes.len() - ping.len();
        assert_eq!(bytes[..third], sent[..third]);
        assert_eq!(bytes[third..][..3], [0xff; 3]);
    }
}
