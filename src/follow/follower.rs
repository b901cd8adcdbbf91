//! Takes the steps of rollouts: looks at each endpoint that follows a model, asks the policy, and creates the revision it wants.
//!
//! Every replica does. Who creates a revision first has taken the step; the others find it, and go on from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::profiling::{ProfileCommand, Profiling, is_profiled};
use super::trials::Subject;
use super::trouble::Trouble;
use crate::control::operations::{OperationError, Operations};
use crate::control::{ledger, statuses};
use crate::deployment::{Endpoint, Entry, Routing, State};
use crate::experiment::Ledger;
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{
    Change, EndpointSpec, Follow, ModelRef, ModelVersion, Registry, RegistryError, Revision, Rollout, Stage,
};
use crate::rollout::{self, Action, Condition, Situation, Step, Trial, next};

/// This server's part in rollouts.
pub struct Follower {
    operations: Operations,
    routing: Arc<Routing>,
    /// Who creates revisions, for the history.
    by: String,
    /// `None` where there is no program to profile with.
    profile: Option<Arc<ProfileCommand>>,
    known: BTreeMap<Name, Known>,
    waits: Waits,
    trouble: Trouble,
}

/// Why nothing is to be done about an endpoint that follows a model, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Mutex<BTreeMap<Name, String>>>);

impl Waits {
    pub fn of(&self, endpoint: &Name) -> Option<String> {
        self.0.lock().get(endpoint).cloned()
    }

    fn set(&self, endpoint: &Name, reason: Option<String>) {
        match reason {
            Some(reason) => self.0.lock().insert(endpoint.clone(), reason),
            None => self.0.lock().remove(endpoint),
        };
    }
}

/// What is known of one endpoint.
#[derive(Debug, Default)]
struct Known {
    revision: Option<Revision<EndpointSpec>>,
    /// What became of trying the candidate of the rollout under way.
    trial: Option<(Rollout, Trial)>,
    /// The search for the settings of a version whose rollout is to begin.
    profiling: Option<Profiling>,
}

impl Follower {
    pub fn new(
        operations: Operations,
        routing: Arc<Routing>,
        by: String,
        profile: Option<Arc<ProfileCommand>>,
    ) -> Follower {
        Follower {
            operations,
            routing,
            by,
            profile,
            known: BTreeMap::new(),
            waits: Waits::default(),
            trouble: Trouble::default(),
        }
    }

    /// Where it says what it waits for.
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }

    /// Looks at each endpoint that this server has from the registry, and takes the step that is due.
    pub async fn follow(&mut self, now: Moment) {
        let entries: Vec<(Name, Entry)> =
            self.routing.table().entries().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        self.known.retain(|name, _| entries.iter().any(|(served, _)| served == name));
        for (name, entry) in entries.into_iter().filter(|(_, entry)| entry.revision.is_some()) {
            let mut known = self.known.remove(&name).unwrap_or_default();
            match self.step(&name, &entry, &mut known, now).await {
                Ok(()) => self.trouble.is_over(&name),
                Err(error) if self.trouble.is_new(&name, &error) => {
                    tracing::warn!(endpoint = %name, %error, "a rollout does not go on for now");
                }
                Err(_) => {}
            }
            self.known.insert(name, known);
        }
    }

    async fn step(&self, name: &Name, entry: &Entry, known: &mut Known, now: Moment) -> Result<(), OperationError> {
        // The watch over the registry tells of newer ones; there is no need to ask for them once more.
        if known.revision.as_ref().is_none_or(|known| entry.revision > Some(known.revision)) {
            self.catch_up(name, known).await?;
        }
        let Some(revision) = known.revision.clone() else { return Ok(()) };
        let spec = &revision.body;
        let Some(follow) = spec.follow.as_ref().filter(|_| !spec.deleted) else {
            self.waits.set(name, None);
            return Ok(());
        };
        let target = newest(self.operations.registry(), follow).await?.map(|version| version.manifest.model_ref());
        let ledger = match spec.rollout {
            Some(_) => ledger(statuses(self.operations.registry(), name).await?.values()),
            None => Ledger::default(),
        };
        let condition =
            spec.rollout.as_ref().map_or(Condition::Loading, |rollout| condition(entry, &revision, rollout));
        if let (Some(rollout), Condition::Ready) = (&spec.rollout, condition) {
            self.try_out(entry, follow, spec, rollout, known).await?;
        }
        let trial = known.trial.as_ref().filter(|(tried, _)| spec.rollout.as_ref() == Some(tried));
        let situation = Situation {
            revision: revision.revision,
            spec,
            now,
            target: target.as_ref(),
            condition,
            trial: trial.map(|(_, trial)| trial),
            ledger: &ledger,
        };
        match next(&situation) {
            Step::Wait { reason } => self.waits.set(name, Some(reason)),
            Step::Take { action: Action::Begin, .. } if self.searches(follow, target.as_ref(), known).await? => {
                let model = target.as_ref().map(ModelRef::to_string).unwrap_or_default();
                let reason = format!("{model} is being profiled against {}", follow.guard.objective);
                self.waits.set(name, Some(reason));
            }
            Step::Take { action, spec, reason } => {
                tracing::info!(endpoint = %name, ?action, reason, "rollout");
                let change = Change { by: self.by.clone(), why: reason, at: now };
                match self.operations.step(name, &revision, &change, *spec).await {
                    Err(error @ OperationError::OtherContract { .. }) => {
                        let refused = rollout::refused(&revision.body, target.as_ref());
                        let change = Change { why: error.to_string(), ..change };
                        self.taken(name, self.operations.step(name, &revision, &change, refused).await, known)?;
                    }
                    outcome => self.taken(name, outcome, known)?,
                }
            }
        }
        Ok(())
    }

    /// Whether the settings of a version are being searched for, which is begun if it has to be. What has been measured against this
    /// very objective is not measured again.
    async fn searches(
        &self,
        follow: &Follow,
        model: Option<&ModelRef>,
        known: &mut Known,
    ) -> Result<bool, RegistryError> {
        let guard = &follow.guard;
        let (Some(model), Some(command), true) = (model, &self.profile, guard.profile_s > 0) else { return Ok(false) };
        if let Some(profiling) = known.profiling.as_mut().filter(|profiling| profiling.model == *model) {
            return Ok(!profiling.is_over(Instant::now()));
        }
        if is_profiled(self.operations.registry(), model, &guard.objective).await? {
            return Ok(false);
        }
        let time = Duration::from_secs(guard.profile_s);
        known.profiling = Some(Profiling::start(command(model, &guard.objective, time), model, time));
        Ok(true)
    }

    fn taken(
        &self,
        name: &Name,
        outcome: Result<Revision<EndpointSpec>, OperationError>,
        known: &mut Known,
    ) -> Result<(), OperationError> {
        match outcome {
            Ok(made) => {
                known.revision = Some(made);
                self.waits.set(name, None);
                Ok(())
            }
            // Another replica, or an operator, was faster.
            Err(OperationError::Registry(RegistryError::Conflict { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The latest revision, by reading on from the last one that is known.
    async fn catch_up(&self, name: &Name, known: &mut Known) -> Result<(), RegistryError> {
        let log = self.operations.registry().endpoint(name);
        if known.revision.is_none() {
            known.revision = log.latest().await?;
        }
        while let Some(revision) = &known.revision {
            let Some(newer) = log.read(revision.revision + 1).await? else { break };
            known.revision = Some(newer);
        }
        Ok(())
    }

    /// Tries the candidate, unless that has been done or nothing depends on it.
    async fn try_out(
        &self,
        entry: &Entry,
        follow: &Follow,
        spec: &EndpointSpec,
        rollout: &Rollout,
        known: &mut Known,
    ) -> Result<(), RegistryError> {
        let is_tried = known.trial.as_ref().is_some_and(|(tried, _)| tried == rollout);
        if rollout.stage != Stage::Checking || is_tried {
            return Ok(());
        }
        let Some(endpoint) = &entry.endpoint else { return Ok(()) };
        let Some(deployment) = deployment(endpoint, &rollout.candidate) else { return Ok(()) };
        let models = self.operations.registry().models();
        let version = models.usable(&rollout.model).await?;
        let baseline = match spec.deployments.get(&rollout.baseline) {
            Some(baseline) => models.find(&baseline.model).await?,
            None => None,
        };
        let (guard, registry) = (&follow.guard, self.operations.registry());
        let subject = Subject { registry, endpoint, deployment, guard, version: &version, baseline: baseline.as_ref() };
        let trial = subject.try_out().await?;
        tracing::info!(endpoint = %endpoint.name, model = %rollout.model, golden = trial.golden.sentence(guard), "candidate tried");
        known.trial = Some((rollout.clone(), trial));
        Ok(())
    }
}

/// The newest version of a model that bears the tags which are followed, and is neither archived nor deleted.
pub async fn newest(registry: &Registry, follow: &Follow) -> Result<Option<ModelVersion>, RegistryError> {
    let models = registry.models();
    for version in models.version_numbers(&follow.model).await?.rev() {
        let found = models.find(&ModelRef { name: follow.model.clone(), version }).await?;
        let fits = |found: &ModelVersion| {
            let meta = &found.meta;
            let has_tags = follow.tags.iter().all(|(key, value)| meta.tags.get(key) == Some(value));
            has_tags && !meta.archived && !meta.deleted
        };
        if let Some(found) = found.filter(fits) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether the candidate can answer here, as far as this server has come.
fn condition<'a>(entry: &'a Entry, revision: &Revision<EndpointSpec>, rollout: &Rollout) -> Condition<'a> {
    if entry.revision != Some(revision.revision) {
        return Condition::Loading;
    }
    let model = rollout.model.to_string();
    let standings =
        entry.deployments.iter().filter(|standing| standing.name == rollout.candidate && standing.model == model);
    standings.fold(Condition::Loading, |condition, standing| match &standing.state {
        State::Ready => Condition::Ready,
        State::Failed { reason } if condition != Condition::Ready && !standing.is_tried_again => {
            Condition::Failed { reason }
        }
        _ => condition,
    })
}

fn deployment<'a>(endpoint: &'a Endpoint, name: &Name) -> Option<&'a crate::deployment::Deployment> {
    endpoint.deployments.iter().find(|deployment| deployment.name == *name).map(Arc::as_ref)
}
