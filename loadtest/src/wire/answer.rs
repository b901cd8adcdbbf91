//! Reading HTTP/1.1 answers, as pieces of bytes come (RFC 9112): status, length, chunks, whether the connection lives on.
//!
//! Bodies are counted, not kept, but for a beginning where somebody wants to see it.

use super::Malformed;

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body_bytes: u64,
    /// The body's beginning, as far as it was asked for.
    pub beginning: Vec<u8>,
    /// Whether another request may follow on this connection.
    pub reusable: bool,
}

/// Longer heads are refused.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// Reads one answer.
#[derive(Debug, Default)]
pub struct AnswerReader {
    state: State,
    status: u16,
    body_bytes: u64,
    beginning: Vec<u8>,
    keep_bytes: usize,
    reusable: bool,
    /// What has come of a head, or of a chunk's line, that is not complete.
    partial: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Head,
    /// This many more bytes of body.
    Length(u64),
    UntilEnd,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

impl AnswerReader {
    /// A reader that keeps so much of the body's beginning.
    pub fn keeping(keep_bytes: usize) -> AnswerReader {
        AnswerReader { keep_bytes, ..AnswerReader::default() }
    }

    /// Takes what came. The answer, once it is whole.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
        while !bytes.is_empty() && self.state != State::Done {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Length(left) => {
                    let (body, rest) = split(bytes, left);
                    self.body(body);
                    self.state = after_body(left - body.len() as u64, State::Length, State::Done);
                    rest
                }
                State::Chunk(left) => {
                    let (body, rest) = split(bytes, left);
                    self.body(body);
                    self.state = after_body(left - body.len() as u64, State::Chunk, State::ChunkEnd);
                    rest
                }
                State::UntilEnd => {
                    self.body(bytes);
                    &[]
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(bytes)?,
                State::Done => bytes,
            };
        }
        if self.state != State::Done {
            return Ok(None);
        }
        if !bytes.is_empty() {
            return Err(Malformed("bytes after the answer"));
        }
        Ok(Some(self.finish()))
    }

    /// The connection has ended. The answer, if this is how its body was to end.
    pub fn end(&mut self) -> Option<Answer> {
        (self.state == State::UntilEnd).then(|| self.finish())
    }

    fn finish(&mut self) -> Answer {
        Answer {
            status: self.status,
            body_bytes: self.body_bytes,
            beginning: std::mem::take(&mut self.beginning),
            reusable: self.reusable,
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body_bytes += bytes.len() as u64;
        let wanted = self.keep_bytes.saturating_sub(self.beginning.len()).min(bytes.len());
        self.beginning.extend_from_slice(&bytes[..wanted]);
    }

    /// Nearly always a head comes in one piece, and is read where it lies.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        if self.partial.is_empty() {
            if let Some(length) = self.read_head(bytes)? {
                return Ok(&bytes[length..]);
            }
            self.partial.extend_from_slice(bytes);
        } else {
            let before = self.partial.len();
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(bytes);
            if let Some(length) = self.read_head(&whole)? {
                return Ok(&bytes[length - before..]);
            }
            self.partial = whole;
        }
        if self.partial.len() > HEAD_BYTES_MAX { Err(Malformed("a head of more than 64 KiB")) } else { Ok(&[]) }
    }

    /// The head's length, if it is whole.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("the head is no HTTP")),
        };
        self.status = response.code.ok_or(Malformed("no status"))?;
        if (100..200).contains(&self.status) {
            // An interim answer; the real one follows.
            return Ok(Some(length));
        }
        self.reusable = response.version == Some(1);
        let (mut content_length, mut chunked) = (None, false);
        for header in response.headers.iter() {
            let has = |token: &[u8]| {
                header.value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
            };
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(header.value).map_err(|_| Malformed("Content-Length"))?;
                content_length = Some(text.trim().parse().map_err(|_| Malformed("Content-Length"))?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = has(b"chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.reusable = !has(b"close") && (self.reusable || has(b"keep-alive"));
            }
        }
        self.state = match (self.status, chunked, content_length) {
            (204 | 304, _, _) | (_, false, Some(0)) => State::Done,
            (_, true, _) => State::ChunkSize,
            (_, false, Some(length)) => State::Length(length),
            (_, false, None) => {
                self.reusable = false;
                State::UntilEnd
            }
        };
        Ok(Some(length))
    }

    /// A line around chunks: a size, the end of a chunk, or a trailer.
    fn chunk_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(bytes);
            let too_long = self.partial.len() > HEAD_BYTES_MAX;
            return if too_long { Err(Malformed("a chunk's line of more than 64 KiB")) } else { Ok(&[]) };
        };
        self.partial.extend_from_slice(&bytes[..end]);
        let line = self.partial.strip_suffix(b"\r").ok_or(Malformed("a chunk's line without CR"))?;
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(Malformed("a chunk longer than it said")),
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => match chunk_size(line).ok_or(Malformed("a chunk's size"))? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
        };
        self.partial.clear();
        Ok(&bytes[end + 1..])
    }
}

fn split(bytes: &[u8], at_most: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at_most).map_or(bytes.len(), |at_most| at_most.min(bytes.len())))
}

fn after_body(left: u64, more: fn(u64) -> State, done: State) -> State {
    if left == 0 { done } else { more(left) }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_hexadecimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|_| is_hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the answer whole, and then in every two pieces and byte by byte; all have to agree.
    fn read(text: &str) -> Result<Option<Answer>, Malformed> {
        let bytes = text.as_bytes();
        let whole = AnswerReader::keeping(100).take(bytes);
        for cut in 1..bytes.len() {
            let mut reader = AnswerReader::keeping(100);
            let first = reader.take(&bytes[..cut]);
            if let Ok(None) = first {
                assert_eq!(reader.take(&bytes[cut..]), whole, "cut at {cut}");
            }
        }
        let mut reader = AnswerReader::keeping(100);
        let mut last = Ok(None);
        for byte in bytes {
            last = reader.take(&[*byte]);
            if last.is_err() {
                break;
            }
        }
        assert_eq!(last.is_err(), whole.is_err());
        whole
    }

    fn answer(status: u16, body: &str, reusable: bool) -> Result<Option<Answer>, Malformed> {
        Ok(Some(Answer { status, body_bytes: body.len() as u64, beginning: body.into(), reusable }))
    }

    #[test]
    fn lengths_and_chunks() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), answer(200, "hello", true));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), answer(204, "", true));
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), answer(200, "", true));
        let chunks = "4\r\nhell\r\n1;x=y\r\no\r\n0\r\n";
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(&format!("{head}{chunks}\r\n")), answer(200, "hello", true));
        assert_eq!(read(&format!("{head}{chunks}Trailer: 1\r\n\r\n")), answer(200, "hello", true));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
        assert_eq!(read(text), answer(429, "no", false));
    }

    #[test]
    fn whether_the_connection_lives_on() {
        let reusable = |text: &str| read(text).unwrap().unwrap().reusable;
        assert!(!reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n"));
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut reader = AnswerReader::keeping(3);
        assert_eq!(reader.take(b"HTTP/1.1 200 OK\r\n\r\nhel"), Ok(None));
        assert_eq!(reader.take(b"lo"), Ok(None));
        let end = reader.end();
        assert_eq!(end, Some(Answer { status: 200, body_bytes: 5, beginning: b"hel".into(), reusable: false }));
        let mut cut_off = AnswerReader::default();
        assert_eq!(cut_off.take(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), Ok(None));
        assert_eq!(cut_off.end(), None);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for wrong in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nthree",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+4\r\nhell\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhell\r\n0\r\n\r\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
