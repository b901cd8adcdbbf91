//! `grpc-timeout`: how long the client waits.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::error::ErrorKind;
use crate::http::pipeline::ApiError;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The most digits, by gRPC's wire format.
const DIGITS_MAX: usize = 8;

/// The time that the client gives a call, if it says one.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    parse(value.as_bytes()).map(Some).ok_or_else(|| {
        ApiError::new(ErrorKind::BadInput, "bad_timeout", "grpc-timeout is not a number of up to 8 digits and a unit")
            .with_expected("for example 250m, for 250 milliseconds")
            .with_got(String::from_utf8_lossy(value.as_bytes()))
    })
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("1S", Duration::from_secs(1)),
            ("250m", Duration::from_millis(250)),
            ("1500u", Duration::from_micros(1_500)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("0m", Duration::ZERO),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", "m", "10", "1 m", "-1m", "123456789m", "1s", "1.5S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
