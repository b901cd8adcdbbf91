//! What people and programs do to endpoints, the same from a terminal and over HTTP: read the latest revision, change it, append
//! the next one. Whoever was slower starts again from what is there by then; servers see the new revision and follow.

pub mod azure;
mod change;
mod comparison;
mod desk;
mod error;
mod keys;
mod replicas;
mod view;

use std::collections::BTreeMap;

pub use change::{Addition, Amendment};
pub use comparison::{Arm, Decision, Experiment};
pub use desk::Desk;
pub use error::OperationError;
pub use keys::{FreshKeys, KeyView};
pub use replicas::{ReplicaStanding, ReplicaView};
pub use view::{DeploymentView, EndpointView, RevisionView};

use super::statuses;
use crate::config::{Config, Overrides};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{
    Change, EndpointSpec, ModelRef, ModelSelector, Recommended, Registry, RegistryError, Revision, Share,
};
use crate::rollout::without_rollout;

/// How often an operation starts anew because somebody else was faster.
const TRIES_MAX: usize = 64;

/// Operations on the endpoints of a registry.
#[derive(Clone, Debug)]
pub struct Operations {
    registry: Registry,
    /// What settings are checked against.
    config: Config,
}

/// What [`Operations::deploy`] has done.
#[derive(Debug)]
pub struct Deployed {
    pub revision: Revision<EndpointSpec>,
    pub deployment: Name,
    /// The endpoint's keys, if it is new.
    pub keys: Option<FreshKeys>,
}

impl Operations {
    pub fn new(registry: Registry, config: Config) -> Operations {
        Operations { registry, config }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds a deployment to an endpoint, which is made if it is not there.
    pub async fn deploy(
        &self,
        endpoint: &Name,
        model: &ModelSelector,
        addition: impl Fn(ModelRef, Recommended) -> Addition,
        amendment: &Amendment,
        change: &Change,
    ) -> Result<Deployed, OperationError> {
        let (version, profile) = self.profiled(self.version(model).await?).await?;
        let addition = addition(version, profile);
        self.check_settings(&[&amendment.settings, &addition.settings])?;
        let (mut deployment, mut is_new) = (None, false);
        let revision = self
            .alter_or_make(endpoint, change, |spec| {
                let (mut next, name) = change::add(spec, &addition)?;
                amendment.apply(&mut next);
                deployment = Some(name);
                is_new = spec.is_none_or(|spec| spec.deleted);
                Ok(next)
            })
            .await?;
        let deployment = deployment.ok_or_else(|| OperationError::Crowded(endpoint.clone()))?;
        // Only one of those who make an endpoint at the same time has made its first revision. Until the keys are there, the
        // endpoint is open to nobody.
        let keys = if is_new { Some(self.make_keys(endpoint, change).await?) } else { None };
        Ok(Deployed { revision, deployment, keys })
    }

    /// Has a deployment run another model, or under other settings.
    pub async fn update(
        &self,
        endpoint: &Name,
        deployment: &Name,
        model: Option<&ModelSelector>,
        settings: &Overrides,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.check_settings(&[settings])?;
        // The endpoint first: a wrong name of it would be told as a wrong model otherwise.
        self.current(endpoint).await?;
        let model = match model {
            Some(model) => Some(self.profiled(self.version(model).await?).await?),
            None => None,
        };
        self.alter(endpoint, change, |spec| change::update(spec, deployment, model.as_ref(), settings)).await
    }

    /// Changes what holds for the whole endpoint.
    pub async fn amend(
        &self,
        endpoint: &Name,
        amendment: &Amendment,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.check_settings(&[&amendment.settings])?;
        self.alter(endpoint, change, |spec| {
            let mut next = spec.clone();
            amendment.apply(&mut next);
            next.check().map_err(OperationError::Invalid)?;
            Ok(next)
        })
        .await
    }

    /// Splits an endpoint's traffic anew.
    pub async fn traffic(
        &self,
        endpoint: &Name,
        shares: &BTreeMap<Name, Share>,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.alter(endpoint, change, |spec| change::traffic(spec, shares)).await
    }

    /// Says anew which deployments run an endpoint's answered requests again.
    pub async fn mirror(
        &self,
        endpoint: &Name,
        shares: &BTreeMap<Name, Share>,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.alter(endpoint, change, |spec| change::mirror(spec, shares)).await
    }

    /// Makes an endpoint again what it was at revision `to`, or before what it is now. Keys stay as they are.
    pub async fn rollback(
        &self,
        endpoint: &Name,
        to: Option<u64>,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        let log = self.registry.endpoint(endpoint);
        let current = match to {
            // What was deleted can be had again, by number.
            Some(_) => log.latest().await?.ok_or(RegistryError::NotFound { what: format!("endpoint {endpoint}") })?,
            None => self.current(endpoint).await?,
        };
        let target = match to {
            Some(number) => {
                let what = || RegistryError::NotFound { what: format!("revision {number} of endpoint {endpoint}") };
                log.read(number).await?.ok_or_else(what)?
            }
            None => self.before(endpoint, &current).await?,
        };
        if target.body.deleted {
            return Err(OperationError::NothingBefore(format!("at revision {} it was deleted", target.revision)));
        }
        let why = if change.why.is_empty() {
            format!("rolled back to revision {}", target.revision)
        } else {
            format!("rolled back to revision {}: {}", target.revision, change.why)
        };
        let change = Change { why, ..change.clone() };
        // Of the revision that was looked at: somebody else's later one is not to be rolled back unseen.
        // A rollout is nobody's to take up again by going back, and what the endpoint turns away from is not begun anew.
        self.append(endpoint, Some(&current), &change, without_rollout(&target.body, &current.body)).await
    }

    /// The last revision that differs from the current one.
    async fn before(
        &self,
        endpoint: &Name,
        current: &Revision<EndpointSpec>,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        let log = self.registry.endpoint(endpoint);
        for number in (1..current.revision).rev() {
            if let Some(earlier) = log.read(number).await?.filter(|earlier| earlier.body != current.body) {
                return Ok(earlier);
            }
        }
        Err(OperationError::NothingBefore(format!("endpoint {endpoint} has never been otherwise")))
    }

    /// Takes a deployment out of its endpoint.
    pub async fn remove(
        &self,
        endpoint: &Name,
        deployment: &Name,
        change: &Change,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.alter(endpoint, change, |spec| change::remove(spec, deployment)).await
    }

    /// Ends an endpoint. Its history stays.
    pub async fn delete(&self, endpoint: &Name, change: &Change) -> Result<Revision<EndpointSpec>, OperationError> {
        let revision = self.alter(endpoint, change, |_| Ok(change::delete())).await?;
        // Should there be an endpoint of this name again, it is not to be open to those who had keys of this one.
        drop(self.make_keys(endpoint, change).await?);
        Ok(revision)
    }

    /// All endpoints that are not deleted.
    pub async fn list(&self) -> Result<Vec<EndpointView>, OperationError> {
        let mut views = Vec::new();
        for name in self.registry.endpoints().await? {
            if let Some(revision) =
                self.registry.endpoint(&name).latest().await?.filter(|revision| !revision.body.deleted)
            {
                views.push(EndpointView::of(&name, &revision));
            }
        }
        Ok(views)
    }

    /// One endpoint, as it is to be, and what every server says of it.
    pub async fn show(&self, endpoint: &Name, now: Moment) -> Result<EndpointView, OperationError> {
        let view = EndpointView::of(endpoint, &self.current(endpoint).await?);
        let statuses = statuses(&self.registry, endpoint).await?;
        let replicas = statuses.into_iter().map(|(replica, status)| ReplicaView::of(replica, status, now));
        Ok(EndpointView { replicas: Some(replicas.collect()), ..view })
    }

    /// The last revisions of an endpoint, deleted or not, the newest first.
    pub async fn history(&self, endpoint: &Name, limit: usize) -> Result<Vec<RevisionView>, OperationError> {
        let revisions = self.registry.endpoint(endpoint).history(limit).await?;
        if revisions.is_empty() {
            return Err(self.unknown(endpoint).await?);
        }
        Ok(revisions.iter().map(RevisionView::of).collect())
    }

    /// What an endpoint is to be now; an error if there is none, or no more.
    pub async fn current(&self, endpoint: &Name) -> Result<Revision<EndpointSpec>, OperationError> {
        match self.registry.endpoint(endpoint).latest().await?.filter(|revision| !revision.body.deleted) {
            Some(revision) => Ok(revision),
            None => Err(self.unknown(endpoint).await?),
        }
    }

    /// Why there is no such endpoint: it was deleted, or never there; the others may be what was meant.
    async fn unknown(&self, name: &Name) -> Result<OperationError, RegistryError> {
        if let Some(last) = self.registry.endpoint(name).latest().await? {
            return Ok(OperationError::DeletedEndpoint { name: name.clone(), revision: last.revision });
        }
        let known = self.registry.endpoints().await?;
        Ok(OperationError::UnknownEndpoint { near: nearest(name, &known), name: name.clone(), known })
    }

    /// The version that is meant.
    async fn version(&self, model: &ModelSelector) -> Result<ModelRef, OperationError> {
        match self.registry.models().select(model).await {
            Ok(found) => Ok(found.manifest.model_ref()),
            Err(RegistryError::NotFound { what }) => {
                let known = self.registry.models().names().await?;
                if known.contains(&model.name) {
                    return Err(RegistryError::NotFound { what }.into());
                }
                Err(unknown_model(&model.name, known))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A version with what its profile recommends, if that can be set here.
    async fn profiled(&self, model: ModelRef) -> Result<(ModelRef, Recommended), OperationError> {
        let recommended = self.registry.models().recommended(&model).await?;
        match self.check_settings(&[&recommended]) {
            Ok(()) => Ok((model, recommended)),
            Err(error) => {
                tracing::warn!(%model, %error, "what its profile recommends cannot be set, and is left out");
                Ok((model, Recommended::new()))
            }
        }
    }

    fn check_settings(&self, layers: &[&Overrides]) -> Result<(), OperationError> {
        self.config.with_overrides(layers).map(drop).map_err(OperationError::Settings)
    }

    async fn alter(
        &self,
        endpoint: &Name,
        change: &Change,
        next: impl Fn(&EndpointSpec) -> Result<EndpointSpec, OperationError>,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.current(endpoint).await?;
        let missing = || OperationError::UnknownEndpoint { name: endpoint.clone(), near: None, known: Vec::new() };
        self.alter_or_make(endpoint, change, |spec| next(spec.filter(|spec| !spec.deleted).ok_or_else(missing)?)).await
    }

    /// Appends what `next` makes of the latest specification, whatever that is by then. What changes nothing appends nothing.
    async fn alter_or_make(
        &self,
        endpoint: &Name,
        change: &Change,
        mut next: impl FnMut(Option<&EndpointSpec>) -> Result<EndpointSpec, OperationError>,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        for _ in 0..TRIES_MAX {
            let latest = self.registry.endpoint(endpoint).latest().await?;
            let body = next(latest.as_ref().map(|latest| &latest.body))?;
            body.check().map_err(OperationError::Invalid)?;
            match latest {
                Some(latest) if latest.body == body => return Ok(latest),
                latest => match self.append(endpoint, latest.as_ref(), change, body).await {
                    Err(OperationError::Registry(RegistryError::Conflict { .. })) => {}
                    outcome => return outcome,
                },
            }
        }
        Err(OperationError::Crowded(endpoint.clone()))
    }

    /// Appends a revision after `latest`, once its models are known to fit each other and to be there.
    async fn append(
        &self,
        endpoint: &Name,
        latest: Option<&Revision<EndpointSpec>>,
        change: &Change,
        body: EndpointSpec,
    ) -> Result<Revision<EndpointSpec>, OperationError> {
        self.check_contract(latest.map(|latest| &latest.body), &body).await?;
        let previous = latest.map_or(0, |latest| latest.revision);
        let made = self.registry.endpoint(endpoint).append(previous, change, body).await?;
        // The name first and the tombstone after it, while whoever deletes looks the other way round: of two that meet, at least
        // one sees the other.
        for deployment in made.body.deployments.values() {
            if let Err(error) = self.registry.models().usable(&deployment.model).await {
                self.take_back(endpoint, &made, latest, change).await?;
                return Err(error.into());
            }
        }
        Ok(made)
    }

    /// Undoes a revision that names what has just been deleted, unless somebody has changed it since.
    async fn take_back(
        &self,
        endpoint: &Name,
        made: &Revision<EndpointSpec>,
        before: Option<&Revision<EndpointSpec>>,
        change: &Change,
    ) -> Result<(), OperationError> {
        let body = before.map_or_else(change::delete, |before| before.body.clone());
        let change = Change { why: "taken back: its model has been deleted".to_owned(), ..change.clone() };
        match self.registry.endpoint(endpoint).append(made.revision, &change, body).await {
            Err(RegistryError::Conflict { .. }) => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// All deployments of an endpoint share its contract, with those that were there before too: clients know it.
    async fn check_contract(&self, before: Option<&EndpointSpec>, after: &EndpointSpec) -> Result<(), OperationError> {
        let models = self.registry.models();
        let before: Vec<&ModelRef> =
            before.iter().flat_map(|spec| spec.deployments.values()).map(|it| &it.model).collect();
        let is_new = |model: &&ModelRef| !before.contains(model);
        let kept = after.deployments.values().map(|deployment| &deployment.model);
        let Some(reference) = before.first().copied().or_else(|| kept.clone().next()) else { return Ok(()) };
        let expected = match models.find(reference).await? {
            Some(found) => found.manifest.content.signature,
            None => return Err(RegistryError::NotFound { what: format!("model {reference}") }.into()),
        };
        for model in kept.filter(is_new) {
            let got = models.usable(model).await?.manifest.content.signature;
            if !got.is_like(&expected) {
                return Err(OperationError::OtherContract {
                    model: model.clone(),
                    expected: Box::new(expected),
                    other: reference.clone(),
                    got: Box::new(got),
                });
            }
        }
        Ok(())
    }
}

fn unknown_model(name: &Name, known: Vec<Name>) -> OperationError {
    OperationError::UnknownModel { near: nearest(name, &known), name: name.clone(), known }
}

/// The known name that was probably meant.
pub(super) fn nearest(name: &Name, known: &[Name]) -> Option<Name> {
    let near = known.iter().map(|known| (strsim::jaro_winkler(name.as_str(), known.as_str()), known));
    near.filter(|(similarity, _)| *similarity > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known.clone())
}
