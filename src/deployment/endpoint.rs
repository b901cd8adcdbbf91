//! What a client scores against: keys, a contract, and the deployments behind it.

use std::sync::Arc;
use std::time::Duration;

use super::Deployment;
use crate::auth::KeyRing;
use crate::config::{NonFiniteOutput, NullInput};
use crate::name::Name;
use crate::tensor::Signature;

/// A name that answers at a scoring URI.
#[derive(Debug)]
pub struct Endpoint {
    pub name: Name,
    /// `None` when scoring needs no key.
    pub keys: Option<KeyRing>,
    /// What every deployment of the endpoint takes and gives.
    pub signature: Signature,
    /// Of outputs that are scores of classes.
    pub labels: Labels,
    /// A body that is valid for this signature, as shown in error messages and on the console at start.
    pub example: Option<String>,
    pub settings: EndpointSettings,
    /// At least one; the first answers requests that do not name another.
    pub deployments: Vec<Arc<Deployment>>,
}

/// For each output, in the signature's order, the names of its classes, if they are known. Shorter if none of the rest has any.
pub type Labels = Vec<Option<Arc<[String]>>>;

/// What an endpoint allows, and how long it takes at most. The meaning of each is that of the setting of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    pub null_input: NullInput,
    pub non_finite_output: NonFiniteOutput,
    pub max_elements: usize,
    pub max_rank: usize,
    pub max_json_depth: usize,
    pub max_body_bytes: usize,
    pub body_timeout: Duration,
    pub min_transfer_bytes_per_s: u64,
    pub scoring_timeout: Duration,
}

impl Endpoint {
    /// The deployment that a request pinned by name, or the one that answers if it pinned none.
    pub fn pick(&self, pinned: Option<&str>) -> Option<&Arc<Deployment>> {
        match pinned {
            None => self.deployments.first(),
            Some(name) => self.deployments.iter().find(|deployment| deployment.name.as_str() == name),
        }
    }
}
