//! The lines of an HTTP/1 head, which end in CR LF.
//!
//! A recipient may take a lone LF for the end of a line (RFC 9112, section 2.2), and hyper does; one that does not sees other
//! headers than we would. Nobody sends it in good faith any more, so it is refused.

use memchr::memchr_iter;

/// A position in a head.
#[derive(Debug, Default)]
pub struct Lines {
    /// Bytes of the current line so far, and the last of them.
    line_bytes: usize,
    last: u8,
    has_line: bool,
    has_ended: bool,
}

impl Lines {
    /// Follows what has come, and tells where a lone LF is. What comes after one is not looked at.
    pub fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut line_start = 0;
        for at in memchr_iter(b'\n', bytes) {
            if self.has_ended {
                return None;
            }
            let line_bytes = self.line_bytes + at - line_start;
            let before = if at > line_start { bytes[at - 1] } else { self.last };
            if line_bytes == 0 || before != b'\r' {
                self.has_ended = true;
                return Some(at);
            }
            // An empty line ends the head; before its first line it means nothing.
            self.has_ended = line_bytes == 1 && self.has_line;
            self.has_line |= line_bytes > 1;
            (self.line_bytes, line_start) = (0, at + 1);
        }
        self.line_bytes += bytes.len() - line_start;
        self.last = bytes.last().copied().unwrap_or(self.last);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a lone LF is found in bytes that come in pieces of so many.
    fn found(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut lines = Lines::default();
        bytes.chunks(piece).enumerate().find_map(|(index, part)| Some(index * piece + lines.follow(part)?))
    }

    #[test]
    fn a_lone_lf_is_found_however_it_comes() {
        for piece in [1, 2, 3, 7, 100] {
            for (bytes, at) in [
                (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], 14),
                (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 25),
                (b"\nGET / HTTP/1.1\r\n\r\n", 0),
                (b"\r\n\nGET / HTTP/1.1\r\n\r\n", 2),
            ] {
                assert_eq!(found(bytes, piece), Some(at), "{piece}");
            }
        }
    }

    #[test]
    fn whole_lines_and_what_follows_the_head_are_no_matter() {
        for piece in [1, 2, 3, 7, 100] {
            for bytes in
                [&b"\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n{\n}\n\n"[..], b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\n"]
            {
                assert_eq!(found(bytes, piece), None, "{piece}");
            }
        }
    }
}
