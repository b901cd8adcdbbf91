//! Why an operation on an endpoint was not carried out. The texts are for whoever asked, at a terminal or over HTTP.

use crate::config::ConfigError;
use crate::error::ErrorKind;
use crate::name::Name;
use crate::registry::{InvalidSpec, ModelRef, RegistryError, Share};
use crate::tensor::Signature;

/// Why an operation was not carried out. Nothing has been changed, but where the text says so.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("there is no endpoint '{name}'{}", hint(near.as_ref(), known))]
    UnknownEndpoint { name: Name, near: Option<Name>, known: Vec<Name> },
    #[error(
        "endpoint '{name}' was deleted in revision {revision}: `scoria endpoints history {name}` has what it was before, \
         `scoria rollback {name} --to REVISION` brings it back"
    )]
    DeletedEndpoint { name: Name, revision: u64 },
    #[error("the endpoint has no deployment '{name}'{}", hint(near.as_ref(), known))]
    UnknownDeployment { name: Name, near: Option<Name>, known: Vec<Name> },
    #[error("there is no model '{name}' in the registry{}", hint(near.as_ref(), known))]
    UnknownModel { name: Name, near: Option<Name>, known: Vec<Name> },
    #[error(
        "deployment '{deployment}' is there already and runs {model}: `scoria update` changes it, another --name adds one"
    )]
    Taken { deployment: Name, model: ModelRef },
    #[error("name the deployment (--name): those that would be made up are taken")]
    NoName,
    #[error("{0}")]
    Invalid(InvalidSpec),
    #[error("{0}")]
    Settings(ConfigError),
    #[error(
        "deployment '{deployment}' answers {share} of the requests: give its share to others first (`scoria traffic`), or \
         delete the endpoint"
    )]
    HasTraffic { deployment: Name, share: Share },
    #[error(
        "{model} is not of the endpoint's contract: expected {expected}, as {other} has it, got {got}; clients could not tell \
         which they get. Deploy it to an endpoint of its own"
    )]
    OtherContract { model: ModelRef, expected: Box<Signature>, other: ModelRef, got: Box<Signature> },
    #[error(
        "no rollout is under way, and which deployment is meant is not plain: name the candidate (--candidate); there are {}",
        known.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
    )]
    NothingToDecide { known: Vec<Name> },
    #[error("a rollout of {model} is under way: promote it or abort it first (`scoria ab`)")]
    UnderWay { model: ModelRef },
    #[error("there is nothing to roll back to: {0}")]
    NothingBefore(String),
    #[error("somebody else changed endpoint {0} at the same time, again and again; look at it, then try again")]
    Crowded(Name),
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

impl OperationError {
    /// What class of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            OperationError::Registry(error) => error.kind(),
            OperationError::UnknownEndpoint { .. }
            | OperationError::DeletedEndpoint { .. }
            | OperationError::UnknownDeployment { .. }
            | OperationError::UnknownModel { .. } => ErrorKind::NotFound,
            OperationError::Taken { .. } | OperationError::Crowded(_) => ErrorKind::Conflict,
            OperationError::NoName | OperationError::Invalid(_) | OperationError::Settings(_) => ErrorKind::BadInput,
            OperationError::HasTraffic { .. }
            | OperationError::OtherContract { .. }
            | OperationError::NothingToDecide { .. }
            | OperationError::UnderWay { .. }
            | OperationError::NothingBefore(_) => ErrorKind::Precondition,
            OperationError::Random(_) => ErrorKind::Internal,
        }
    }
}

/// The name that was probably meant, else those there are.
fn hint(near: Option<&Name>, known: &[Name]) -> String {
    /// More would bury the message.
    const SHOWN_MAX: usize = 12;
    match (near, known) {
        (Some(near), _) => format!("; did you mean '{near}'?"),
        (None, []) => "; there are none".to_owned(),
        (None, [one]) => format!("; there is {one}"),
        (None, many) => {
            let shown: Vec<_> = many.iter().take(SHOWN_MAX).map(Name::as_str).collect();
            let more = if many.len() > SHOWN_MAX { " …" } else { "" };
            format!("; there are {}{more}", shown.join(", "))
        }
    }
}
