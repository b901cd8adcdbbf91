//! Lengths of time as people write them: `10s`, `250ms`, `1.5s`, `2m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time in a flag or a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// Longer ones are typing errors.
const LONGEST_S: f64 = 24.0 * 3600.0;

const UNITS: [(&str, f64); 5] = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let refusal = || format!("expected a length of time such as 10s, 250ms or 2m (at most 24 hours), got '{text}'");
        let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(number_ends);
        let number: f64 = number.parse().map_err(|_| refusal())?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refusal)?;
        let seconds = number * seconds;
        if seconds > LONGEST_S {
            return Err(refusal());
        }
        Ok(Span(Duration::from_secs_f64(seconds)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Micros are all that a flag can say, so nothing is lost on the way through a table of settings.
        match self.0.as_micros() {
            micros if micros % 1_000_000 == 0 => write!(f, "{}s", micros / 1_000_000),
            micros if micros % 1_000 == 0 => write!(f, "{}ms", micros / 1_000),
            micros => write!(f, "{micros}us"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_needed_and_known() {
        let parsed = |text: &str| text.parse::<Span>().map(|span| span.0.as_micros());
        assert_eq!(parsed("10s"), Ok(10_000_000));
        assert_eq!(parsed("1.5s"), Ok(1_500_000));
        assert_eq!(parsed("250ms"), Ok(250_000));
        assert_eq!(parsed("2m"), Ok(120_000_000));
        assert_eq!(parsed("75us"), Ok(75));
        for wrong in ["", "10", "s", "-1s", "10 s", "1h", "1e3s", "9999m", "1.2.3s"] {
            assert!(parsed(wrong).unwrap_err().contains("such as 10s"), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["10s", "250ms", "75us", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
