//! The secret that a receiver shares: where it is, never what it is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::env;

/// Shorter ones could be guessed.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;

/// The beginning of a secret in Standard Webhooks' form; base64 follows.
const PREFIX: &str = "whsec_";

/// Where a secret is kept: `env:NAME` or `file:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    Variable(String),
    File(PathBuf),
}

/// The keys that sign: the first line's and, while a secret is being exchanged, those of further lines. Never shown.
#[derive(Clone)]
pub struct Secret(Vec<Vec<u8>>);

/// Why there is no secret. Names the place, and nothing of what is there.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("'{0}' is no place of a secret: give env:NAME or file:/path, never the secret itself")]
    Place(String),
    #[error("the variable {0} is not set")]
    Unset(String),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "{0} holds no secret: expected whsec_ and the base64 of {BYTES_MIN} to {BYTES_MAX} random bytes, one secret a line; \
         make one with: echo whsec_$(head -c 32 /dev/urandom | base64)"
    )]
    Form(SecretPlace),
}

impl SecretPlace {
    /// Reads the secret.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let text = match self {
            SecretPlace::Variable(name) => env::variable(name).ok_or_else(|| SecretError::Unset(name.clone()))?,
            SecretPlace::File(path) => std::fs::read_to_string(path)
                .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?,
        };
        Secret::parse(&text).ok_or_else(|| SecretError::Form(self.clone()))
    }
}

impl Secret {
    /// One secret a line.
    pub fn parse(text: &str) -> Option<Secret> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines
            .map(|line| {
                let key = STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?;
                (BYTES_MIN..=BYTES_MAX).contains(&key.len()).then_some(key)
            })
            .collect();
        keys.filter(|keys| !keys.is_empty()).map(Secret)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl FromStr for SecretPlace {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<SecretPlace, SecretError> {
        let place = match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Some(SecretPlace::Variable(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Some(SecretPlace::File(PathBuf::from(path))),
            _ => None,
        };
        // Whoever gave a secret instead of its place does not want to find it in a log.
        place.ok_or_else(|| SecretError::Place(if text.contains(PREFIX) { "…".to_owned() } else { text.to_owned() }))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPlace::Variable(name) => write!(f, "env:{name}"),
            SecretPlace::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_referred_to_and_never_shown() {
        let place = |text: &str| text.parse::<SecretPlace>();
        assert_eq!(place("env:HOOK_SECRET").unwrap().to_string(), "env:HOOK_SECRET");
        assert_eq!(place("file:/run/secrets/hook").unwrap(), SecretPlace::File("/run/secrets/hook".into()));
        for text in ["", "HOOK", "env:", "env:A B", "file:", "vault:x"] {
            assert!(place(text).is_err(), "{text}");
        }
        let slip = format!("whsec_{}", STANDARD.encode([7; 32]));
        assert!(!place(&slip).unwrap_err().to_string().contains(&slip[8..]));
        assert_eq!(format!("{:?}", Secret::parse(&slip).unwrap()), "Secret(…)");
    }

    #[test]
    fn secrets_have_a_form_and_a_length() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        assert_eq!(Secret::parse(&format!("{}\n\n{}\n", of(24), of(64))).unwrap().keys().count(), 2);
        for text in ["".to_owned(), "\n".to_owned(), of(23), of(65), "whsec_??".to_owned(), STANDARD.encode([1; 32])] {
            assert!(Secret::parse(&text).is_none(), "{text}");
        }
        let missing = SecretPlace::File("/nowhere/at/all".into()).read().unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /nowhere/at/all"));
    }
}
