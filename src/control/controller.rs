//! The only publisher of the routing table: brings what is served in line with what is wanted.
//!
//! What is new is loaded and warmed beside what answers, which goes on answering; then a table with the new one is published, and
//! the old one drains: requests in progress finish, and then its memory is given back. What cannot be loaded leaves the old one
//! in place, with the reason in its state. Changes of traffic, keys and time limits load nothing.
//!
//! A state machine without threads or clocks of its own: [`Controller::want`], [`Controller::next_job`],
//! [`Controller::loaded`], [`Controller::drained`]. `threads.rs` drives it in a server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::publication::Publication;
use super::slot::{Attempt, Improvement, Serving, Slot};
use super::{Seat, Wanted, WantedDeployment};
use crate::deployment::{
    Beginning, Deployment, Dice, Entry, Lifeline, MirrorThread, Routing, RoutingTable, Standing, State, Statistics,
};
use crate::memory;
use crate::name::Name;
use crate::schedule::Scheduler;
use crate::telemetry::{Metrics, ModelLabels};

/// How long what could not be had is left alone: at first, and at most.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What a controller works with.
pub struct Means {
    pub metrics: Arc<Metrics>,
    pub routing: Arc<Routing>,
    /// The endpoint that `POST /score` means, if the operator has said so.
    pub default_endpoint: Option<Name>,
    pub dice: Arc<Dice>,
    /// Told a serial number when nobody uses that deployment any more; must not wait.
    pub drained: Arc<dyn Fn(u64) + Send + Sync>,
}

/// Brings what is served in line with what was asked for.
pub struct Controller {
    means: Means,
    mirror: Option<MirrorThread>,
    endpoints: BTreeMap<Name, Governed>,
    draining: BTreeMap<u64, Draining>,
    /// What has been published of each endpoint.
    entries: BTreeMap<Name, Entry>,
    next_serial: u64,
    beginning: Beginning,
}

/// An endpoint and its deployments.
#[derive(Debug)]
pub(super) struct Governed {
    pub(super) wanted: Wanted,
    pub(super) slots: BTreeMap<Name, Slot>,
    /// What has been counted; it goes on from one revision to the next.
    pub(super) statistics: Arc<Statistics>,
}

/// A deployment that takes no more requests.
struct Draining {
    seat: Seat,
    standing: Standing,
    /// Held so that the last request does not have to let go of the sessions.
    _scheduler: Arc<Scheduler>,
}

/// A model to be loaded.
#[derive(Clone, Debug)]
pub struct Job {
    pub serial: u64,
    pub seat: Seat,
    pub wanted: WantedDeployment,
    pub part: Part,
}

/// Which of the providers that are asked for a model is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those that need not be built for first, if there are others.
    AtOnce,
    /// All of them, for a deployment that answers without them meanwhile.
    Whole,
}

/// What became of a job.
#[derive(Debug)]
pub struct Done {
    pub serial: u64,
    pub seat: Seat,
    pub part: Part,
    pub took: Duration,
    pub outcome: Result<Deployment, NotLoaded>,
}

/// Why there is no deployment. The reason is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotLoaded {
    pub reason: String,
    /// Whether the same may go well another time, as after an outage.
    pub is_transient: bool,
}

impl Controller {
    pub fn new(means: Means) -> Controller {
        Controller {
            means,
            mirror: None,
            endpoints: BTreeMap::new(),
            draining: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_serial: 1,
            beginning: Beginning::Unknown,
        }
    }

    /// All that is wanted at first has been told: a server that has loaded it is ready.
    pub fn begin(&mut self) {
        if self.beginning == Beginning::Unknown {
            self.beginning = Beginning::Loading;
            self.publish_table();
        }
    }

    /// Whether that has just been reached, once.
    pub fn has_just_begun(&mut self) -> bool {
        let is_over = self.beginning == Beginning::Loading && self.is_settled();
        if is_over {
            self.beginning = Beginning::Over;
            self.publish_table();
        }
        is_over
    }

    /// Takes over how an endpoint is to be, and publishes what of it needs no loading.
    pub fn want(&mut self, wanted: Wanted) {
        let name = wanted.name.clone();
        let before = self.endpoints.remove(&name).map(|governed| (governed.slots, governed.statistics));
        let (mut slots, statistics) = before.unwrap_or_default();
        let gone: Vec<_> = slots.keys().filter(|slot| !wanted.deployments.contains_key(*slot)).cloned().collect();
        let gone: Vec<_> = gone.into_iter().filter_map(|slot| slots.remove_entry(&slot)).collect();
        for (deployment, want) in &wanted.deployments {
            let slot = slots.entry(deployment.clone()).or_insert_with(|| Slot::new(want.clone()));
            let serial = self.next_serial;
            self.next_serial += 1;
            settle(slot, want, serial);
            if slot.serving.is_none() {
                self.means.metrics.not_ready(name.as_str(), deployment.as_str());
            }
        }
        self.endpoints.insert(name.clone(), Governed { wanted, slots, statistics });
        self.publish(&name);
        for (deployment, slot) in gone {
            let seat = Seat { endpoint: name.clone(), deployment };
            self.means.metrics.deployment_gone(seat.endpoint.as_str(), seat.deployment.as_str());
            slot.serving.into_iter().for_each(|serving| self.retire(&seat, serving));
        }
    }

    /// Stops serving an endpoint.
    pub fn forget(&mut self, name: &Name) {
        let Some(governed) = self.endpoints.remove(name) else { return };
        self.publish(name);
        for (deployment, slot) in governed.slots {
            let seat = Seat { endpoint: name.clone(), deployment };
            self.means.metrics.deployment_gone(seat.endpoint.as_str(), seat.deployment.as_str());
            slot.serving.into_iter().for_each(|serving| self.retire(&seat, serving));
        }
    }

    /// The names of all endpoints that are wanted.
    pub fn names(&self) -> BTreeSet<Name> {
        self.endpoints.keys().cloned().collect()
    }

    /// The model to be loaded next, if one is to be loaded.
    pub fn next_job(&mut self, now: Instant) -> Option<Job> {
        let waiting = |slot: &Slot| match slot.attempt {
            Attempt::Waiting(serial) => Some(serial),
            Attempt::Later { at, .. } if at <= now => Some(u64::MAX),
            _ => None,
        };
        let slots = self.endpoints.iter_mut().flat_map(|(endpoint, governed)| {
            let default = governed.wanted.default.clone();
            governed.slots.iter_mut().map(move |(name, slot)| (endpoint, default.as_ref() != Some(name), name, slot))
        });
        // The default one first: it answers most, and its signature is the endpoint's.
        let due = slots.filter_map(|(endpoint, is_other, name, slot)| {
            waiting(slot).map(|serial| ((is_other, serial), endpoint, name, slot))
        });
        let (_, endpoint, name, slot) = due.min_by_key(|(order, ..)| *order)?;
        let serial = if let Attempt::Waiting(serial) = slot.attempt { serial } else { self.next_serial };
        self.next_serial = self.next_serial.max(serial + 1);
        slot.attempt = match slot.attempt {
            Attempt::Later { .. } | Attempt::Waiting(_) => Attempt::Loading(serial),
            _ => return None,
        };
        let seat = Seat { endpoint: endpoint.clone(), deployment: name.clone() };
        Some(Job { serial, seat, wanted: slot.wanted.clone(), part: Part::AtOnce })
    }

    /// The deployment that is to be built for its best providers next, if there is one. It answers meanwhile.
    pub fn next_improvement(&mut self) -> Option<Job> {
        let slots = self
            .endpoints
            .iter_mut()
            .flat_map(|(endpoint, governed)| governed.slots.iter_mut().map(move |(name, slot)| (endpoint, name, slot)));
        let waiting = slots.filter_map(|(endpoint, name, slot)| match slot.improvement {
            Improvement::Waiting(serial) => Some((serial, endpoint, name, slot)),
            _ => None,
        });
        let (serial, endpoint, name, slot) = waiting.min_by_key(|(serial, ..)| *serial)?;
        slot.improvement = Improvement::Building(serial);
        let seat = Seat { endpoint: endpoint.clone(), deployment: name.clone() };
        let job = Job { serial, seat, wanted: slot.wanted.clone(), part: Part::Whole };
        let endpoint = endpoint.clone();
        self.tell_states(&endpoint);
        Some(job)
    }

    /// When a job that could not be done is to be tried again.
    pub fn next_try(&self) -> Option<Instant> {
        let slots = self.endpoints.values().flat_map(|governed| governed.slots.values());
        slots.filter_map(|slot| if let Attempt::Later { at, .. } = slot.attempt { Some(at) } else { None }).min()
    }

    /// Whether nothing is being loaded, or in line to be.
    pub fn is_settled(&self) -> bool {
        let mut slots = self.endpoints.values().flat_map(|governed| governed.slots.values());
        !slots.any(|slot| matches!(slot.attempt, Attempt::Waiting(_) | Attempt::Loading(_)))
    }

    /// Takes over what became of a job: from here on, the new deployment answers.
    pub fn loaded(&mut self, done: Done, now: Instant) {
        let Done { serial, seat, part, took, outcome } = done;
        let slot = self.slot(&seat).filter(|slot| match part {
            Part::AtOnce => slot.attempt == Attempt::Loading(serial),
            Part::Whole => slot.improvement == Improvement::Building(serial),
        });
        // Meanwhile something else is wanted; what was loaded goes as it came.
        if slot.is_none() {
            drop(outcome);
            return memory::give_back();
        }
        let outcome = outcome.and_then(|deployment| match self.contradiction(&seat, &deployment) {
            Some(reason) => Err(NotLoaded { reason, is_transient: false }),
            None => Ok(deployment),
        });
        match outcome {
            Ok(deployment) => self.swap_in(serial, &seat, deployment, took),
            Err(error) if part == Part::Whole => self.note_no_improvement(&seat, error, took),
            Err(error) => self.note_failure(&seat, error, took, now),
        }
        // The file was in memory as a whole, and again as what engines make of it on the way.
        memory::give_back();
    }

    fn swap_in(&mut self, serial: u64, seat: &Seat, mut deployment: Deployment, took: Duration) {
        tell_loaded(seat, &deployment, took);
        let drained = Arc::clone(&self.means.drained);
        deployment.lifeline = Arc::new(Lifeline::new(move || drained(serial)));
        let next = self.next_serial;
        self.next_serial += 1;
        let Some(slot) = self.slot(seat) else { return };
        // Its limits may have been changed while it was loaded.
        deployment.scoring_timeout = slot.wanted.settings.endpoint.scoring_timeout;
        let is_whole = deployment.model.providers_pending.is_empty();
        let deployment = Arc::new(deployment);
        let scheduler = Arc::clone(&deployment.scheduler);
        let serving = Serving { serial, deployment: Arc::clone(&deployment), scheduler, wanted: slot.wanted.clone() };
        serving.scheduler.set_limits(slot.wanted.settings.queue);
        let old = slot.serving.replace(serving);
        slot.attempt = Attempt::None;
        slot.improvement = if is_whole { Improvement::None } else { Improvement::Waiting(next) };
        self.publish(&seat.endpoint);
        if let Some(old) = old {
            self.retire(seat, old);
        }
        self.means.metrics.model_ready(labels(seat, &deployment), took);
    }

    /// What answers goes on as it is.
    fn note_no_improvement(&mut self, seat: &Seat, error: NotLoaded, took: Duration) {
        let Some(slot) = self.slot(seat) else { return };
        slot.improvement = Improvement::Failed { reason: error.reason.clone() };
        let took_ms = took.as_millis() as u64;
        tracing::warn!(endpoint = %seat.endpoint, deployment = %seat.deployment, %error, took_ms, "not built; serving on without");
        self.tell_states(&seat.endpoint);
    }

    fn note_failure(&mut self, seat: &Seat, error: NotLoaded, took: Duration, now: Instant) {
        let took_ms = took.as_millis() as u64;
        let Some(slot) = self.slot(seat) else { return };
        let (model, still_serving) = (slot.wanted.source.to_string(), slot.serving.is_some());
        slot.attempt = if error.is_transient {
            let wait = RETRY_MAX.min(RETRY_MIN * 2u32.saturating_pow(slot.tries.min(10)));
            slot.tries += 1;
            Attempt::Later { reason: error.reason.clone(), at: now + wait }
        } else {
            Attempt::Failed { reason: error.reason.clone() }
        };
        tracing::error!(
            endpoint = %seat.endpoint, deployment = %seat.deployment, model, %error, took_ms, still_serving, "model not loaded"
        );
        self.publish(&seat.endpoint);
    }

    /// Why a deployment cannot be one of its endpoint's: they share a contract.
    fn contradiction(&self, seat: &Seat, deployment: &Deployment) -> Option<String> {
        let slots = &self.endpoints.get(&seat.endpoint)?.slots;
        let others = slots.iter().filter(|(name, _)| **name != seat.deployment);
        let (name, other) = others.filter_map(|(name, slot)| Some((name, slot.serving.as_ref()?))).next()?;
        let is_same = deployment.signature.is_like(&other.deployment.signature);
        (!is_same).then(|| {
            format!(
                "its inputs and outputs are not those of deployment '{name}': expected {}, got {}; \
                 all deployments of an endpoint share one contract",
                other.deployment.signature, deployment.signature
            )
        })
    }

    /// Lets a deployment that no table names any more go, once nobody uses it.
    fn retire(&mut self, seat: &Seat, serving: Serving) {
        self.means.metrics.model_gone(labels(seat, &serving.deployment));
        let standing = Standing {
            name: seat.deployment.clone(),
            model: serving.wanted.source.to_string(),
            state: State::Draining,
            is_tried_again: false,
            note: None,
        };
        let draining = Draining { seat: seat.clone(), standing, _scheduler: serving.scheduler };
        self.draining.insert(serving.serial, draining);
        self.tell_states(&seat.endpoint);
        // The last reference but those of requests in progress; it may be the very last.
        drop(serving.deployment);
    }

    /// Nobody uses this deployment any more.
    pub fn drained(&mut self, serial: u64) {
        let Some(draining) = self.draining.remove(&serial) else { return };
        let seat = draining.seat.clone();
        drop(draining);
        tracing::info!(endpoint = %seat.endpoint, deployment = %seat.deployment, "old deployment drained");
        self.tell_states(&seat.endpoint);
        memory::give_back();
    }

    fn slot(&mut self, seat: &Seat) -> Option<&mut Slot> {
        self.endpoints.get_mut(&seat.endpoint)?.slots.get_mut(&seat.deployment)
    }

    /// Publishes an endpoint as it is now.
    fn publish(&mut self, name: &Name) {
        let previous = self.entries.get(name).and_then(|entry| entry.endpoint.clone());
        let Some(governed) = self.endpoints.get(name) else {
            self.entries.remove(name);
            return self.publish_table();
        };
        let publication = Publication {
            governed,
            previous: previous.as_deref(),
            metrics: &self.means.metrics,
            dice: &self.means.dice,
        };
        let endpoint = publication.endpoint(&mut self.mirror).map(Arc::new);
        let entry =
            Entry { endpoint, state: governed.state(), revision: governed.wanted.revision, deployments: Vec::new() };
        self.entries.insert(name.clone(), entry);
        self.tell_states(name);
    }

    /// Publishes the states of an endpoint's deployments.
    fn tell_states(&mut self, name: &Name) {
        let (Some(entry), Some(governed)) = (self.entries.get_mut(name), self.endpoints.get(name)) else { return };
        let slots = governed.slots.iter().flat_map(|(name, slot)| slot.standings(name));
        let draining = self.draining.values().filter(|draining| draining.seat.endpoint == *name);
        entry.deployments = slots.chain(draining.map(|draining| draining.standing.clone())).collect();
        self.publish_table();
    }

    fn publish_table(&self) {
        let default = self.means.default_endpoint.clone().or_else(|| {
            let named_default = Name::parse("default").ok()?;
            self.entries.contains_key(&named_default).then_some(named_default)
        });
        self.means.routing.publish(RoutingTable::new(self.entries.clone(), default, self.beginning));
    }
}

impl Governed {
    /// Ready if anything answers; loading as long as something may yet.
    fn state(&self) -> State {
        let slots = || self.slots.values();
        if slots().any(|slot| slot.serving.is_some()) {
            return State::Ready;
        }
        let reason = |slot: &Slot| match &slot.attempt {
            Attempt::Failed { reason } | Attempt::Later { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        if slots().any(|slot| matches!(slot.attempt, Attempt::Waiting(_) | Attempt::Loading(_))) {
            return State::Loading;
        }
        let reason = slots().find_map(reason).unwrap_or_else(|| "it has no deployments".to_owned());
        State::Failed { reason }
    }
}

/// Decides what a slot needs to become what is wanted there.
fn settle(slot: &mut Slot, want: &WantedDeployment, serial: u64) {
    let is_loading_it =
        matches!(slot.attempt, Attempt::Waiting(_) | Attempt::Loading(_)) && slot.wanted.loads_like(want);
    slot.wanted = want.clone();
    if let Some(serving) = slot.serving.as_mut().filter(|serving| serving.wanted.loads_like(want)) {
        slot.attempt = Attempt::None;
        if let Improvement::Failed { .. } = slot.improvement {
            slot.improvement = Improvement::Waiting(serial);
        }
        serving.scheduler.set_limits(want.settings.queue);
        if serving.deployment.scoring_timeout != want.settings.endpoint.scoring_timeout {
            // The same sessions under other terms.
            let scoring_timeout = want.settings.endpoint.scoring_timeout;
            serving.deployment = Arc::new(Deployment { scoring_timeout, ..Deployment::clone(&serving.deployment) });
        }
        serving.wanted = want.clone();
    } else if !is_loading_it {
        // What failed is tried again: a new revision is how an operator asks for it.
        slot.attempt = Attempt::Waiting(serial);
        slot.tries = 0;
        // It would be of what answers now, which is on its way out.
        slot.improvement = Improvement::None;
    }
}

fn labels<'a>(seat: &'a Seat, deployment: &'a Deployment) -> ModelLabels<'a> {
    ModelLabels {
        endpoint: seat.endpoint.as_str(),
        deployment: seat.deployment.as_str(),
        model_version: deployment.model.version,
        engine: deployment.engine.name,
        engine_version: &deployment.engine.version,
        provider: deployment.model.providers_got.first().map_or("none", String::as_str),
        digest: &deployment.model.digest,
    }
}

fn tell_loaded(seat: &Seat, deployment: &Deployment, took: Duration) {
    tracing::info!(
        endpoint = %seat.endpoint,
        deployment = %seat.deployment,
        version = deployment.model.version,
        engine = deployment.engine.name,
        providers = deployment.model.providers_got.join(","),
        execution = deployment.plan.execution.name(),
        workers = deployment.plan.workers,
        intra_op_threads = deployment.plan.intra_op_threads,
        max_batch = deployment.plan.max_batch,
        took_ms = took.as_millis() as u64,
        "model loaded"
    );
    for (provider, reason) in &deployment.model.providers_missing {
        tracing::warn!(endpoint = %seat.endpoint, provider, reason, "execution provider could not be used");
    }
}
