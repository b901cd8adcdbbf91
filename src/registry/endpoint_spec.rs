//! What an endpoint is to be: the body of one revision, as it is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Guard, Rollout, Share, rollout_spec};
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
    /// Settings of the scope `Endpoint` for this deployment alone; they go before the endpoint's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
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

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}
