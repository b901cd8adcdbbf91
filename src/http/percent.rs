//! Percent-encoded parts of a path (RFC 3986, section 2.1).

/// A segment as it was before it was escaped. What escapes no text of UTF-8 is no name that there is.
pub fn decoded(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment.as_bytes());
    while let [first, behind @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)),
            _ => None,
        };
        (bytes, rest) = match escaped {
            Some((high, low)) => {
                bytes.push((high * 16 + low) as u8);
                (bytes, &rest[3..])
            }
            None => {
                bytes.push(*first);
                (bytes, behind)
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
