//! What a port proves itself with: a certificate chain and its key, checked against each other.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore};
use webpki::{EndEntityCert, KeyUsage};

use super::pem::{self, TlsError};
use crate::config::TlsFiles;

/// The bytes of a port's files.
pub struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Identity {
    pub key: Arc<CertifiedKey>,
    /// Who may issue clients' certificates, if they have to show one.
    pub client_ca: Option<RootCertStore>,
    pub validity: Validity,
}

/// From when until when a certificate is valid, in seconds since 1970; `None` where it does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Option<u64>,
    pub until: Option<u64>,
}

impl Material {
    pub fn read(files: &TlsFiles) -> Result<Material, TlsError> {
        Ok(Material {
            certificate: pem::read(&files.certificate)?,
            key: pem::read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(pem::read).transpose()?,
        })
    }

    /// The same for the same bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for bytes in [&self.certificate, &self.key].into_iter().chain(&self.client_ca) {
            digest.update(bytes.len().to_le_bytes());
            digest.update(bytes);
        }
        digest.finalize().into()
    }

    /// Reads the chain, the key and the authorities, and checks that they can be used together.
    pub fn identity(&self, files: &TlsFiles) -> Result<Identity, TlsError> {
        let chain = pem::certificates(&files.certificate, &self.certificate)?;
        let key = any_supported_type(&pem::private_key(&files.key, &self.key)?)
            .map_err(|_| TlsError::UnusableKey { path: files.key.clone() })?;
        for (index, certificate) in chain.iter().enumerate() {
            EndEntityCert::try_from(certificate).map_err(|error| TlsError::UnusableCertificate {
                path: files.certificate.clone(),
                number: index + 1,
                reason: error.to_string(),
            })?;
        }
        let belongs = |certificate: &CertificateDer<'static>| {
            let pair = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key));
            matches!(pair.keys_match(), Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)))
        };
        match chain.iter().position(belongs) {
            Some(0) => {}
            Some(index) => {
                let (certificate, key) = (files.certificate.clone(), files.key.clone());
                return Err(TlsError::WrongOrder { certificate, key, number: index + 1 });
            }
            None => {
                return Err(TlsError::KeyMismatch { certificate: files.certificate.clone(), key: files.key.clone() });
            }
        }
        let client_ca = self.client_ca(files)?;
        let validity = validity(&chain[0]);
        Ok(Identity { key: Arc::new(CertifiedKey::new(chain, key)), client_ca, validity })
    }

    fn client_ca(&self, files: &TlsFiles) -> Result<Option<RootCertStore>, TlsError> {
        let (Some(path), Some(bytes)) = (&files.client_ca, &self.client_ca) else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for (index, certificate) in pem::certificates(path, bytes)?.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| TlsError::UnusableCertificate {
                path: path.clone(),
                number: index + 1,
                reason: error.to_string(),
            })?;
        }
        Ok(Some(roots))
    }
}

impl Identity {
    /// Whether clients that connect to this address find it in the certificate.
    pub fn names_address(&self, address: IpAddr) -> bool {
        self.is_valid_for(&ServerName::from(address))
    }

    /// A name in the certificate that clients can connect by: `preferred`, if it is there, else the first.
    pub fn name(&self, preferred: Option<&str>) -> Option<String> {
        let is_there = |name: &&str| ServerName::try_from(*name).is_ok_and(|name| self.is_valid_for(&name));
        if let Some(name) = preferred.filter(is_there) {
            return Some(name.to_owned());
        }
        let certificate = EndEntityCert::try_from(self.key.cert.first()?).ok()?;
        let mut names = certificate.valid_dns_names();
        names.find(|name| !name.contains('*')).map(str::to_owned)
    }

    fn is_valid_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.key.cert.first().and_then(|certificate| EndEntityCert::try_from(certificate).ok());
        certificate.is_some_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
    }
}

/// Asks webpki whether a certificate is valid at the beginning and at the end of time: its refusals say from when, and until
/// when. It looks at the time before it looks for an authority, of which it is given none.
fn validity(certificate: &CertificateDer<'_>) -> Validity {
    let refusal = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    Validity {
        from: match refusal(0) {
            Some(webpki::Error::CertNotValidYet { not_before, .. }) => Some(not_before.as_secs()),
            _ => None,
        },
        until: match refusal(u64::MAX) {
            Some(webpki::Error::CertExpired { not_after, .. }) => Some(not_after.as_secs()),
            _ => None,
        },
    }
}

/// Whether everybody on this machine may read the key. A group that may is usual, and somebody's decision.
pub fn is_key_public(files: &TlsFiles) -> io::Result<bool> {
    Ok(std::fs::metadata(&files.key)?.permissions().mode() & 0o004 != 0)
}
