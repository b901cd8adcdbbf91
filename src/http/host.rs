//! Whom a request believes to be talking to: the `Host` header, or the authority of its URI.

use std::net::IpAddr;

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use super::error::ApiError;
use crate::error::ErrorKind;

/// HTTP/1.1 wants exactly one `Host` (RFC 9112, section 3.2); hyper leaves that to us.
pub fn check_single(parts: &Parts) -> Result<(), ApiError> {
    if parts.version == Version::HTTP_11 && parts.headers.get_all(HOST).iter().count() != 1 {
        return Err(ApiError::new(ErrorKind::BadInput, "bad_host", "an HTTP/1.1 request has exactly one Host header"));
    }
    Ok(())
}

/// The names by which a port may be called.
///
/// A web page can make its own name resolve to this machine, and its reader's browser then lets it read what this port
/// answers (DNS rebinding). Its requests still carry its name. Addresses cannot be rebound, so they need not be listed.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// `names`, besides `localhost` and all addresses.
    pub fn new(names: &[String]) -> AllowedHosts {
        let localhost = std::iter::once("localhost".to_owned());
        AllowedHosts(localhost.chain(names.iter().map(|name| name.to_ascii_lowercase())).collect())
    }

    /// Refuses a request for another host. Both places that can name one must agree with us.
    pub fn check(&self, parts: &Parts) -> Result<(), ApiError> {
        let header = parts.headers.get(HOST).map(|value| value.to_str().ok()?.parse::<Authority>().ok());
        let named = [header, parts.uri.authority().cloned().map(Some)];
        for host in named.into_iter().flatten() {
            if !host.as_ref().is_some_and(|authority| self.allows(authority.host())) {
                let got = host.map_or_else(|| "no host".to_owned(), |authority| authority.host().to_owned());
                let message = "this port is not called by this name; the operator can allow it in `admin_hosts`";
                return Err(ApiError::new(ErrorKind::Misdirected, "unknown_host", message)
                    .with_expected(format!("an address, {}", self.0.join(", ")))
                    .with_got(got));
            }
        }
        Ok(())
    }

    fn allows(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().is_ok() || self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn http_1_1_has_one_host() {
        assert!(check_single(&parts("/", &["a"])).is_ok());
        assert_eq!(check_single(&parts("/", &[])).unwrap_err().code, "bad_host");
        assert_eq!(check_single(&parts("/", &["a", "a"])).unwrap_err().code, "bad_host");
    }

    #[test]
    fn addresses_localhost_and_the_names_of_the_operator_are_ours() {
        let hosts = AllowedHosts::new(&["Scoria.Internal".to_owned()]);
        for ours in ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "[::1]:8081", "10.1.2.3", "scoria.internal:8081"] {
            assert!(hosts.check(&parts("/metrics", &[ours])).is_ok(), "{ours}");
        }
        for other in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "", "a b", "scoria.internal."]
        {
            assert_eq!(hosts.check(&parts("/metrics", &[other])).unwrap_err().code, "unknown_host", "{other}");
        }
        assert!(hosts.check(&parts("http://evil.example/metrics", &["localhost"])).is_err());
        assert!(hosts.check(&parts("http://localhost/metrics", &["evil.example"])).is_err());
        assert!(hosts.check(&parts("http://localhost/metrics", &[])).is_ok(), "as HTTP/2 has it");
    }
}
