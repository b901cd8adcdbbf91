//! TLS of one port: the handshake, and the certificate that can be exchanged while it serves.
//!
//! A connection keeps the configuration that it began with; a reload changes what later ones get. [`watch`] notices that files
//! have changed. What the port may speak is in ADR 8: TLS 1.2 with authenticated ciphers and 1.3, without early data.

mod identity;
mod pem;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::server::TlsStream;

use self::identity::{Identity, Material, is_key_public};
pub use self::pem::TlsError;
pub use self::watch::Watch;
use super::connection::Protocol;
use crate::config::{TlsFiles, TlsVersion};
use crate::telemetry::{HandshakeFailure, TlsMetrics};

/// How much, and for how long, a client that was refused may go on sending, so that it sees why.
const REFUSED_BYTES_MAX: usize = 64 * 1024;
const REFUSED_TIME_MAX: Duration = Duration::from_secs(1);

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What a client is told that speaks HTTP without TLS. It is not worth a request's way through hyper.
const HTTPS_REQUIRED: &str = "\
    HTTP/1.1 400 Bad Request\r\n\
    connection: close\r\n\
    content-type: application/json\r\n\
    content-length: 163\r\n\
    \r\n\
    {\"error\":{\"code\":\"https_required\",\"message\":\"this port speaks HTTPS; use https:// in the address\"},\
    \"message\":\"this port speaks HTTPS; use https:// in the address\"}";

/// How a port speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The port's name in logs and metrics.
    pub port: &'static str,
    pub files: TlsFiles,
    pub min_version: TlsVersion,
    pub handshake_timeout: Duration,
}

/// The TLS of one port.
pub struct Tls {
    settings: TlsSettings,
    current: ArcSwap<Loaded>,
    /// What the files held when they were last read, or why they could not be read.
    seen: Mutex<Result<[u8; 32], String>>,
    metrics: TlsMetrics,
}

/// What connections that begin now get.
struct Loaded {
    identity: Identity,
    config: Arc<ServerConfig>,
}

/// Why the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// They may have changed.
    Look,
    /// Somebody asked.
    Asked,
}

/// What came of reading the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Unchanged,
    Loaded,
    /// They cannot be used: what was loaded before stays in use.
    Kept,
}

/// What a certificate calls an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// By itself.
    Address,
    /// By a name, which the certificate has instead.
    Name(String),
    /// The certificate has neither, so that clients will refuse it.
    Nothing,
}

impl Tls {
    /// Loads a port's files.
    pub fn open(settings: TlsSettings, metrics: TlsMetrics) -> Result<Tls, TlsError> {
        let material = Material::read(&settings.files)?;
        let loaded = Loaded::new(&material, &settings)?;
        let tls =
            Tls { current: ArcSwap::from_pointee(loaded), seen: Mutex::new(Ok(material.digest())), settings, metrics };
        tls.tell_loaded();
        Ok(tls)
    }

    /// Reads the files again. What cannot be used, such as a new certificate beside the old key, changes nothing; it is told
    /// once, and tried again when the files change again.
    pub fn reload(&self, occasion: Occasion) -> Reload {
        let mut seen = self.seen.lock();
        let material = Material::read(&self.settings.files);
        let found = material.as_ref().map(Material::digest).map_err(TlsError::to_string);
        if occasion == Occasion::Look && *seen == found {
            return Reload::Unchanged;
        }
        *seen = found;
        match material.and_then(|material| Loaded::new(&material, &self.settings)) {
            Ok(loaded) => {
                self.current.store(Arc::new(loaded));
                self.metrics.reloaded.inc();
                self.tell_loaded();
                Reload::Loaded
            }
            Err(error) => {
                self.metrics.kept.inc();
                tracing::error!(
                    port = self.settings.port,
                    %error,
                    "the certificate files cannot be used; the certificate loaded before stays in use"
                );
                Reload::Kept
            }
        }
    }

    /// Says what is in use, and what is wrong with it.
    fn tell_loaded(&self) {
        let (port, files) = (self.settings.port, &self.settings.files);
        let certificate = files.certificate.display().to_string();
        let validity = self.current.load().identity.validity;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let days = |from: u64, to: u64| to.saturating_sub(from) / (24 * 60 * 60);
        match (validity.from, validity.until) {
            (_, Some(until)) if until < now => {
                tracing::error!(port, certificate, expired_days_ago = days(until, now), "the certificate has expired");
            }
            (Some(from), _) if from > now => {
                tracing::error!(port, certificate, valid_in_days = days(now, from), "the certificate is not valid yet");
            }
            (_, Some(until)) => {
                tracing::info!(port, certificate, valid_for_days = days(now, until), "certificate loaded");
            }
            (_, None) => tracing::info!(port, certificate, "certificate loaded"),
        }
        self.metrics.expiry.set(validity.until.and_then(|until| i64::try_from(until).ok()).unwrap_or(0));
        if is_key_public(files).unwrap_or(false) {
            let key = files.key.display().to_string();
            tracing::warn!(port, key, "everybody on this machine may read the private key; `chmod o= FILE` ends that");
        }
    }

    /// The handshake with a client that has just connected. `None` when nothing came of it, which is counted.
    pub async fn accept(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Protocol)> {
        let until = Instant::now() + self.settings.handshake_timeout;
        match timeout_at(until, speaks_http(&stream)).await {
            Ok(Ok(Some(false))) => {}
            Ok(Ok(Some(true))) => {
                self.metrics.failed(HandshakeFailure::PlainHttp);
                turn_away(stream, HTTPS_REQUIRED).await;
                return None;
            }
            // It has left without a word, as the probes of load balancers do.
            Ok(Ok(None) | Err(_)) => return None,
            Err(_) => return self.timed_out(),
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        match timeout_at(until, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => {
                // Without ALPN a client means HTTP/1.1 (RFC 9113, section 3.2).
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                Some((stream, if is_http2 { Protocol::Http2 } else { Protocol::Http1 }))
            }
            Ok(Err((error, stream))) => {
                self.metrics.failed(HandshakeFailure::Refused);
                tracing::debug!(port = self.settings.port, %error, "TLS handshake failed");
                turn_away(stream, "").await;
                None
            }
            Err(_) => self.timed_out(),
        }
    }

    fn timed_out<T>(&self) -> Option<T> {
        self.metrics.failed(HandshakeFailure::Timeout);
        None
    }

    /// The certificate's file, which a client can be told to trust.
    pub fn certificate(&self) -> &Path {
        &self.settings.files.certificate
    }

    /// Whether clients have to show a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.settings.files.client_ca.is_some()
    }

    /// What clients have to call an address so that they find it in the certificate.
    pub fn called(&self, address: IpAddr) -> Called {
        let identity = &self.current.load().identity;
        if identity.names_address(address) {
            return Called::Address;
        }
        let preferred = if address.is_loopback() { Some("localhost") } else { None };
        identity.name(preferred).map_or(Called::Nothing, Called::Name)
    }
}

impl Loaded {
    fn new(material: &Material, settings: &TlsSettings) -> Result<Loaded, TlsError> {
        let identity = material.identity(&settings.files)?;
        let provider = Arc::new(ring::default_provider());
        let versions: &[&SupportedProtocolVersion] = match settings.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider has ciphers for both versions");
        let builder = match &identity.client_ca {
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider)
                    .build()
                    .expect("a file of authorities holds at least one"),
            ),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))));
        config.alpn_protocols = [HTTP2, HTTP1].map(<[u8]>::to_vec).into();
        // All of the suites are sound, so whose order wins is a matter of taste; scanners hold that it is the server's.
        config.ignore_client_order = true;
        // Tickets are made anew with each reload: one from before would let a client in by a certificate that may since have
        // lost its authority, as a resumption looks at no certificates.
        config.ticketer = ring::Ticketer::new().map_err(|_| TlsError::Random)?;
        Ok(Loaded { identity, config: Arc::new(config) })
    }
}

/// Whether a client's first byte is one of HTTP rather than TLS; `None` when it has left. Nothing is taken from the stream.
async fn speaks_http(stream: &TcpStream) -> io::Result<Option<bool>> {
    let mut first = [0; 1];
    let seen = stream.peek(&mut first).await?;
    // Methods are spelt in capitals; a handshake begins with 22, and nothing that TLS ever was with a letter.
    Ok((seen > 0).then(|| first[0].is_ascii_uppercase()))
}

/// Ends a connection such that its client sees the last word, ours or that of TLS: closed with unread bytes, the kernel would
/// send a reset, which can overtake it.
async fn turn_away(mut stream: TcpStream, last_word: &str) {
    let ending = async {
        stream.write_all(last_word.as_bytes()).await?;
        stream.shutdown().await?;
        let (mut scratch, mut forgotten_bytes) = ([0; 4096], 0);
        while forgotten_bytes < REFUSED_BYTES_MAX {
            match stream.read(&mut scratch).await? {
                0 => break,
                count => forgotten_bytes += count,
            }
        }
        io::Result::Ok(())
    };
    // Whether it has gone or goes on sending, it has had its answer.
    drop(timeout(REFUSED_TIME_MAX, ending).await);
}
