//! How endpoints are shown: to people in tables, to programs as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ReplicaView;
use crate::name::Name;
use crate::registry::{EndpointSpec, Follow, Revision, Rollout, Share, Sticky};

/// An endpoint as it is to be.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointView {
    pub name: String,
    pub revision: u64,
    pub at: String,
    pub by: String,
    pub why: String,
    pub deployments: Vec<DeploymentView>,
    /// Who answers what the shares leave.
    pub default: Option<String>,
    /// What keeps a user on one deployment: `header:<name>`, `cookie:<name>` or `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The model whose new versions are deployed by themselves, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// A version that is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// What every server says of it; `None` where they were not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<ReplicaView>>,
}

/// One deployment of it.
#[derive(Clone, Debug, Serialize)]
pub struct DeploymentView {
    pub name: String,
    /// `ridge:3`.
    pub model: String,
    /// The share of the requests that it answers, in percent, of those that pin none.
    pub traffic: f64,
    /// The share of the answered requests that it runs again, in percent.
    #[serde(skip_serializing_if = "is_nothing")]
    pub mirror: f64,
    /// What its version's profile recommended when it was deployed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profile: BTreeMap<String, serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// One revision of an endpoint, in a line.
#[derive(Clone, Debug, Serialize)]
pub struct RevisionView {
    pub revision: u64,
    pub at: String,
    pub by: String,
    pub why: String,
    /// `blue ridge:3 90 %`, or `deleted`.
    pub what: String,
    pub deleted: bool,
    pub deployments: Vec<DeploymentView>,
}

fn is_nothing(percent: &f64) -> bool {
    *percent == 0.0
}

impl EndpointView {
    pub fn of(name: &Name, revision: &Revision<EndpointSpec>) -> EndpointView {
        let spec = &revision.body;
        EndpointView {
            name: name.to_string(),
            revision: revision.revision,
            at: revision.at.to_string(),
            by: revision.by.clone(),
            why: revision.why.clone(),
            deployments: deployments(spec),
            default: spec.default.as_ref().map(ToString::to_string),
            sticky: spec.sticky.as_ref().map(Sticky::to_string),
            settings: spec.settings.clone(),
            tags: spec.tags.clone(),
            description: spec.description.clone(),
            follow: spec.follow.clone(),
            rollout: spec.rollout.clone(),
            replicas: None,
        }
    }
}

impl RevisionView {
    pub fn of(revision: &Revision<EndpointSpec>) -> RevisionView {
        let deployments = deployments(&revision.body);
        let deployment = |deployment: &DeploymentView| {
            let mirror =
                if deployment.mirror > 0.0 { format!(" (mirror {} %)", deployment.mirror) } else { String::new() };
            format!("{} {} {} %{mirror}", deployment.name, deployment.model, deployment.traffic)
        };
        let what = match revision.body.deleted {
            true => "deleted".to_owned(),
            false => deployments.iter().map(deployment).collect::<Vec<_>>().join(", "),
        };
        RevisionView {
            revision: revision.revision,
            at: revision.at.to_string(),
            by: revision.by.clone(),
            why: revision.why.clone(),
            what,
            deleted: revision.body.deleted,
            deployments,
        }
    }
}

fn deployments(spec: &EndpointSpec) -> Vec<DeploymentView> {
    let shares = spec.shares();
    let percent = |shares: &BTreeMap<Name, Share>, name: &Name| shares.get(name).map_or(0.0, |share| share.percent());
    let view = spec.deployments.iter().map(|(name, deployment)| DeploymentView {
        name: name.to_string(),
        model: deployment.model.to_string(),
        traffic: percent(&shares, name),
        mirror: percent(&spec.mirror, name),
        profile: deployment.profile.clone(),
        settings: deployment.settings.clone(),
    });
    view.collect()
}
