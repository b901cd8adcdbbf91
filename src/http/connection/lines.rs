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
    /// Follows what has come. A lone LF becomes a NUL, which hyper refuses with 400 wherever it stands in a head.
    pub fn follow(&mut self, bytes: &mut [u8]) {
        let mut line_start = 0;
        let mut lone = None;
        for at in memchr_iter(b'\n', bytes) {
            if self.has_ended {
                return;
            }
            let line_bytes = self.line_bytes + at - line_start;
            let before = if at > line_start { bytes[at - 1] } else { self.last };
            if line_bytes == 0 || before != b'\r' {
                lone = Some(at);
                break;
            }
            // An empty line ends the head; before its first line it means nothing.
            self.has_ended = line_bytes == 1 && self.has_line;
            self.has_line |= line_bytes > 1;
            (self.line_bytes, line_start) = (0, at + 1);
        }
        if let Some(at) = lone {
            bytes[at] = 0;
            self.has_ended = true;
        }
        self.line_bytes += bytes.len() - line_start;
        self.last = bytes.last().copied().unwrap_or(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a head that comes in pieces of so many bytes.
    fn followed(head: &[u8], piece: usize) -> Vec<u8> {
        let mut lines = Lines::default();
        let mut bytes = head.to_vec();
        bytes.chunks_mut(piece).for_each(|piece| lines.follow(piece));
        bytes
    }

    #[test]
    fn a_lone_lf_is_spoilt_however_it_comes() {
        for piece in [1, 2, 3, 7, 100] {
            for (head, spoilt) in [
                (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], &b"GET / HTTP/1.1\0Host: a\r\n\r\n"[..]),
                (b"GET / HTTP/1.1\r\nHost: a\r\n\n", b"GET / HTTP/1.1\r\nHost: a\r\n\0"),
                (b"\nGET / HTTP/1.1\r\n\r\n", b"\0GET / HTTP/1.1\r\n\r\n"),
                (b"\r\n\nGET / HTTP/1.1\r\n\r\n", b"\r\n\0GET / HTTP/1.1\r\n\r\n"),
            ] {
                assert_eq!(followed(head, piece), spoilt, "{piece}");
            }
        }
    }

    #[test]
    fn whole_lines_and_what_follows_the_head_are_left_alone() {
        for piece in [1, 2, 3, 7, 100] {
            for bytes in
                [&b"\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n{\n}\n\n"[..], b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\n"]
            {
                assert_eq!(followed(bytes, piece), bytes, "{piece}");
            }
        }
    }
}
