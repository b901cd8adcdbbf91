//! PEM files: read whole, sorted by what they hold, and refused in words that say what to do.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::{self, PemObject, SectionKind};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file of certificates is a few kilobytes; a bundle of all public authorities about 200 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a port's files cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: expected a file of at most {FILE_BYTES_MAX} bytes; this is none", path.display())]
    NotAFile { path: PathBuf },
    #[error("{}: this is not valid PEM: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{}: expected {expected} as PEM, found {found}", path.display())]
    Missing { path: PathBuf, expected: &'static str, found: String },
    #[error(
        "{}: the private key is encrypted, and there is nobody to type its passphrase; decrypt it with `openssl pkey -in \
         {} -out decrypted.pem`, and let nobody else read the new file", path.display(), path.display()
    )]
    EncryptedKey { path: PathBuf },
    #[error("{}: expected one private key, found {count}", path.display())]
    ManyKeys { path: PathBuf, count: usize },
    #[error("{}: this key cannot be used; RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 can", path.display())]
    UnusableKey { path: PathBuf },
    #[error("{}: certificate {number} of the file cannot be read: {reason}", path.display())]
    UnusableCertificate { path: PathBuf, number: usize, reason: String },
    #[error(
        "the key in {} belongs to certificate {number} in {}; the server's own certificate must come first, before those that \
         lead to its authority", key.display(), certificate.display()
    )]
    WrongOrder { certificate: PathBuf, key: PathBuf, number: usize },
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error("the operating system gives no random numbers")]
    Random,
}

/// Reads a file whole.
pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(TlsError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::NotAFile { path: path.to_owned() });
    }
    Ok(bytes)
}

/// The certificates in a file; at least one.
pub fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let sections = sections(path, bytes)?;
    let is_certificate = |kind: &SectionKind| *kind == SectionKind::Certificate;
    if !sections.iter().any(|(kind, _)| is_certificate(kind)) {
        return Err(missing(path, "a certificate", bytes, &sections));
    }
    Ok(sections.into_iter().filter(|(kind, _)| is_certificate(kind)).map(|(_, der)| der.into()).collect())
}

/// The private key in a file.
pub fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    // Both the sections of PKCS #8 and the headers of older files say so in this word.
    if contains(bytes, b"ENCRYPTED") {
        return Err(TlsError::EncryptedKey { path: path.to_owned() });
    }
    let sections = sections(path, bytes)?;
    let mut keys: Vec<_> =
        sections.iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(*kind, der.clone())).collect();
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), others) => Err(TlsError::ManyKeys { path: path.to_owned(), count: others + 1 }),
        (None, _) => Err(missing(path, "a private key", bytes, &sections)),
    }
}

fn sections(path: &Path, bytes: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, TlsError> {
    let sections: Result<Vec<_>, _> = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).collect();
    sections.map_err(|error: pem::Error| {
        let reason = match error {
            pem::Error::MissingSectionEnd { .. } => "a BEGIN line has no END line; the file may be cut off".to_owned(),
            pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
            other => other.to_string(),
        };
        TlsError::Damaged { path: path.to_owned(), reason }
    })
}

/// Says what a file has instead: it may be another one than was meant.
fn missing(path: &Path, expected: &'static str, bytes: &[u8], sections: &[(SectionKind, Vec<u8>)]) -> TlsError {
    // A certificate or key in DER is an ASN.1 SEQUENCE.
    const SEQUENCE: &[u8] = &[0x30, 0x82];
    let found = match sections.first() {
        _ if bytes.is_empty() => "an empty file".to_owned(),
        Some((SectionKind::Certificate, _)) => "a certificate; are the two files swapped?".to_owned(),
        Some((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _)) => {
            "a private key; are the two files swapped?".to_owned()
        }
        Some((SectionKind::Csr, _)) => {
            "a certificate request, which an authority has to turn into a certificate".to_owned()
        }
        Some((kind, _)) => format!("{kind:?}"),
        None if bytes.starts_with(SEQUENCE) => {
            "DER; `openssl x509 -inform der` or `openssl pkey` converts it".to_owned()
        }
        None => "no PEM of a known kind".to_owned(),
    };
    TlsError::Missing { path: path.to_owned(), expected, found }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(bytes, word).is_some()
}
