//! From text to tokens, each with its place.

use super::{Fault, Place};

/// The longest number, in bytes. Longer ones are refused as such: nothing that a configuration counts has so many digits.
const NUMBER_BYTES_MAX: usize = 64;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A field's name, `true`, a value of an enum, `inf`.
    Word(String),
    /// One quoted string; neighbours are joined by the parser.
    String(Vec<u8>),
    Integer(u64),
    Float(f64),
    /// One of `{ } < > [ ] : , ; -`.
    Sign(u8),
    End,
}

/// Walks over a text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
    place: Place,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        // Editors of one family put a byte order mark before UTF-8.
        let rest = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Scanner { rest, place: Place { line: 1, column: 1 } }
    }

    /// The next token, and where it begins.
    pub fn next(&mut self) -> Result<(Token, Place), Fault> {
        self.skip_space();
        let place = self.place;
        let Some(&first) = self.rest.first() else { return Ok((Token::End, place)) };
        let token = match first {
            b'{' | b'}' | b'<' | b'>' | b'[' | b']' | b':' | b',' | b';' | b'-' => {
                self.advance(1);
                Token::Sign(first)
            }
            b'"' | b'\'' => Token::String(self.string(first, place)?),
            b'0'..=b'9' | b'.' => self.number(place)?,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => Token::Word(self.take_while(is_word).to_owned()),
            _ => return Err(Fault::new(place, format!("unexpected {}", self.shown()))),
        };
        Ok((token, place))
    }

    /// Passes white space and comments.
    fn skip_space(&mut self) {
        loop {
            match self.rest.first() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => self.advance(1),
                Some(b'#') => {
                    let line = self.rest.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len());
                    self.advance(line);
                }
                _ => return,
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        for byte in passed {
            match byte {
                b'\n' => self.place = Place { line: self.place.line.saturating_add(1), column: 1 },
                // The second and further bytes of a character.
                0x80..=0xbf => {}
                _ => self.place.column = self.place.column.saturating_add(1),
            }
        }
        self.rest = rest;
    }

    /// Passes what `belongs`, which takes ASCII only.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.iter().position(|&byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (taken, _) = self.rest.split_at(end);
        self.advance(end);
        std::str::from_utf8(taken).expect("ASCII is UTF-8")
    }

    /// The character here, for a message.
    fn shown(&self) -> String {
        let head = &self.rest[..self.rest.len().min(4)];
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
        };
        match text.chars().next() {
            Some(character) if !character.is_control() => format!("'{character}'"),
            _ => format!("byte 0x{:02x}", self.rest.first().copied().unwrap_or_default()),
        }
    }

    fn number(&mut self, place: Place) -> Result<Token, Fault> {
        let is_hexadecimal = matches!(self.rest, [b'0', b'x' | b'X', ..]);
        let mut previous = 0;
        let mut end = 0;
        for &byte in self.rest {
            let is_exponent_sign = !is_hexadecimal && matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E');
            if !(is_word(byte) || byte == b'.' || is_exponent_sign) {
                break;
            }
            previous = byte;
            end += 1;
        }
        let refuse = |text: &str| Fault::new(place, format!("'{text}' is not a number"));
        if end > NUMBER_BYTES_MAX {
            return Err(Fault::new(place, format!("a number of more than {NUMBER_BYTES_MAX} characters")));
        }
        let text = std::str::from_utf8(&self.rest[..end]).expect("ASCII is UTF-8");
        let token = number(text).ok_or_else(|| refuse(text))?;
        self.advance(end);
        Ok(token)
    }

    /// The string that `quote` begins and ends.
    fn string(&mut self, quote: u8, place: Place) -> Result<Vec<u8>, Fault> {
        self.advance(1);
        let mut bytes = Vec::new();
        loop {
            let is_plain = |byte: &u8| !matches!(*byte, b'\\' | b'\n' | 0) && *byte != quote;
            let plain = self.rest.iter().position(|byte| !is_plain(byte)).unwrap_or(self.rest.len());
            bytes.extend_from_slice(&self.rest[..plain]);
            self.advance(plain);
            match self.rest.first() {
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(0) => return Err(Fault::new(self.place, "a string has a zero byte in it; write it as \\0")),
                Some(b'\n') | None => {
                    return Err(Fault::new(place, "the string has no end: it must close on the line where it begins"));
                }
                Some(_) => {
                    self.advance(1);
                    return Ok(bytes);
                }
            }
        }
    }

    /// Resolves the escape here.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let place = self.place;
        let refuse = || {
            let known = "\\a \\b \\f \\n \\r \\t \\v \\? \\\\ \\' \\\" \\NNN \\xHH \\uHHHH \\UHHHHHHHH";
            Fault::new(place, format!("an escape that the text format does not know; it has {known}"))
        };
        let (value, length) = match self.rest.get(1).copied().ok_or_else(refuse)? {
            b'a' => (0x07, 2),
            b'b' => (0x08, 2),
            b'f' => (0x0c, 2),
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b't' => (b'\t', 2),
            b'v' => (0x0b, 2),
            same @ (b'?' | b'\\' | b'\'' | b'"') => (same, 2),
            b'0'..=b'7' => {
                let (value, digits) = digits(&self.rest[1..], 3, 8);
                (u8::try_from(value).map_err(|_| refuse())?, 1 + digits)
            }
            b'x' | b'X' => {
                let (value, digits) = digits(&self.rest[2..], 2, 16);
                if digits == 0 {
                    return Err(refuse());
                }
                (u8::try_from(value).map_err(|_| refuse())?, 2 + digits)
            }
            long @ (b'u' | b'U') => {
                let wanted = if long == b'u' { 4 } else { 8 };
                let (value, digits) = digits(&self.rest[2..], wanted, 16);
                let character = char::from_u32(value).filter(|_| digits == wanted).ok_or_else(refuse)?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.advance(2 + digits);
                return Ok(());
            }
            _ => return Err(refuse()),
        };
        bytes.push(value);
        self.advance(length);
        Ok(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The value and the number of up to `most` digits at the front.
fn digits(text: &[u8], most: usize, radix: u32) -> (u32, usize) {
    let values = text.iter().take(most).map_while(|&byte| char::from(byte).to_digit(radix));
    values.fold((0, 0), |(value, count), digit| (value * radix + digit, count + 1))
}

/// A number without its sign: decimal, octal after a `0`, hexadecimal after `0x`, or a float, whose suffix `f` says nothing.
fn number(text: &str) -> Option<Token> {
    if let Some(hexadecimal) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64_of(hexadecimal, 16).map(Token::Integer);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let octal = text.strip_prefix('0').filter(|digits| !digits.is_empty());
        return match octal {
            Some(digits) => u64_of(digits, 8).map(Token::Integer),
            // What no integer can hold is a float, as it is for protobuf.
            None => u64_of(text, 10).map(Token::Integer).or_else(|| text.parse().ok().map(Token::Float)),
        };
    }
    let float = text.strip_suffix(['f', 'F']).unwrap_or(text);
    let is_float = float.bytes().any(|byte| byte.is_ascii_digit())
        && float.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    float.parse().ok().filter(|_| is_float).map(Token::Float)
}

fn u64_of(digits: &str, radix: u32) -> Option<u64> {
    // The standard library would take a sign.
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| is_plain)
}
