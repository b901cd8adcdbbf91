//! Protobuf's wire format (protobuf.dev, "Encoding"), as far as inference requests and answers need it.
//!
//! Requests are read by this rather than by generated code, which would take memory for whatever a message claims to be: two
//! bytes make an empty input, of hundreds of bytes. Groups, which proto3 does not have, are refused, so that nothing nests
//! deeper than the definitions. Pure.

/// Bytes that are not the fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("it ends inside a field")]
    Truncated,
    #[error("it has a number of more than 64 bits")]
    Overlong,
    #[error("it has a field of the unknown wire type {0}")]
    WireType(u8),
    #[error("it has a field of the number 0")]
    FieldZero,
}

/// What stands before a field's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub field: u32,
    pub follows: Follows,
}

/// What a tag is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: the tag's reader has read the number.
    Varint(u64),
    Fixed64,
    Fixed32,
    /// So many bytes.
    Bytes(u64),
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

/// The most bytes of a number, and of a tag with the number that belongs to it.
const VARINT_BYTES_MAX: usize = 10;
pub const TAG_BYTES_MAX: usize = 2 * VARINT_BYTES_MAX;

/// Reads a number from the front, and how many bytes it has; `None` if it does not end there.
pub fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        // The tenth byte has room for the 64th bit only.
        if i == VARINT_BYTES_MAX - 1 && byte > 1 {
            return Err(WireError::Overlong);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Ok(Some((value, i + 1)));
        }
    }
    Ok(None)
}

/// Reads a tag from the front, and how many bytes it has; `None` if it does not end there.
pub fn tag(bytes: &[u8]) -> Result<Option<(Tag, usize)>, WireError> {
    let Some((key, key_bytes)) = varint(bytes)? else { return Ok(None) };
    let field = u32::try_from(key >> 3).map_err(|_| WireError::Overlong)?;
    if field == 0 {
        return Err(WireError::FieldZero);
    }
    let number = |follows: fn(u64) -> Follows| {
        let number = varint(&bytes[key_bytes..])?;
        Ok(number.map(|(value, bytes)| (Tag { field, follows: follows(value) }, key_bytes + bytes)))
    };
    match (key & 7) as u8 {
        0 => number(Follows::Varint),
        1 => Ok(Some((Tag { field, follows: Follows::Fixed64 }, key_bytes))),
        2 => number(Follows::Bytes),
        5 => Ok(Some((Tag { field, follows: Follows::Fixed32 }, key_bytes))),
        other => Err(WireError::WireType(other)),
    }
}

/// The fields of a message that is there as a whole.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields(message)
    }

    fn read(&mut self) -> Result<(u32, Field<'a>), WireError> {
        let (tag, bytes) = tag(self.0)?.ok_or(WireError::Truncated)?;
        self.0 = &self.0[bytes..];
        let field = match tag.follows {
            Follows::Varint(value) => Field::Varint(value),
            Follows::Fixed64 => Field::Fixed64(self.fixed()?),
            Follows::Fixed32 => Field::Fixed32(self.fixed()?),
            Follows::Bytes(length) => {
                let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
        };
        Ok((tag.field, field))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), WireError>;

    /// The next field. After an error there are none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends a number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the tag of a field of so many bytes.
pub fn put_length(out: &mut Vec<u8>, field: u32, length: usize) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, length as u64);
}

/// Appends a field of bytes, unless they are none: that is what the field's absence says.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_length(out, field, bytes.len());
        out.extend_from_slice(bytes);
    }
}

/// How many bytes [`put_varint`] appends.
pub fn varint_bytes(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, 1 << 35, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(varint(&bytes), Ok(Some((value, bytes.len()))));
            assert_eq!(varint_bytes(value), bytes.len());
            assert_eq!(varint(&bytes[..bytes.len() - 1]), Ok(None), "{value}");
        }
        assert_eq!(varint(&[0xff; 10]), Err(WireError::Overlong));
        assert_eq!(varint(&[0x80; 11]), Err(WireError::Overlong));
    }

    #[test]
    fn fields_are_read_to_the_end_or_to_the_first_fault() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let fields: Result<Vec<_>, _> = Fields::of(&message).collect();
        let expected = vec![
            (1, Field::Varint(150)),
            (2, Field::Bytes(b"hi")),
            (3, Field::Fixed32([1, 2, 3, 4])),
            (4, Field::Fixed64([1, 2, 3, 4, 5, 6, 7, 8])),
        ];
        assert_eq!(fields, Ok(expected));
        for (bytes, error) in [
            (&[0x12, 5, 1][..], WireError::Truncated),
            (&[0x12], WireError::Truncated),
            (&[0x1d, 1, 2, 3], WireError::Truncated),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], WireError::Truncated),
            (&[0x0b], WireError::WireType(3)),
            (&[0x0e], WireError::WireType(6)),
            (&[0x00, 0x00], WireError::FieldZero),
        ] {
            assert_eq!(Fields::of(bytes).collect::<Vec<_>>(), [Err(error)], "{bytes:x?}");
        }
    }
}
