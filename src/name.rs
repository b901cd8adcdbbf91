//! Names of models, endpoints and deployments: an allow-list, so that a name is always safe in a path, a URL and a label.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name of the form `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a valid name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit")]
pub struct InvalidName {
    text: String,
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Checks a name that somebody gave.
    pub fn parse(text: &str) -> Result<Name, InvalidName> {
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if begins_well && text.len() <= Self::MAX_BYTES && text.bytes().all(is_name_byte) {
            Ok(Name(text.to_owned()))
        } else {
            Err(InvalidName { text: text.chars().take(2 * Self::MAX_BYTES).collect() })
        }
    }

    /// A name made from a file's or folder's: lower case, everything else than the allowed characters as `-`.
    pub fn from_file_stem(stem: &str) -> Result<Name, InvalidName> {
        let lower = stem.to_lowercase();
        let mut name: String =
            lower.chars().map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '-' }).collect();
        name = name.trim_start_matches(['-', '.', '_']).to_owned();
        name.truncate(Self::MAX_BYTES);
        Name::parse(&name).map_err(|_| InvalidName { text: stem.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Name, InvalidName> {
        Name::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allow_list_is_a_name() {
        let long = "a".repeat(64);
        for good in ["a", "0", "ridge", "text-encoder", "a.b_c-d", long.as_str()] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(65);
        let bad =
            ["", "A", "..", ".a", "-a", "a/b", "a\\b", "../x", "%2e", "%252e", "a;b", "a\0b", "а", "a b", &too_long];
        for bad in bad {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_stem_becomes_the_nearest_name() {
        assert_eq!(Name::from_file_stem("My Model (2)").unwrap().as_str(), "my-model--2-");
        assert_eq!(Name::from_file_stem("_résumé").unwrap().as_str(), "r-sum-");
        assert!(Name::from_file_stem("模型").is_err());
    }
}
