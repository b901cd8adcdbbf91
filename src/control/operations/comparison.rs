//! An experiment as it stands: who has which traffic, what was counted of each since that has been so, and what follows from it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{OperationError, Operations};
use crate::control::replica_status::{self, ReplicaStatus};
use crate::experiment::{Agreement, Comparison, Level, Tallies, agreement, compare_all};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{Change, EndpointSpec, Follow, Revision, Rollout, Share};
use crate::rollout::{self, baseline, common_share};

/// Revisions that are looked back upon for where an experiment began.
const HISTORY_MAX: usize = crate::experiment::REVISIONS_MAX;

/// `scoria ab`.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    pub endpoint: Name,
    pub revision: u64,
    /// Since when deployments and traffic have been as they are. What was counted before is not compared: another split has
    /// other users.
    pub since_revision: u64,
    pub since: Moment,
    pub baseline: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// What a rollout waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    pub deployments: Vec<Arm>,
    pub comparisons: Vec<Comparison>,
    pub agreements: Vec<Agreement>,
}

/// One deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Arm {
    pub deployment: Name,
    pub model: String,
    pub traffic_percent: f64,
    pub answered: u64,
    /// Answers with 4xx, with 5xx.
    pub refused: u64,
    pub failed: u64,
    pub latency_p50_s: Option<f64>,
    pub latency_p99_s: Option<f64>,
    /// Outcomes that were reported as true, of so many that were true or false; and those that were numbers.
    pub successes: u64,
    pub trials: u64,
    pub numbers: u64,
    pub mean_outcome: Option<f64>,
}

/// Which way a decision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The candidate gets all traffic.
    Promote,
    /// It loses what it has.
    Abort,
}

impl Operations {
    /// How an endpoint's deployments compare.
    pub async fn compare(&self, endpoint: &Name, level: Level) -> Result<Experiment, OperationError> {
        self.current(endpoint).await?;
        let history = self.registry.endpoint(endpoint).history(HISTORY_MAX).await?;
        let statuses = replica_status::statuses(&self.registry, endpoint).await?;
        let nothing = || OperationError::NothingToDecide { known: Vec::new() };
        experiment(endpoint, &history, &statuses, level).ok_or_else(nothing)
    }

    /// Ends an experiment or a rollout. Without `candidate`, the one that is meant has to be plain.
    pub async fn decide(
        &self,
        endpoint: &Name,
        decision: Decision,
        candidate: Option<&Name>,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.alter(endpoint, change, |spec| {
            let decided = match decision {
                Decision::Promote => rollout::promote(spec, candidate),
                Decision::Abort => rollout::abort(spec, candidate),
            };
            let known = || spec.deployments.keys().cloned().collect();
            decided.ok_or_else(|| OperationError::NothingToDecide { known: known() })
        })
        .await
    }

    /// Has an endpoint follow a model that there is, or none. What was rolled back of the same model stays so.
    pub async fn follow(
        &self,
        endpoint: &Name,
        follow: Option<&Follow>,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        // A slip of the pen would be waited for, and nobody would be told.
        if let Some(follow) = follow {
            let known = self.registry.models().names().await?;
            if !known.contains(&follow.model) {
                return Err(super::unknown_model(&follow.model, known));
            }
        }
        self.alter(endpoint, change, |spec| {
            if let Some(rollout) = &spec.rollout {
                return Err(OperationError::UnderWay { model: rollout.model.clone() });
            }
            let mut next = spec.clone();
            next.follow = follow.cloned();
            if let (Some(new), Some(old)) = (&mut next.follow, &spec.follow)
                && new.model == old.model
            {
                new.refused.clone_from(&old.refused);
            }
            Ok(next)
        })
        .await
    }

    /// Takes a step of a rollout: the revision after `latest`, if nobody else has made one. A deployment that is new runs as its
    /// version's profile recommends.
    pub async fn step(
        &self,
        endpoint: &Name,
        latest: &Revision<EndpointSpec>,
        change: &Change,
        mut spec: EndpointSpec,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        let is_new = |name: &Name| !latest.body.deployments.contains_key(name);
        for (_, deployment) in spec.deployments.iter_mut().filter(|(name, _)| is_new(name)) {
            deployment.profile = self.profiled(deployment.model.clone()).await?.1;
        }
        spec.check().map_err(OperationError::Invalid)?;
        self.append(endpoint, Some(latest), change, spec).await
    }
}

/// What the revisions, the newest first, and the replicas say of an endpoint; `None` if it has no deployment.
fn experiment(
    endpoint: &Name,
    history: &[Revision<EndpointSpec>],
    statuses: &BTreeMap<Name, ReplicaStatus>,
    level: Level,
) -> Option<Experiment> {
    let latest = history.first()?;
    let spec = &latest.body;
    let baseline = match &spec.rollout {
        Some(rollout) => rollout.baseline.clone(),
        None => baseline(spec).cloned()?,
    };
    let since = begin(history);
    let newest = statuses.values().filter(|status| status.waits_for.is_some()).max_by_key(|status| status.at);
    let tallies = replica_status::ledger(statuses.values()).total(|revision| revision >= since.revision);
    Some(Experiment {
        endpoint: endpoint.clone(),
        revision: latest.revision,
        since_revision: since.revision,
        since: since.at,
        rollout: spec.rollout.clone(),
        waits_for: newest.and_then(|status| status.waits_for.clone()).filter(|_| spec.follow.is_some()),
        deployments: spec.deployments.keys().map(|name| arm(spec, name, &baseline, &tallies)).collect(),
        comparisons: comparisons(spec, &baseline, &tallies, level),
        agreements: tallies.iter().filter_map(|(name, tally)| agreement(name, &tally.mirror, level)).collect(),
        baseline,
    })
}

/// The revision with which the experiment began: of the newest on, the last that divides requests alike. `history` has the newest
/// first, and at least one.
fn begin(history: &[Revision<EndpointSpec>]) -> &Revision<EndpointSpec> {
    let is_alike = |pair: &&[Revision<EndpointSpec>]| divides_like(&pair[0].body, &pair[1].body);
    let alike = history.windows(2).take_while(is_alike).count();
    &history[alike]
}

/// Whether requests are divided among the same models in the same way.
fn divides_like(one: &EndpointSpec, other: &EndpointSpec) -> bool {
    (&one.deployments, &one.traffic, &one.default, &one.sticky, &one.settings)
        == (&other.deployments, &other.traffic, &other.default, &other.sticky, &other.settings)
}

fn comparisons(spec: &EndpointSpec, baseline: &Name, tallies: &Tallies, level: Level) -> Vec<Comparison> {
    let nothing = Default::default();
    let tally = |name: &Name| tallies.get(name).unwrap_or(&nothing);
    let others = spec.deployments.keys().filter(|name| *name != baseline && tally(name).answered() > 0);
    others.flat_map(|name| compare_all((name, tally(name)), (baseline, tally(baseline)), level)).collect()
}

fn arm(spec: &EndpointSpec, name: &Name, baseline: &Name, tallies: &Tallies) -> Arm {
    let tally = tallies.get(name).cloned().unwrap_or_default();
    let given = spec.traffic.get(name).copied().unwrap_or_default();
    let share = if name == baseline { common_share(spec, name, name) } else { given };
    let seconds = |quantile| tally.latency_ns.quantile(quantile).map(|ns| ns as f64 * 1e-9);
    let outcomes = &tally.outcomes;
    Arm {
        deployment: name.clone(),
        model: spec.deployments.get(name).map(|deployment| deployment.model.to_string()).unwrap_or_default(),
        traffic_percent: Share::percent(share),
        answered: tally.answered(),
        refused: tally.refused,
        failed: tally.failed,
        latency_p50_s: seconds(0.5),
        latency_p99_s: seconds(0.99),
        successes: outcomes.successes,
        trials: outcomes.trials,
        numbers: outcomes.numbers.count,
        mean_outcome: (outcomes.numbers.count > 0).then_some(outcomes.numbers.mean),
    }
}
