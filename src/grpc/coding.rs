//! Packed messages: gzip and zlib, both ways, bounded.
//!
//! What unfolds comes out piece by piece, so that whoever takes the pieces can count each before the next is made.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::error::ErrorKind;
use crate::http::pipeline::ApiError;

pub const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What is read and written here, as [`ACCEPT_ENCODING`] says it.
pub const ACCEPTED: &str = "identity,gzip,deflate";

/// An answer of fewer bytes is not worth the time.
const WORTH_BYTES_MIN: usize = 1_024;

/// What comes out of a packed message at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// How messages are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// `deflate`, which is zlib's format here as everywhere.
    Zlib,
}

impl Coding {
    fn parse(name: &[u8]) -> Option<Coding> {
        match name {
            b"gzip" => Some(Coding::Gzip),
            b"deflate" => Some(Coding::Zlib),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zlib => "deflate",
        }
    }

    /// How the client packs those of its messages that are packed; `None` if it packs none.
    pub fn of_request(headers: &HeaderMap) -> Result<Option<Coding>, ApiError> {
        let Some(name) = headers.get(ENCODING).filter(|name| name.as_bytes() != b"identity") else { return Ok(None) };
        Coding::parse(name.as_bytes()).map(Some).ok_or_else(|| {
            let message = format!("messages packed by this grpc-encoding are not read here, only {ACCEPTED}");
            ApiError::new(ErrorKind::MethodNotAllowed, "unsupported_grpc_encoding", message)
                .with_expected(ACCEPTED)
                .with_got(String::from_utf8_lossy(name.as_bytes()))
        })
    }

    /// How answers are packed: as the client packs its requests, if it takes that. Most clients say that they take packed
    /// answers without being asked whether they want them, so that by itself is no reason to spend time on packing.
    pub fn of_answer(headers: &HeaderMap) -> Option<Coding> {
        let coding = Coding::of_request(headers).ok()??;
        let accepted = headers.get_all(ACCEPT_ENCODING).iter();
        let mut names = accepted.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        names.any(|name| name.trim_ascii() == coding.name().as_bytes()).then_some(coding)
    }

    /// The message packed; `None` if that is not worth it.
    pub fn pack(self, parts: &[Bytes]) -> io::Result<Option<Vec<u8>>> {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if bytes < WORTH_BYTES_MIN {
            return Ok(None);
        }
        let room = Vec::with_capacity(bytes / 2);
        let packed = match self {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(room, Compression::fast());
                parts.iter().try_for_each(|part| encoder.write_all(part))?;
                encoder.finish()?
            }
            Coding::Zlib => {
                let mut encoder = ZlibEncoder::new(room, Compression::fast());
                parts.iter().try_for_each(|part| encoder.write_all(part))?;
                encoder.finish()?
            }
        };
        Ok((packed.len() < bytes).then_some(packed))
    }
}

/// A packed message on its way out of its packing.
pub enum Unpacking {
    Gzip(GzDecoder<io::Cursor<Vec<u8>>>),
    Zlib(ZlibDecoder<io::Cursor<Vec<u8>>>),
}

impl Unpacking {
    pub fn new(coding: Coding, packed: Vec<u8>) -> Unpacking {
        let packed = io::Cursor::new(packed);
        match coding {
            Coding::Gzip => Unpacking::Gzip(GzDecoder::new(packed)),
            Coding::Zlib => Unpacking::Zlib(ZlibDecoder::new(packed)),
        }
    }

    /// The next piece; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = match self {
            Unpacking::Gzip(decoder) => decoder.take(PIECE_BYTES as u64).read_to_end(&mut piece),
            Unpacking::Zlib(decoder) => decoder.take(PIECE_BYTES as u64).read_to_end(&mut piece),
        };
        match read {
            Ok(0) if self.has_more() => Err(broken("more follows the end of the packed message")),
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(piece.into())),
            Err(_) => Err(broken("the message is not packed as grpc-encoding says")),
        }
    }

    fn has_more(&self) -> bool {
        let packed = match self {
            Unpacking::Gzip(decoder) => decoder.get_ref(),
            Unpacking::Zlib(decoder) => decoder.get_ref(),
        };
        packed.position() < packed.get_ref().len() as u64
    }
}

fn broken(message: &str) -> ApiError {
    ApiError::new(ErrorKind::BadInput, "malformed_body", message)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn unpacked(coding: Coding, packed: &[u8]) -> Result<Vec<u8>, ApiError> {
        let mut unpacking = Unpacking::new(coding, packed.to_vec());
        let mut whole = Vec::new();
        while let Some(piece) = unpacking.next()? {
            assert!(piece.len() <= PIECE_BYTES);
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    #[test]
    fn what_is_packed_comes_out_again_in_pieces() {
        let message = vec![7; 3 * PIECE_BYTES + 1];
        for coding in [Coding::Gzip, Coding::Zlib] {
            let parts = [Bytes::from(message[..10].to_vec()), Bytes::from(message[10..].to_vec())];
            let packed = coding.pack(&parts).unwrap().expect("it is worth it");
            assert!(packed.len() < message.len() / 10);
            assert_eq!(unpacked(coding, &packed).unwrap(), message);
            assert!(unpacked(coding, &packed[..packed.len() - 1]).is_err(), "cut off");
            assert!(unpacked(coding, &message[..20]).is_err(), "not packed");
        }
        assert_eq!(Coding::Gzip.pack(&[Bytes::from_static(b"short")]).unwrap(), None);
    }

    #[test]
    fn answers_are_packed_for_those_who_pack() {
        let headers = |given: &[(HeaderName, &'static str)]| -> HeaderMap {
            given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        let accepting = (ACCEPT_ENCODING, "identity, deflate, gzip");
        assert_eq!(Coding::of_answer(&headers(std::slice::from_ref(&accepting))), None);
        assert_eq!(Coding::of_answer(&headers(&[(ENCODING, "gzip"), accepting.clone()])), Some(Coding::Gzip));
        assert_eq!(Coding::of_answer(&headers(&[(ENCODING, "deflate"), accepting])), Some(Coding::Zlib));
        assert_eq!(Coding::of_answer(&headers(&[(ENCODING, "gzip")])), None);
        assert_eq!(Coding::of_request(&headers(&[(ENCODING, "identity")])).unwrap(), None);
        let error = Coding::of_request(&headers(&[(ENCODING, "snappy")])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::MethodNotAllowed, "gRPC: UNIMPLEMENTED");
    }
}
