//! An authority for one test: it issues certificates, and clients trust it.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, pki_types,
};

use crate::client::Connection;

/// HTTP over TLS over TCP.
pub type TlsConnection = Connection<StreamOwned<ClientConnection, TcpStream>>;

pub const ALL_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>().unwrap()
    }
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server of this name.
    pub fn server(&self, name: &str) -> Pair {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// A certificate for a client.
    pub fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.issue("operator", ExtendedKeyUsagePurpose::ClientAuth, change)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority, and shows a certificate if it is given one.
    pub fn trusting(&self, versions: &[&'static SupportedProtocolVersion], own: Option<&Pair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(pair.chain(), key).unwrap()
            }
        }
    }

    /// An HTTP/1.1 connection to a server that calls itself `name`.
    pub fn connect(&self, address: SocketAddr, name: &str) -> TlsConnection {
        connect(&Arc::new(self.trusting(ALL_VERSIONS, None)), address, name)
    }
}

pub fn connect(config: &Arc<ClientConfig>, address: SocketAddr, name: &str) -> TlsConnection {
    let stream = TcpStream::connect(address).expect("the server accepts");
    // A server that never answers fails its test instead of hanging it.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let session = ClientConnection::new(Arc::clone(config), server_name(name)).unwrap();
    Connection::over(StreamOwned::new(session, stream))
}

pub fn server_name(name: &str) -> pki_types::ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap()
}
