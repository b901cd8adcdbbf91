//! The text of a header's value, written piece by piece where it needs no memory of its own.

use std::time::Duration;

use hyper::header::HeaderValue;

/// Up to `N` bytes of visible ASCII. What does not fit is left out: the values are for people and graphs.
pub struct HeaderText<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> HeaderText<N> {
    pub fn new() -> HeaderText<N> {
        HeaderText { bytes: [0; N], filled: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub fn push(&mut self, text: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.filled..self.filled + text.len()) {
            room.copy_from_slice(text);
            self.filled += text.len();
        }
    }

    /// Adds a duration in milliseconds, with three decimals.
    pub fn push_ms(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.push(itoa::Buffer::new().format(us / 1_000).as_bytes());
        let digit = |at: u64| b'0' + (us / at % 10) as u8;
        self.push(&[b'.', digit(100), digit(10), digit(1)]);
    }

    pub fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.bytes[..self.filled]).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        let text = |took| {
            let mut text = HeaderText::<32>::new();
            text.push_ms(took);
            text.value()
        };
        assert_eq!(text(Duration::ZERO), "0.000");
        assert_eq!(text(Duration::from_nanos(7_999)), "0.007");
        assert_eq!(text(Duration::from_micros(1_234_560)), "1234.560");
        assert_eq!(text(Duration::MAX), "18446744073709551.615");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut text = HeaderText::<4>::new();
        assert!(text.is_empty());
        text.push(b"abc");
        text.push(b"de");
        text.push(b"f");
        assert_eq!(text.value(), "abcf");
    }
}
