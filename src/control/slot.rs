//! One name among an endpoint's deployments: what is wanted there, what answers there now, and what is being tried.

use std::sync::Arc;
use std::time::Instant;

use super::WantedDeployment;
use crate::deployment::{Deployment, Standing, State};
use crate::name::Name;
use crate::schedule::Scheduler;

/// A place for a deployment. What answers may differ from what is wanted: it answers until that has been loaded.
#[derive(Debug)]
pub struct Slot {
    pub wanted: WantedDeployment,
    pub serving: Option<Serving>,
    pub attempt: Attempt,
    /// How often in a row it could not be had.
    pub tries: u32,
    pub improvement: Improvement,
}

/// A deployment that answers.
#[derive(Debug)]
pub struct Serving {
    /// Tells it from every other that has been loaded.
    pub serial: u64,
    pub deployment: Arc<Deployment>,
    /// Its sessions, to be let go by the controller.
    pub scheduler: Arc<Scheduler>,
    /// What it was loaded for.
    pub wanted: WantedDeployment,
}

/// How far what is wanted has come, if it is not what answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing is to be done.
    None,
    /// In line to be loaded, under this serial number.
    Waiting(u64),
    Loading(u64),
    /// It cannot be loaded as it is.
    Failed {
        reason: String,
    },
    /// It could not be had, which may pass.
    Later {
        reason: String,
        at: Instant,
    },
}

/// How far what answers has come on the way to computing as it is meant to, with providers that build for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Improvement {
    /// Nothing is to be done.
    None,
    /// In line to be built, under this serial number.
    Waiting(u64),
    Building(u64),
    Failed {
        reason: String,
    },
}

impl Slot {
    pub fn new(wanted: WantedDeployment) -> Slot {
        Slot { wanted, serving: None, attempt: Attempt::None, tries: 0, improvement: Improvement::None }
    }

    /// What is to be told of it: of what answers, and of what is being tried beside it.
    pub fn standings(&self, name: &Name) -> Vec<Standing> {
        let is_tried_again = matches!(self.attempt, Attempt::Later { .. });
        let standing = |model: String, state| Standing { name: name.clone(), model, state, is_tried_again, note: None };
        let serving = self.serving.iter().map(|serving| Standing {
            note: self.note(serving),
            ..standing(serving.wanted.source.to_string(), State::Ready)
        });
        let state = match &self.attempt {
            Attempt::None => None,
            Attempt::Waiting(_) | Attempt::Loading(_) => Some(State::Loading),
            Attempt::Failed { reason } | Attempt::Later { reason, .. } => {
                Some(State::Failed { reason: reason.clone() })
            }
        };
        serving.chain(state.map(|state| standing(self.wanted.source.to_string(), state))).collect()
    }

    /// What is to be told of the providers that are still to come.
    fn note(&self, serving: &Serving) -> Option<String> {
        let model = &serving.deployment.model;
        let (pending, got) = (model.providers_pending.join(", "), model.providers_got.join(", "));
        match &self.improvement {
            Improvement::None => None,
            Improvement::Waiting(_) => Some(format!("in line to be built for {pending}; computed by {got} meanwhile")),
            Improvement::Building(_) => Some(format!("being built for {pending}; computed by {got} meanwhile")),
            Improvement::Failed { reason } => Some(format!("not built for {pending}: {reason}; computed by {got}")),
        }
    }
}
