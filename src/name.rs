//! Names of models, endpoints and deployments: an allow-list, so that a name is always safe in a path, a URL and a label.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name of the form `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a valid name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit; \
         '{nearest}' is one"
)]
pub struct InvalidName {
    text: String,
    nearest: Name,
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
            let shown = text.chars().take(2 * Self::MAX_BYTES).collect();
            Err(InvalidName { text: shown, nearest: Name::from_file_stem(text) })
        }
    }

    /// A name made from a file's or folder's: lower case, everything else than the allowed characters as `-`.
    ///
    /// What would be too long keeps its beginning, and what keeps none of its characters is called `model`; both get a digest of
    /// the whole text, so that two different texts stay two names, the same in every process.
    pub fn from_file_stem(stem: &str) -> Name {
        let lower = stem.to_lowercase();
        let name: String = lower.chars().map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '-' }).collect();
        let name = name.trim_start_matches(['-', '.', '_']);
        match name.len() {
            0 => Name(format!("model-{}", short_digest(stem))),
            1..=Self::MAX_BYTES => Name(name.to_owned()),
            _ => Name(format!("{}-{}", &name[..Self::MAX_BYTES - 1 - DIGEST_DIGITS], short_digest(stem))),
        }
    }

    /// The name that a client means who writes it with the letter case of the model's file or folder.
    pub fn in_any_case(text: &str) -> Option<Name> {
        Name::parse(text).or_else(|_| Name::parse(&text.to_ascii_lowercase())).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Enough to tell the models of one folder apart, and short enough to be read.
const DIGEST_DIGITS: usize = 8;

fn short_digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(DIGEST_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
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
        assert_eq!(Name::from_file_stem("My Model (2)").as_str(), "my-model--2-");
        assert_eq!(Name::from_file_stem("_résumé").as_str(), "r-sum-");
        assert_eq!(Name::from_file_stem(&"A".repeat(64)).as_str(), "a".repeat(64));
    }

    #[test]
    fn a_long_stem_keeps_its_beginning_and_stays_a_name_of_its_own() {
        let long = |end: &str| format!("{}-{end}", "Resnet".repeat(12));
        let name = Name::from_file_stem(&long("fp16"));
        assert_eq!(name.as_str().len(), Name::MAX_BYTES);
        assert!(name.as_str().starts_with("resnetresnet") && Name::parse(name.as_str()).is_ok());
        assert_eq!(name, Name::from_file_stem(&long("fp16")));
        assert_ne!(name, Name::from_file_stem(&long("fp32")));
        assert_ne!(name, Name::from_file_stem(&long("fp16").to_lowercase()), "the digest is of the text as it is");
    }

    #[test]
    fn a_stem_without_any_character_of_a_name_still_has_one() {
        let names = ["模型", "模", "...", ""].map(Name::from_file_stem);
        for (index, name) in names.iter().enumerate() {
            assert!(name.as_str().starts_with("model-") && Name::parse(name.as_str()).is_ok(), "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_meant_in_any_letter_case() {
        let ridge = Name::parse("ridge").ok();
        for text in ["ridge", "Ridge", "RIDGE"] {
            assert_eq!(Name::in_any_case(text), ridge);
        }
        assert_eq!(Name::in_any_case("Ridge 2"), None);
    }
}
