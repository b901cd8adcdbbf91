//! Settings of single endpoints: the tables `[endpoints.<name>]` of the file.
//!
//! What a table says goes before everything that is said of the whole server, flags included: the more specific wins, so that a
//! flag which suits most endpoints does not undo what was found for one.

use super::{Config, ConfigError, File, Origin, SETTINGS, Scope, Setting};
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

/// What can be set for single endpoints.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.scope == Scope::Endpoint)
}

/// The keys of these, as a sentence has them.
pub fn keys() -> String {
    settings().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}
