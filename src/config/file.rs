//! The configuration file: TOML, flat; unknown keys and values of another type are refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{ConfigError, Form, SETTINGS};

/// A configuration file's settings, as texts.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub path: PathBuf,
    values: HashMap<&'static str, String>,
    /// `models = […]`: what to serve, as on the command line.
    pub models: Vec<String>,
}

impl File {
    /// Reads and checks the keys of a file. Values are checked when the [`Config`](super::Config) is resolved.
    pub fn read(path: &Path) -> Result<File, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), reason: error.to_string() })?;
        File::parse(&text, path)
    }

    /// [`File::read`] of a text that came from `path`.
    pub fn parse(text: &str, path: &Path) -> Result<File, ConfigError> {
        let failed = |reason: String| ConfigError::Read { path: path.to_owned(), reason };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
        let mut file = File { path: path.to_owned(), ..File::default() };
        for (key, value) in table {
            if key == "models" {
                file.models = texts(value).ok_or_else(|| failed("models must be an array of texts".to_owned()))?;
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), hint: closest(&key), key });
            };
            let got = value.type_str();
            let text = text_of(setting.form, value)
                .ok_or_else(|| failed(format!("{key}: expected {}, got a TOML {got}", setting.kind)))?;
            file.values.insert(setting.key, text);
        }
        Ok(file)
    }

    /// A setting's text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }
}

fn text_of(form: Form, value: toml::Value) -> Option<String> {
    match (form, value) {
        (Form::Text, toml::Value::String(text)) => Some(text),
        (Form::Number, toml::Value::Integer(number)) => Some(number.to_string()),
        (Form::Switch, toml::Value::Boolean(flag)) => Some(flag.to_string()),
        (Form::List, array @ toml::Value::Array(_)) => texts(array).map(|items| items.join(",")),
        _ => None,
    }
}

fn texts(value: toml::Value) -> Option<Vec<String>> {
    let toml::Value::Array(items) = value else { return None };
    items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The known key that is nearest to a mistyped one, if any is near.
fn closest(key: &str) -> Option<&'static str> {
    let normal = key.to_ascii_lowercase().replace('-', "_");
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(&normal, setting.key), setting.key))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}
