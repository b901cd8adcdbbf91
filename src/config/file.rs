//! The configuration file: TOML, flat but for a table for each endpoint; unknown keys and values of another type are refused.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::{ConfigError, Form, SETTINGS, Scope, Setting, endpoints};
use crate::name::Name;

/// A configuration file's settings, as texts.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub path: PathBuf,
    values: HashMap<&'static str, String>,
    /// `models = […]`: what to serve, as on the command line.
    pub models: Vec<String>,
    /// `[endpoints.<name>]`: what holds for one endpoint.
    pub endpoints: BTreeMap<Name, HashMap<&'static str, String>>,
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
            if key == "endpoints" {
                file.endpoints = endpoint_tables(value, path)?;
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                let hint = closest(&key, SETTINGS.iter());
                return Err(ConfigError::UnknownKey { path: path.to_owned(), hint, key });
            };
            file.values.insert(setting.key, text_of(setting, value).map_err(failed)?);
        }
        Ok(file)
    }

    /// A setting's text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }
}

/// The tables of `[endpoints.<name>]`. Whether such an endpoint is served is for others to say.
fn endpoint_tables(
    value: toml::Value,
    path: &Path,
) -> Result<BTreeMap<Name, HashMap<&'static str, String>>, ConfigError> {
    let read = |reason: String| ConfigError::Read { path: path.to_owned(), reason };
    let no_table = |what: &str, got: &str| read(format!("{what}: expected a table of settings, got a TOML {got}"));
    let toml::Value::Table(tables) = value else { return Err(no_table("endpoints", value.type_str())) };
    let mut endpoints = BTreeMap::new();
    for (name, value) in tables {
        let endpoint =
            Name::parse(&name).map_err(|source| ConfigError::EndpointName { path: path.to_owned(), source })?;
        let toml::Value::Table(table) = value else {
            return Err(no_table(&format!("endpoints.{name}"), value.type_str()));
        };
        let mut values = HashMap::new();
        for (key, value) in table {
            let (path, endpoint) = (path.to_owned(), endpoint.clone());
            let setting = match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) if setting.scope == Scope::Endpoint => setting,
                Some(setting) => return Err(ConfigError::ServerKey { path, endpoint, key: setting.key }),
                None => {
                    let hint = closest(&key, endpoints::settings());
                    return Err(ConfigError::UnknownEndpointKey { path, endpoint, key, hint });
                }
            };
            let text = text_of(setting, value).map_err(|reason| read(format!("[endpoints.{name}]: {reason}")))?;
            values.insert(setting.key, text);
        }
        endpoints.insert(endpoint, values);
    }
    Ok(endpoints)
}

fn text_of(setting: &Setting, value: toml::Value) -> Result<String, String> {
    let got = value.type_str();
    text_in(setting.form, value).ok_or_else(|| format!("{}: expected {}, got a TOML {got}", setting.key, setting.kind))
}

fn text_in(form: Form, value: toml::Value) -> Option<String> {
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
pub(super) fn closest(key: &str, settings: impl Iterator<Item = &'static Setting>) -> Option<&'static str> {
    let normal = key.to_ascii_lowercase().replace('-', "_");
    settings
        .map(|setting| (strsim::jaro_winkler(&normal, setting.key), setting.key))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}
