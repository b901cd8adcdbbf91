//! Request bodies that come compressed: `Content-Encoding` read, and undone piece by piece, where the operator allows it.
//!
//! What is unpacked is handed on in pieces of 16 KiB at most and counted by whoever takes it, so that a body which unpacks to a
//! thousand times its size is refused at the same length as one that comes as it is.

use flate2::{Decompress, FlushDecompress, Status};
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

use super::error::ApiError;
use crate::error::ErrorKind;

/// A content coding that is undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// zlib's format (RFC 1950), as HTTP means it.
    Deflate,
}

impl Coding {
    /// How a body is packed; `None` if it is not. `allowed` is whether any may be.
    pub fn of(headers: &HeaderMap, allowed: bool) -> Result<Option<Coding>, ApiError> {
        let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(None) };
        let name = value.as_bytes().trim_ascii().to_ascii_lowercase();
        let coding = match name.as_slice() {
            b"identity" | b"" => return Ok(None),
            b"gzip" | b"x-gzip" => Some(Coding::Gzip),
            b"deflate" => Some(Coding::Deflate),
            _ => None,
        };
        let several = headers.get_all(CONTENT_ENCODING).iter().nth(1).is_some();
        coding.filter(|_| allowed && !several).map(Some).ok_or_else(|| {
            let (message, expected) = if allowed {
                ("the body is packed in a way that is not undone here", "gzip, deflate or identity")
            } else {
                (
                    "the body is compressed, and this server is not set to unpack any (request_compression)",
                    "no Content-Encoding",
                )
            };
            ApiError::new(ErrorKind::UnsupportedMediaType, "unsupported_content_encoding", message)
                .with_expected(expected)
                .with_got(String::from_utf8_lossy(value.as_bytes()))
        })
    }
}

/// Unpacks one body.
#[derive(Debug)]
pub struct Unpacker {
    inflate: Decompress,
    room: Box<[u8]>,
    has_ended: bool,
}

/// What is handed on at once.
const PIECE_BYTES: usize = 16 * 1024;

/// The window that every packer may use.
const WINDOW_BITS: u8 = 15;

impl Unpacker {
    pub fn new(coding: Coding) -> Unpacker {
        let inflate = match coding {
            Coding::Gzip => Decompress::new_gzip(WINDOW_BITS),
            Coding::Deflate => Decompress::new(true),
        };
        Unpacker { inflate, room: vec![0; PIECE_BYTES].into_boxed_slice(), has_ended: false }
    }

    /// Unpacks the next bytes of the body, and hands on what they become.
    pub fn unpack(
        &mut self,
        mut packed: &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        while !packed.is_empty() {
            if self.has_ended {
                return Err(damaged("more bytes follow its end"));
            }
            let (read, made) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(packed, &mut self.room, FlushDecompress::None);
            let status = status.map_err(|_| damaged("its bytes are not of the coding that it claims"))?;
            let (read, made) = (self.inflate.total_in() - read, self.inflate.total_out() - made);
            packed = &packed[read as usize..];
            if made > 0 {
                take(&self.room[..made as usize])?;
            }
            self.has_ended = status == Status::StreamEnd;
            if read == 0 && made == 0 && !self.has_ended {
                return Err(damaged("it does not go on"));
            }
        }
        self.drain(take)
    }

    /// Hands on what is left inside: the last of the input may make more than one piece.
    fn drain(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), ApiError>) -> Result<(), ApiError> {
        while !self.has_ended {
            let made = self.inflate.total_out();
            let status = self.inflate.decompress(&[], &mut self.room, FlushDecompress::None);
            let made = (self.inflate.total_out() - made) as usize;
            match status {
                // It wants more input.
                Ok(Status::BufError) | Err(_) if made == 0 => break,
                Ok(Status::Ok) if made == 0 => break,
                Ok(status) => self.has_ended = status == Status::StreamEnd,
                Err(_) => return Err(damaged("its bytes are not of the coding that it claims")),
            }
            if made > 0 {
                take(&self.room[..made])?;
            }
        }
        Ok(())
    }

    /// The body has ended; what was packed must have, too. The checksum at its end has been compared.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.has_ended { Ok(()) } else { Err(damaged("it ends too early")) }
    }
}

fn damaged(what: &str) -> ApiError {
    let message = format!("the compressed body is damaged: {what}");
    ApiError::new(ErrorKind::BadInput, "malformed_body", message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use hyper::header::HeaderValue;

    use super::*;

    fn packed(coding: Coding, plain: &[u8]) -> Vec<u8> {
        let (mut gzip, mut zlib) =
            (GzEncoder::new(Vec::new(), Compression::fast()), ZlibEncoder::new(Vec::new(), Compression::fast()));
        match coding {
            Coding::Gzip => gzip.write_all(plain).and_then(|()| gzip.finish()),
            Coding::Deflate => zlib.write_all(plain).and_then(|()| zlib.finish()),
        }
        .unwrap()
    }

    fn unpacked(coding: Coding, packed: &[u8], piece: usize) -> Result<Vec<u8>, String> {
        let mut unpacker = Unpacker::new(coding);
        let mut plain = Vec::new();
        let mut take = |bytes: &[u8]| {
            assert!(bytes.len() <= PIECE_BYTES);
            plain.extend_from_slice(bytes);
            Ok(())
        };
        let mut chunks = packed.chunks(piece);
        chunks.try_for_each(|chunk| unpacker.unpack(chunk, &mut take)).map_err(|error| error.message)?;
        unpacker.finish().map_err(|error| error.message)?;
        Ok(plain)
    }

    #[test]
    fn what_was_packed_is_unpacked_however_it_is_cut() {
        let noise: Vec<u8> = (0..50_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for plain in [&b""[..], b"{}", &vec![0; 300_000], &noise] {
            for coding in [Coding::Gzip, Coding::Deflate] {
                let packed = packed(coding, plain);
                for piece in [1, 7, 4_096, usize::MAX] {
                    assert!(unpacked(coding, &packed, piece).as_deref() == Ok(plain), "{coding:?} {piece}");
                }
            }
        }
    }

    #[test]
    fn damage_of_every_kind_is_seen() {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let whole = packed(coding, &[7; 1_000]);
            for length in 0..whole.len() {
                assert!(unpacked(coding, &whole[..length], usize::MAX).is_err(), "{coding:?} {length}");
            }
            let longer = [whole.as_slice(), b"x"].concat();
            assert!(unpacked(coding, &longer, usize::MAX).unwrap_err().contains("follow its end"));
            let mut wrong = whole.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert!(unpacked(coding, &wrong, usize::MAX).is_err(), "the checksum is compared");
            assert!(unpacked(coding, b"{\"inputs\": []}", usize::MAX).is_err());
        }
    }

    #[test]
    fn whoever_takes_the_pieces_can_stop_them() {
        let bomb = packed(Coding::Gzip, &vec![0; 10 << 20]);
        let (mut taken, mut unpacker) = (0, Unpacker::new(Coding::Gzip));
        let mut take = |bytes: &[u8]| {
            taken += bytes.len();
            if taken > 100_000 {
                Err(super::super::request_body::too_large(100_000, super::super::request_body::Sent::Binary))
            } else {
                Ok(())
            }
        };
        assert_eq!(unpacker.unpack(&bomb, &mut take).unwrap_err().code, "body_too_large");
        assert!(taken <= 100_000 + PIECE_BYTES);
    }

    #[test]
    fn codings_are_told_by_name_and_only_where_allowed() {
        let of = |name: &'static str, allowed| {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(name))]);
            Coding::of(&headers, allowed).map_err(|error| error.code)
        };
        assert_eq!(of("gzip", true), Ok(Some(Coding::Gzip)));
        assert_eq!(of("Deflate", true), Ok(Some(Coding::Deflate)));
        assert_eq!(of("identity", false), Ok(None));
        for (name, allowed) in [("gzip", false), ("br", true), ("gzip, gzip", true)] {
            assert_eq!(of(name, allowed), Err("unsupported_content_encoding"), "{name}");
        }
    }
}
