//! One key and its digest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret. Its `Debug` form does not show it, and it has no `Display`.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// The beginning of every key, by which secret scanners can know one.
    const PREFIX: &'static str = "scoria_";

    /// A fresh key from the operating system's random source.
    pub fn generate() -> Result<Key, getrandom::Error> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Key(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The text to be given to the key's owner, and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The SHA-256 digest of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of what a client presented.
    pub fn of(presented: &str) -> KeyDigest {
        KeyDigest(Sha256::digest(presented.as_bytes()).into())
    }

    /// A digest that no key has: nobody can say of what it is one.
    pub fn of_nobody() -> KeyDigest {
        KeyDigest([0; 32])
    }

    /// Whether both are digests of one key; takes the same time whatever the answer.
    pub fn matches(&self, other: &KeyDigest) -> bool {
        // By words instead of bytes: as blind, in an eighth of the steps.
        let words = |digest: &KeyDigest| -> [u64; 4] { bytemuck::cast(digest.0) };
        words(self).ct_eq(&words(other)).into()
    }

    /// The digest in hexadecimal, as it is kept.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`KeyDigest::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<KeyDigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(KeyDigest(bytes))
    }

    /// A short public name for the key, to tell keys apart in lists and logs.
    pub fn id(&self) -> String {
        self.to_hex()[..8].to_owned()
    }
}
