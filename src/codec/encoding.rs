//! What a body that is no text in UTF-8 looks like, for messages.

/// What the bytes are instead of UTF-8 text, and what to send; `None` where nothing can be told.
pub(super) fn look(body: &[u8]) -> Option<String> {
    let recode = |encoding: &str| format!("it is not UTF-8 and looks like {encoding}: encode it as UTF-8");
    Some(match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => recode("UTF-32, by its byte order mark"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => recode("UTF-16, by its byte order mark"),
        [0x1f, 0x8b, ..] => "it looks like gzip: send it uncompressed".to_owned(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it looks like Zstandard: send it uncompressed".to_owned(),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            "it looks like an .npy file: send it with the Content-Type application/x-npy".to_owned()
        }
        [b'P', b'K', 3, 4, ..] => {
            "it looks like an archive: an .npz file is sent with the Content-Type application/x-npz".to_owned()
        }
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => recode("UTF-16, by every other byte being zero"),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => recode("UTF-16, by every other byte being zero"),
        [first, 0, 0, 0, ..] | [0, 0, 0, first, ..] if *first != 0 => {
            recode("UTF-32, by three of four bytes being zero")
        }
        _ => {
            let error = std::str::from_utf8(body).err()?;
            let at = error.valid_up_to();
            let byte = body.get(at)?;
            recode(&format!("Latin-1 or Windows-1252, by byte {byte:#04x} at offset {at}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn other_encodings_are_told_by_their_bytes() {
        let text = "{\"data\": [[1]]}";
        let utf32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for (body, words) in [
            (utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), "UTF-16, by its byte order mark"),
            (utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), "UTF-16, by its byte order mark"),
            (utf16(text, u16::to_le_bytes), "UTF-16, by every other byte"),
            (utf16(text, u16::to_be_bytes), "UTF-16, by every other byte"),
            (utf32, "UTF-32"),
            (b"{\"name\": [\"Ren\xe9\"]}".to_vec(), "Windows-1252, by byte 0xe9 at offset 14"),
            (b"\x1f\x8b\x08".to_vec(), "gzip"),
            (b"\x93NUMPY\x01".to_vec(), "application/x-npy"),
            (b"PK\x03\x04".to_vec(), "application/x-npz"),
        ] {
            let said = look(&body).unwrap_or_default();
            assert!(said.contains(words), "{body:?}: {said}");
        }
        assert_eq!(look("{\"é\": \"\0\"".as_bytes()), None);
        assert_eq!(look(b""), None);
    }
}
