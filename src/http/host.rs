//! Whom a request believes to be talking to: the `Host` header, or the authority of its URI.

use std::net::IpAddr;

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use super::error::ApiError;
use crate::error::ErrorKind;

/// HTTP/1.1 wants exactly one `Host`, and a valid one (RFC 9112, section 3.2); hyper leaves that to us.
pub fn check_single(parts: &Parts) -> Result<(), ApiError> {
    let refuse = |message| Err(ApiError::new(ErrorKind::BadInput, "bad_host", message));
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version == Version::HTTP_11 => refuse("an HTTP/1.1 request has exactly one Host header"),
        (Some(_), Some(_)) => refuse("a request has no more than one Host header"),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            refuse("the Host header is not a name, or a name and a port")
        }
        _ => Ok(()),
    }
}

/// `uri-host [ ":" port ]`, or nothing, which is right where the URI names no host (RFC 9110, section 7.2).
fn is_host(bytes: &[u8]) -> bool {
    // Nearly all are: no need to parse them.
    let is_plain = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let (name, port) =
        bytes.iter().position(|byte| *byte == b':').map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 1..]));
    if is_plain(name) && !name.is_empty() && port.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let Ok(authority) = Authority::try_from(bytes) else { return bytes.is_empty() };
    let port = authority.as_str().strip_prefix(authority.host());
    // What the parser lets pass besides: `user@`, which leaves another prefix, and ports that are no numbers.
    port.is_some_and(|port| {
        port.is_empty() || port.starts_with(':') && port[1..].bytes().all(|byte| byte.is_ascii_digit())
    })
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
        for good in ["", "a", "a.example:80", "127.0.0.1:1", "[::1]", "[::1]:8080", "a:", "a_b", "a,b"] {
            assert!(check_single(&parts("/", &[good])).is_ok(), "{good}");
        }
        for bad in ["a b", "a/b", "u@a", "a:b", "a:1:2", "[::1", "a#b", "http://a", "a\tb"] {
            assert_eq!(check_single(&parts("/", &[bad])).unwrap_err().code, "bad_host", "{bad}");
        }
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
