//! Which ports speak TLS, and by which files: the rules between the settings that say so.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Auth, Config, ConfigError};

/// The PEM files of a port that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and what leads from it to an authority that clients know.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who may issue the certificates that clients then have to show.
    pub client_ca: Option<PathBuf>,
}

impl Config {
    /// The scoring port's files; `None` when it speaks plain HTTP.
    pub fn scoring_tls(&self) -> Option<TlsFiles> {
        files(&self.tls_cert, &self.tls_key, &None)
    }

    /// The admin port's files: its own, else those of the scoring port wherever others than this machine can listen in, or a
    /// client certificate is asked for.
    pub fn admin_tls(&self) -> Option<TlsFiles> {
        let is_exposed = !self.admin_listen.ip().is_loopback() || self.admin_client_ca.is_some();
        files(&self.admin_tls_cert, &self.admin_tls_key, &self.admin_client_ca)
            .or_else(|| files(&self.tls_cert, &self.tls_key, &self.admin_client_ca).filter(|_| is_exposed))
    }

    /// The addresses where keys would pass over a network that can be listened to.
    pub fn addresses_in_clear(&self) -> Vec<(&'static str, SocketAddr)> {
        let ports =
            [("listen", self.listen, self.scoring_tls()), ("admin_listen", self.admin_listen, self.admin_tls())];
        let is_open = |address: &SocketAddr| self.auth == Auth::Key && !address.ip().is_loopback();
        ports
            .into_iter()
            .filter(|(_, address, tls)| is_open(address) && tls.is_none())
            .map(|(setting, address, _)| (setting, address))
            .collect()
    }

    /// Keys are asked for wherever others than this machine can connect, and files come in pairs.
    pub(super) fn check_exposure(&self) -> Result<(), ConfigError> {
        let exposed = [("listen", self.listen, "score"), ("admin_listen", self.admin_listen, "administer")];
        let exposed = exposed.into_iter().find(|(_, address, _)| !address.ip().is_loopback());
        if let Some((setting, address, right)) = exposed.filter(|_| self.auth == Auth::None && !self.insecure_no_auth) {
            return Err(ConfigError::Conflict(format!(
                "refusing to listen on {address} ({setting}) without keys: set `auth = \"key\"`, listen on 127.0.0.1, or, \
                 if anyone who reaches this port may {right}, set `insecure_no_auth = true`"
            )));
        }
        let pairs = [
            ("tls_cert", &self.tls_cert, "tls_key", &self.tls_key),
            ("admin_tls_cert", &self.admin_tls_cert, "admin_tls_key", &self.admin_tls_key),
        ];
        for (certificate, certificate_path, key, key_path) in pairs {
            let (given, missing) = match (certificate_path, key_path) {
                (Some(_), None) => (certificate, key),
                (None, Some(_)) => (key, certificate),
                _ => continue,
            };
            return Err(ConfigError::Conflict(format!(
                "{given} is set and {missing} is not: TLS needs a certificate and its private key"
            )));
        }
        if self.admin_client_ca.is_some() && self.admin_tls().is_none() {
            return Err(ConfigError::Conflict(
                "admin_client_ca asks clients for certificates, which needs TLS: set admin_tls_cert and admin_tls_key, or \
                 tls_cert and tls_key"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn files(certificate: &Option<PathBuf>, key: &Option<PathBuf>, client_ca: &Option<PathBuf>) -> Option<TlsFiles> {
    Some(TlsFiles { certificate: certificate.clone()?, key: key.clone()?, client_ca: client_ca.clone() })
}
