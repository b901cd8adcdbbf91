//! Whether an empty cell stands in quotes: `""` is an empty text, nothing at all is a missing value.
//!
//! The reader of records drops the quotes, so this looks at the bytes once more; only empty cells of text columns come here.

/// Whether the field of this number, in the record that begins at `start`, is quoted.
pub(super) fn is_quoted(body: &[u8], start: usize, field: usize) -> bool {
    let record = body.get(start..).unwrap_or_default();
    let first = record.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(record.len());
    let mut rest = &record[first..];
    for _ in 0..field {
        let Some(after) = skip_field(rest) else { return false };
        rest = after;
    }
    rest.first() == Some(&b'"')
}

/// What follows the comma after the first field; `None` if none does.
fn skip_field(record: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    if record.first() == Some(&b'"') {
        at = 1;
        // A quote inside of quotes is written twice.
        loop {
            at += memchr::memchr(b'"', record.get(at..)?)? + 1;
            if record.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
    }
    let end = at + memchr::memchr3(b',', b'\n', b'\r', record.get(at..)?)?;
    (record[end] == b',').then(|| &record[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_found_in_the_raw_record() {
        let body = b"a,b,c\r\n\"x, \"\"y\"\"\n\",\"\",\r\n,\"\",1";
        let second = 7;
        assert!(is_quoted(body, second, 0) && is_quoted(body, second, 1) && !is_quoted(body, second, 2));
        // A reader may say that a record begins at the end of the line before.
        let third = body.len() - 7;
        assert!(!is_quoted(body, third, 0) && is_quoted(body, third, 1) && !is_quoted(body, third, 2));
        assert!(!is_quoted(body, third, 3) && !is_quoted(body, 1_000, 0));
    }
}
