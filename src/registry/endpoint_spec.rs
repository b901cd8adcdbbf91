//! What an endpoint is to be: the body of one revision, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Guard, Recommended, Rollout, Share, rollout_spec};
use crate::name::Name;

/// The desired state of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// By name, such as `blue`.
    pub deployments: BTreeMap<Name, DeploymentSpec>,
    /// Shares of the requests that pin no deployment. They sum to at most all; the rest goes to `default`.
    #[serde(default)]
    pub traffic: BTreeMap<Name, Share>,
    /// Who answers what `traffic` leaves; the first deployment that was made, until another is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Name>,
    /// Shares of the answered requests that are run again, off their way, by deployments that are compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mirror: BTreeMap<Name, Share>,
    /// What keeps a user on the deployment once drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Settings of the scope `Endpoint`, by their keys (`docs/configuration.md`), for all deployments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The model whose new versions are deployed by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// A new version that is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The endpoint is gone; its history stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// One deployment of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    pub model: ModelRef,
    /// What its version's profile recommended when it was deployed; everything that is said elsewhere goes before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profile: Recommended,
    /// Settings of the scope `Endpoint` for this deployment alone; they go before the endpoint's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
}

impl DeploymentSpec {
    /// A version under the settings that hold for the endpoint.
    pub fn of(model: ModelRef) -> DeploymentSpec {
        DeploymentSpec { model, profile: Recommended::new(), settings: BTreeMap::new() }
    }
}

/// A published version of a model: `ridge:3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    pub name: Name,
    pub version: u64,
}

/// Whose requests stay together: those with the same value of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Sticky {
    /// Of a request header, such as `x-scoria-sticky`.
    Header(String),
    /// Of a cookie.
    Cookie(String),
    /// Of the key that the client shows.
    Key,
}

/// `header:<name>`, `cookie:<name>` or `key`, as [`Sticky`] is read.
impl std::fmt::Display for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sticky::Header(name) => write!(f, "header:{name}"),
            Sticky::Cookie(name) => write!(f, "cookie:{name}"),
            Sticky::Key => f.write_str("key"),
        }
    }
}

impl std::str::FromStr for Sticky {
    type Err = String;

    fn from_str(text: &str) -> Result<Sticky, String> {
        // The characters of a token (RFC 9110, section 5.6.2), which names of headers and cookies are made of.
        let is_token = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        match text.split_once(':') {
            None if text == "key" => Ok(Sticky::Key),
            Some(("header", name)) if is_token(name) => Ok(Sticky::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) if is_token(name) => Ok(Sticky::Cookie(name.to_owned())),
            _ => Err(format!("'{text}': expected header:<name>, cookie:<name> or key")),
        }
    }
}

/// New versions of `model` that bear all of `tags` are deployed by themselves (continuous deployment).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    pub model: Name,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What a new version has to show on its way.
    #[serde(default, deserialize_with = "rollout_spec::checked")]
    pub guard: Guard,
    /// Versions that were rolled back, and are not tried again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<u64>,
}

/// A specification that nothing can be made of. The text is for whoever wrote it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidSpec {
    #[error("{what} names deployment '{name}', and there is none of this name; there {are}", are = there_are(known))]
    Unknown { what: &'static str, name: Name, known: Vec<Name> },
    #[error("the shares of traffic sum to {0} %; 100 % are all there is")]
    TooMuchTraffic(f64),
    #[error("{0} deployments are mirrored to; {max} are the most", max = EndpointSpec::MIRRORS_MAX)]
    TooManyMirrors(usize),
    #[error("{0} deployments; {max} are the most", max = EndpointSpec::DEPLOYMENTS_MAX)]
    TooManyDeployments(usize),
    #[error("an endpoint that is not deleted has a deployment")]
    Empty,
}

fn there_are(known: &[Name]) -> String {
    match known {
        [] => "are none".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")),
    }
}

impl EndpointSpec {
    pub const DEPLOYMENTS_MAX: usize = 32;
    pub const MIRRORS_MAX: usize = 8;

    /// Whether it can be served, as far as that can be told without its models and settings.
    pub fn check(&self) -> Result<(), InvalidSpec> {
        if self.deleted {
            return Ok(());
        }
        if self.deployments.is_empty() {
            return Err(InvalidSpec::Empty);
        }
        if self.deployments.len() > Self::DEPLOYMENTS_MAX {
            return Err(InvalidSpec::TooManyDeployments(self.deployments.len()));
        }
        if self.mirror.len() > Self::MIRRORS_MAX {
            return Err(InvalidSpec::TooManyMirrors(self.mirror.len()));
        }
        let named = [("traffic", self.traffic.keys().collect::<Vec<_>>()), ("mirror", self.mirror.keys().collect())];
        let default = ("default", self.default.iter().collect());
        for (what, names) in named.into_iter().chain([default]) {
            if let Some(name) = names.into_iter().find(|name| !self.deployments.contains_key(*name)) {
                let known = self.deployments.keys().cloned().collect();
                return Err(InvalidSpec::Unknown { what, name: name.clone(), known });
            }
        }
        let sum: u32 = self.traffic.values().map(|share| u32::from(share.hundredths())).sum();
        Share::rest_after(sum).map(drop).ok_or(InvalidSpec::TooMuchTraffic(f64::from(sum) / 100.0))
    }

    /// The share that each deployment answers, of the requests that pin none: what is left goes to the default one.
    pub fn shares(&self) -> BTreeMap<Name, Share> {
        let mut shares: BTreeMap<_, _> = self.deployments.keys().map(|name| (name.clone(), Share::NONE)).collect();
        for (name, share) in &self.traffic {
            shares.insert(name.clone(), *share);
        }
        let sum = shares.values().map(|share| u32::from(share.hundredths())).sum();
        let rest = Share::rest_after(sum).unwrap_or(Share::NONE);
        let default = self.default.as_ref().or(self.deployments.keys().next());
        if let Some(share) = default.and_then(|default| shares.get_mut(default)) {
            *share = share.plus(rest);
        }
        shares
    }
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}
