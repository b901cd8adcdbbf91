//! What a server says on standard output once it can answer: where, with which key, and a command that works.

use std::fmt::Write;

use crate::app::App;
use crate::control::ModelSpec;
use crate::deployment::{Endpoint, State};
use crate::engine::EngineInfo;

/// An example longer than this would fill the screen.
const SHOWN_EXAMPLE_BYTES_MAX: usize = 400;

/// The text.
pub fn banner(app: &App, models: &[ModelSpec], engine: &EngineInfo, without_ort: Option<&str>) -> String {
    let mut text = format!("\nScoria {}, {} {}\n", env!("CARGO_PKG_VERSION"), engine_name(engine), engine.version);
    if let Some(reason) = without_ort {
        line(&mut text, &format!("  on the embedded engine, because: {reason}"));
    }
    let table = app.routing.table();
    for spec in models {
        let Some(entry) = table.find(spec.name.as_str()) else { continue };
        line(&mut text, "");
        match (&entry.endpoint, &entry.state) {
            (Some(endpoint), _) => describe(&mut text, app, spec, endpoint),
            (None, State::Failed { reason }) => line(&mut text, &format!("{}  NOT SERVED: {reason}", spec.name)),
            (None, state) => line(&mut text, &format!("{}  {}", spec.name, state.name())),
        }
    }
    line(&mut text, &format!("\nadmin    http://{}/metrics  /readyz  /livez\n", app.admin_listen));
    text
}

fn describe(text: &mut String, app: &App, spec: &ModelSpec, endpoint: &Endpoint) {
    let uri = format!("http://{}/api/v1/service/{}/score", app.listen, spec.name);
    line(text, &format!("{}", spec.name));
    line(text, &format!("  score  {uri}"));
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
    line(text, &format!("  try    curl -s {uri}{authorization} -H 'Content-Type: application/json' {data}"));
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
