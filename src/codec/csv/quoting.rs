//! Whether an empty cell stands in quotes: `""` is an empty text, nothing at all is a missing value.
//!
//! The reader of records drops the quotes, so this looks at the bytes once more; only empty cells of text columns come here.

/// The fields of one record as they are written, looked at in order: a row of many empty cells is gone through once.
pub(super) struct RawFields<'b> {
    /// From the beginning of this field on; `None` behind the last.
    rest: Option<&'b [u8]>,
    field: usize,
}

impl<'b> RawFields<'b> {
    /// Those of the record that begins at `start`, or with the line after it.
    pub(super) fn new(body: &'b [u8], start: usize) -> RawFields<'b> {
        let record = body.get(start..).unwrap_or_default();
        let first = record.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(record.len());
        RawFields { rest: Some(&record[first..]), field: 0 }
    }

    /// Whether the field of this number, which is none before the last one asked for, is quoted.
    pub(super) fn is_quoted(&mut self, field: usize) -> bool {
        while self.field < field {
            self.rest = self.rest.and_then(skip_field);
            self.field += 1;
        }
        self.rest.is_some_and(|rest| rest.first() == Some(&b'"'))
    }
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
        let quoted = |start, fields: &[usize]| {
            let mut record = RawFields::new(body, start);
            fields.iter().map(|field| record.is_quoted(*field)).collect::<Vec<_>>()
        };
        assert_eq!(quoted(7, &[0, 1, 2]), [true, true, false]);
        assert_eq!(quoted(7, &[1, 1]), [true, true]);
        // A reader may say that a record begins at the end of the line before.
        assert_eq!(quoted(body.len() - 7, &[0, 1, 2, 3]), [false, true, false, false]);
        assert_eq!(quoted(1_000, &[0, 7]), [false, false]);
    }
}
