//! Settings of single endpoints: the tables `[endpoints.<name>]` of the file.
//!
//! What a table says goes before everything that is said of the whole server, flags included: the more specific wins, so that a
//! flag which suits most endpoints does not undo what was found for one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::file::closest;
use super::{Config, ConfigError, File, Form, Origin, SETTINGS, Scope, Setting};
use crate::name::Name;

impl Config {
    /// Adds what `file` says of single endpoints, over `layers`, which this was resolved from.
    pub fn with_endpoints(
        mut self,
        file: &File,
        layers: &dyn Fn(&Setting) -> Option<(String, Origin)>,
    ) -> Result<Config, ConfigError> {
        for (endpoint, texts) in &file.endpoints {
            let own = |setting: &Setting| {
                let text = texts.get(setting.key)?;
                Some((text.clone(), Origin::File(file.path.clone())))
            };
            let config = Config::resolve(&|setting| own(setting).or_else(|| layers(setting)));
            let config = config.map_err(|source| {
                let source = Box::new(source);
                ConfigError::Endpoint { endpoint: endpoint.clone(), source }
            })?;
            self.endpoints.insert(endpoint.clone(), config);
            self.endpoint_keys.insert(endpoint.clone(), texts.keys().copied().collect());
        }
        Ok(self)
    }

    /// The settings that hold for an endpoint whose model brings some of its own, as keys and texts. They go before what holds
    /// for the whole server, and behind what the file says of this endpoint.
    pub fn with_model(
        &self,
        name: &Name,
        own: &[(&'static str, String)],
        origin: &Origin,
    ) -> Result<Config, ConfigError> {
        let before = self.of_endpoint(name);
        let by_table = self.endpoint_keys.get(name).map_or(&[][..], Vec::as_slice);
        Config::resolve(&|setting| match own.iter().find(|(key, _)| *key == setting.key) {
            Some((key, text)) if !by_table.contains(key) => Some((text.clone(), origin.clone())),
            _ => before.text(setting.key).map(|text| (text, Origin::Default)),
        })
    }

    /// The settings that hold for an endpoint.
    pub fn of_endpoint(&self, name: &Name) -> &Config {
        self.endpoints.get(name).unwrap_or(self)
    }
}

/// Settings of single endpoints or deployments as a specification has them: by key, as JSON.
pub type Overrides = BTreeMap<String, Value>;

impl Config {
    /// These settings, but for what `layers` say, of which later ones win. The reason of an error names the key and the remedy.
    pub fn with_overrides(&self, layers: &[&Overrides]) -> Result<Config, ConfigError> {
        let mut texts = BTreeMap::new();
        for (key, value) in layers.iter().copied().flatten() {
            texts.insert(key.as_str(), override_text(key, value)?);
        }
        let config = Config::resolve(&|setting| {
            let own = texts.get(setting.key).cloned();
            own.or_else(|| self.text(setting.key)).map(|text| (text, Origin::Specification))
        })?;
        if texts.contains_key("provider_options")
            && let Some(option) = config.provider_options.path()
        {
            return Err(ConfigError::Conflict(format!(
                "provider_options: {option} names a place on the server's disk, which its own configuration alone may set"
            )));
        }
        Ok(config)
    }
}

/// Checks one setting of a specification, and gives its text.
fn override_text(key: &str, value: &Value) -> Result<String, ConfigError> {
    let refuse = |reason: String| Err(ConfigError::Conflict(reason));
    let setting = match SETTINGS.iter().find(|setting| setting.key == key) {
        Some(setting) if setting.scope == Scope::Endpoint => setting,
        Some(_) => {
            return refuse(format!(
                "'{key}' holds for the whole server; for an endpoint or a deployment there are {}",
                keys()
            ));
        }
        None => {
            let hint = closest(key, settings())
                .map_or_else(|| format!("there are {}", keys()), |hint| format!("did you mean '{hint}'?"));
            return refuse(format!("unknown setting '{key}'; {hint}"));
        }
    };
    match (setting.form, value) {
        (Form::Text, Value::String(text)) => Ok(text.clone()),
        (Form::Number, Value::Number(number)) => Ok(number.to_string()),
        (Form::Switch, Value::Bool(flag)) => Ok(flag.to_string()),
        (Form::List, Value::Array(items)) if items.iter().all(Value::is_string) => {
            Ok(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        }
        _ => refuse(format!("{key}: expected {}, got {value}", setting.kind)),
    }
}

/// Makes a value for a specification of what a person typed: `workers=2`.
pub fn override_of(key: &str, text: &str) -> Result<Value, ConfigError> {
    let form = SETTINGS.iter().find(|setting| setting.key == key).map(|setting| setting.form);
    let value = match form {
        Some(Form::Number) => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
        Some(Form::Switch) => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        Some(Form::List) => text.split(',').map(str::trim).collect(),
        _ => Value::from(text),
    };
    override_text(key, &value).map(|_| value)
}

/// What can be set for single endpoints.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.scope == Scope::Endpoint)
}

/// The keys of these, as a sentence has them.
pub fn keys() -> String {
    settings().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}
