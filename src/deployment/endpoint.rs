//! What a client scores against: keys, a contract, and the deployments behind it.

use std::sync::Arc;
use std::time::Duration;

use super::{Deployment, Dice, Mirror, Statistics, Traffic};
use crate::auth::WatchedRing;
use crate::config::{ExtraColumns, NonFiniteOutput, NullInput};
use crate::experiment::Recorder;
use crate::name::Name;
use crate::registry::Sticky;
use crate::tensor::Signature;

/// A name that answers at a scoring URI.
#[derive(Debug)]
pub struct Endpoint {
    pub name: Name,
    /// `None` when scoring needs no key.
    pub keys: Option<WatchedRing>,
    /// What every deployment of the endpoint takes and gives.
    pub signature: Arc<Signature>,
    /// A body that is valid for this signature, as shown in error messages and on the console at start.
    pub example: Option<String>,
    pub settings: EndpointSettings,
    /// Those that can answer, in the order of their names. At least one.
    pub deployments: Vec<Arc<Deployment>>,
    /// Those that are there and cannot answer now.
    pub absent: Vec<Name>,
    /// Who answers, by position in `deployments`.
    pub traffic: Traffic,
    /// What keeps a user on one deployment.
    pub sticky: Option<Sticky>,
    pub dice: Arc<Dice>,
    /// Who runs answered requests again, to be compared.
    pub mirror: Option<Arc<Mirror>>,
    /// The revision of the registry that this is, if it came from one.
    pub revision: Option<u64>,
    /// What is counted of each deployment under this revision, by position in `deployments`; empty without a revision.
    pub recorders: Vec<Arc<Recorder>>,
    /// All that has been counted; a revision goes on where the one before it was.
    pub statistics: Arc<Statistics>,
}

/// What an endpoint allows, and how long it takes at most. The meaning of each is that of the setting of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    pub null_input: NullInput,
    pub extra_columns: ExtraColumns,
    pub non_finite_output: NonFiniteOutput,
    pub max_elements: usize,
    pub max_rank: usize,
    pub max_json_depth: usize,
    pub max_body_bytes: usize,
    pub body_timeout: Duration,
    pub min_transfer_bytes_per_s: u64,
    pub scoring_timeout: Duration,
}

/// Why nobody answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpicked {
    /// The endpoint has no deployment of the name that the request pins.
    Unknown,
    /// It has one, which is being loaded or could not be.
    Absent,
}

impl Endpoint {
    /// The position of the deployment that a request pinned by name, or of one that is drawn if it pinned none.
    ///
    /// `user` is asked only if the answer matters: for what tells the request's user from others (see `sticky`).
    pub fn pick<'u>(
        &self,
        pinned: Option<&str>,
        user: impl FnOnce(&Sticky) -> Option<&'u [u8]>,
    ) -> Result<usize, Unpicked> {
        match (pinned, self.traffic.only()) {
            (Some(name), _) => {
                self.find(name).ok_or_else(|| match self.absent.iter().any(|absent| absent.as_str() == name) {
                    true => Unpicked::Absent,
                    false => Unpicked::Unknown,
                })
            }
            (None, Some(only)) => Ok(only),
            (None, None) => {
                let user = self.sticky.as_ref().and_then(user);
                let point = user.map_or_else(|| self.dice.roll(), |user| self.traffic.point_of(user));
                Ok(self.traffic.at(point))
            }
        }
    }

    /// The position of a deployment of this model version.
    pub fn find_version(&self, version: u64) -> Option<usize> {
        self.deployments.iter().position(|deployment| deployment.model.version == version)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.deployments.iter().position(|deployment| deployment.name.as_str() == name)
    }
}
