//! Where a port listens: an address and a port, or one of the short forms that stand for an address on every machine.
//!
//! Nothing is looked up: a host's name may lead anywhere by the time that the server starts, and whether keys are needed depends on
//! where it leads. `localhost` is the exception, since it can only mean this machine (RFC 6761, section 6.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use schemars::{Schema, SchemaGenerator, json_schema};

use super::value::{Form, SettingValue};

impl SettingValue for SocketAddr {
    const KIND: &'static str = "an address such as 127.0.0.1:8080, localhost:8080, or :8080 for every interface";
    const FORM: Form = Form::Text;

    fn from_text(text: &str) -> Result<Self, String> {
        listen(text.trim(), &can_bind)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }

    /// Which numbers are an address is left to the reader.
    fn schema(_: &mut SchemaGenerator) -> Schema {
        let host = r"([0-9.]+|\[[0-9A-Fa-f:.%]+\]|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|\*)?";
        json_schema!({ "type": "string", "pattern": format!("^{host}:[0-9]{{1,5}}$") })
    }
}

/// Reads an address; `has` says whether this machine has one.
fn listen(text: &str, has: &dyn Fn(IpAddr) -> bool) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let expected = |what: String| format!("expected {}; {what}", SocketAddr::KIND);
    if text.contains("//") {
        return Err(expected("leave out the scheme and all that follows the port".to_owned()));
    }
    if text.parse::<u16>().is_ok() {
        return Err(expected(format!("write 127.0.0.1:{text} for this machine alone, :{text} for every interface")));
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Err(expected(format!("name the port too, as in {}", SocketAddr::new(ip, 8080))));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(expected("name the port too, as in localhost:8080".to_owned()));
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|_| is_number).ok_or_else(|| {
        let shown: String = port.chars().take(20).collect();
        expected(format!("'{shown}' is no port: those go from 0 to 65535"))
    })?;
    let ip = match host.to_ascii_lowercase().as_str() {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" if !has(Ipv4Addr::LOCALHOST.into()) && has(Ipv6Addr::LOCALHOST.into()) => {
            Ipv6Addr::LOCALHOST.into()
        }
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host if host.parse::<Ipv6Addr>().is_ok() => {
            return Err(expected(format!("brackets are around an IPv6 address: [{host}]:{port}")));
        }
        host => {
            let host: String = host.chars().take(100).collect();
            return Err(expected(format!(
                "host names are not looked up: write the address of '{host}' (`getent hosts {host}` tells it), or :{port} for \
                 every interface"
            )));
        }
    };
    Ok(SocketAddr::new(ip, port))
}

/// Whether this machine has an address, which a socket that nothing is sent to finds out without waiting.
fn can_bind(ip: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_both(text: &str) -> Result<String, String> {
        listen(text, &|_| true).map(|address| address.to_string())
    }

    #[test]
    fn the_forms_that_people_write_are_taken() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:0", "[::]:0"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LocalHost:8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
        ] {
            assert_eq!(on_both(text).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn localhost_is_the_loopback_address_that_there_is() {
        let only = |there: &'static str| listen("localhost:1", &move |ip: IpAddr| ip.to_string() == there).unwrap();
        assert_eq!(only("127.0.0.1").to_string(), "127.0.0.1:1");
        assert_eq!(only("::1").to_string(), "[::1]:1");
        assert_eq!(only("neither").to_string(), "127.0.0.1:1", "the listener says what is wrong");
    }

    #[test]
    fn everything_else_is_refused_with_what_to_write() {
        for (text, remedy) in [
            ("8080", "write 127.0.0.1:8080 for this machine alone, :8080 for every interface"),
            ("127.0.0.1", "name the port too, as in 127.0.0.1:8080"),
            ("[::1]", "name the port too, as in [::1]:8080"),
            ("::1", "name the port too, as in [::1]:8080"),
            ("localhost", "name the port too, as in localhost:8080"),
            ("", "name the port too"),
            ("localhost:", "'' is no port"),
            ("localhost:http", "'http' is no port"),
            ("localhost:65536", "'65536' is no port"),
            ("localhost:+1", "'+1' is no port"),
            ("http://localhost:8080", "leave out the scheme"),
            ("scoria.internal:8080", "`getent hosts scoria.internal` tells it), or :8080 for every interface"),
            ("fe80::a:b:z:80", "host names are not looked up"),
        ] {
            let error = on_both(text).unwrap_err();
            assert!(error.starts_with("expected an address such as") && error.contains(remedy), "{text}: {error}");
        }
    }
}
