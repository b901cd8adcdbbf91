//! What a server says on standard output once it can answer: where, with which key, and a command that works.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::app::{App, Offer, RegistryOffer};
use crate::control::ModelSpec;
use crate::deployment::{Endpoint, State};
use crate::engine::EngineInfo;
use crate::http::tls::{Called, Tls};

/// An example longer than this would fill the screen.
const SHOWN_EXAMPLE_BYTES_MAX: usize = 400;

/// The text.
pub fn banner(app: &App, offer: &Offer, engine: &EngineInfo, without_ort: Option<&str>) -> String {
    let mut text = format!("\nScoria {}, {} {}\n", env!("CARGO_PKG_VERSION"), engine_name(engine), engine.version);
    if let Some(reason) = without_ort {
        line(&mut text, &format!("  on the embedded engine, because: {reason}"));
    }
    let table = app.routing.table();
    for spec in offer.files() {
        let Some(entry) = table.find(spec.name.as_str()) else { continue };
        line(&mut text, "");
        match (&entry.endpoint, &entry.state) {
            (Some(endpoint), _) => describe(&mut text, app, spec, endpoint),
            (None, State::Failed { reason }) => line(&mut text, &format!("{}  NOT SERVED: {reason}", spec.name)),
            (None, state) => line(&mut text, &format!("{}  {}", spec.name, state.name())),
        }
    }
    if let Offer::Registry(registry) = offer {
        serving(&mut text, app, registry);
    }
    line(&mut text, "");
    if app.has_docs {
        line(&mut text, &format!("docs     {}/docs", Origin::of(app.listen, app.scoring_tls.as_deref()).url));
    }
    if let (Offer::Registry(_), Some(path)) = (offer, app.admin_key_path().filter(|path| path.is_file())) {
        line(&mut text, &format!("admin key  {}", path.display()));
    }
    let origin = Origin::of(app.admin_listen, app.admin_tls.as_deref()).url;
    let is_asked = app.admin_tls.as_ref().is_some_and(|tls| tls.asks_for_certificates());
    let note = if is_asked { "  (with a client certificate)" } else { "" };
    line(&mut text, &format!("admin    {origin}/metrics  /readyz  /livez{note}\n"));
    text
}

/// What of a registry is served, and how more is.
fn serving(text: &mut String, app: &App, registry: &RegistryOffer) {
    let table = app.routing.table();
    line(text, "");
    line(text, &format!("registry {}", registry.url));
    for (name, entry) in table.entries() {
        let origin = Origin::of(app.listen, app.scoring_tls.as_deref());
        match &entry.state {
            State::Failed { reason } => line(text, &format!("  {name}  NOT SERVED: {reason}")),
            state => line(text, &format!("  {name}  {}  {}/api/v1/service/{name}/score", state.name(), origin.url)),
        }
    }
    if table.entries().next().is_none() {
        line(text, "  no endpoints yet: scoria register NAME PATH; scoria deploy NAME --endpoint E");
    }
}

fn describe(text: &mut String, app: &App, spec: &ModelSpec, endpoint: &Endpoint) {
    let origin = Origin::of(app.listen, app.scoring_tls.as_deref());
    let uri = format!("{}/api/v1/service/{}/score", origin.url, spec.name);
    line(text, &format!("{}", spec.name));
    line(text, &format!("  score  {uri}"));
    if let Some(note) = origin.note {
        line(text, &format!("  note   {note}"));
    }
    let authorization = match app.key_path(&spec.name) {
        Some(path) if path.is_file() => {
            line(text, &format!("  key    {}", path.display()));
            format!(" -H \"Authorization: Bearer $(cat {})\"", shell_quote(&path.display().to_string()))
        }
        Some(path) => {
            line(text, &format!("  key    handed over earlier in {}, which has been removed", path.display()));
            " -H \"Authorization: Bearer $KEY\"".to_owned()
        }
        None => String::new(),
    };
    let sample = crate::control::sample_path(&spec.path);
    let short_example = endpoint.example.as_deref().filter(|example| example.len() <= SHOWN_EXAMPLE_BYTES_MAX);
    let data = match short_example {
        Some(example) => format!("-d {}", shell_quote(example)),
        None if sample.is_file() => format!("-d @{}", shell_quote(&sample.display().to_string())),
        None => return,
    };
    line(
        text,
        &format!(
            "  try    curl -s{} {uri}{authorization} -H 'Content-Type: application/json' {data}",
            origin.curl_options
        ),
    );
}

/// How clients reach a port.
struct Origin {
    url: String,
    /// What `curl` needs to be told besides.
    curl_options: String,
    note: Option<&'static str>,
}

impl Origin {
    fn of(address: SocketAddr, tls: Option<&Tls>) -> Origin {
        let Some(tls) = tls else {
            return Origin { url: format!("http://{address}"), curl_options: String::new(), note: None };
        };
        // "Any address" is none to connect to, and no certificate has it.
        let local = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let (address, port) = (SocketAddr::new(local, address.port()), address.port());
        // Whoever issued the certificate, this one is to be trusted here.
        let certificate = std::path::absolute(tls.certificate()).unwrap_or_else(|_| tls.certificate().to_owned());
        let trust = format!(" --cacert {}", shell_quote(&certificate.display().to_string()));
        match tls.called(local) {
            Called::Name(name) => {
                let ip = match local {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                let curl_options = format!("{trust} --resolve {name}:{port}:{ip}");
                Origin { url: format!("https://{name}:{port}"), curl_options, note: None }
            }
            Called::Address => Origin { url: format!("https://{address}"), curl_options: trust, note: None },
            Called::Nothing => {
                let note =
                    "the certificate holds neither this address nor a host's name (subjectAltName): clients refuse it";
                Origin { url: format!("https://{address}"), curl_options: trust, note: Some(note) }
            }
        }
    }
}

fn engine_name(engine: &EngineInfo) -> &str {
    if engine.name == "ort" { "ONNX Runtime" } else { engine.name }
}

/// A word as a POSIX shell reads it unchanged.
fn shell_quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::shell_quote;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(shell_quote("/tmp/a-b_c.key"), "/tmp/a-b_c.key");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
        assert_eq!(shell_quote(r#"{"data": [[1]]}"#), r#"'{"data": [[1]]}'"#);
    }
}
