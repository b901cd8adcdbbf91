//! What an operation makes of a specification. Pure: the latest one in, the next one out.

use std::collections::BTreeMap;

use super::OperationError;
use crate::config::Overrides;
use crate::name::Name;
use crate::registry::{DeploymentSpec, EndpointSpec, ModelRef, Recommended, Share, Sticky};

/// What deployments are called if nobody says.
const COLOURS: [&str; 2] = ["blue", "green"];

/// A deployment to be added.
#[derive(Clone, Debug)]
pub struct Addition {
    /// `None`: the first of `blue`, `green` that is free, then one made of the model's version.
    pub name: Option<Name>,
    pub model: ModelRef,
    /// What its version's profile recommends.
    pub profile: Recommended,
    /// Its share; by default everything for the first, nothing for others.
    pub traffic: Option<Share>,
    /// Of the deployment alone.
    pub settings: Overrides,
}

/// What else of an endpoint is to be changed. What is `None` or empty stays.
#[derive(Clone, Debug, Default)]
pub struct Amendment {
    pub settings: Overrides,
    pub tags: BTreeMap<String, String>,
    pub description: Option<String>,
    pub sticky: Option<Option<Sticky>>,
    pub default: Option<Name>,
}

impl Amendment {
    pub fn is_empty(&self) -> bool {
        let Amendment { settings, tags, description, sticky, default } = self;
        settings.is_empty() && tags.is_empty() && description.is_none() && sticky.is_none() && default.is_none()
    }

    /// Applies it.
    pub fn apply(&self, spec: &mut EndpointSpec) {
        spec.settings.extend(self.settings.clone());
        spec.tags.extend(self.tags.clone());
        if let Some(description) = &self.description {
            spec.description.clone_from(description);
        }
        if let Some(sticky) = &self.sticky {
            spec.sticky.clone_from(sticky);
        }
        if let Some(default) = &self.default {
            spec.default = Some(default.clone());
        }
    }
}

/// Adds a deployment, to a new endpoint if there is none. Gives its name.
pub fn add(spec: Option<&EndpointSpec>, addition: &Addition) -> Result<(EndpointSpec, Name), OperationError> {
    let mut next = spec.filter(|spec| !spec.deleted).cloned().unwrap_or_default();
    let name = match &addition.name {
        Some(name) => name.clone(),
        None => free_name(&next, &addition.model)?,
    };
    let Addition { model, profile, settings, .. } = addition.clone();
    let wanted = DeploymentSpec { model, profile, settings };
    match next.deployments.get(&name) {
        // Said twice, as by a script that is run again. It may have been profiled since.
        Some(there) if (&there.model, &there.settings) == (&wanted.model, &wanted.settings) => {}
        Some(there) => return Err(OperationError::Taken { deployment: name, model: there.model.clone() }),
        None => drop(next.deployments.insert(name.clone(), wanted)),
    }
    next.default.get_or_insert_with(|| name.clone());
    if let Some(share) = addition.traffic {
        give(&mut next, &name, share)?;
    }
    Ok((next, name))
}

/// Gives a deployment a share, at the cost of the default one.
fn give(spec: &mut EndpointSpec, name: &Name, share: Share) -> Result<(), OperationError> {
    let is_default = spec.default.as_ref() == Some(name);
    spec.traffic.insert(name.clone(), share);
    if !is_default && let Some(default) = &spec.default {
        // It has what is left.
        spec.traffic.remove(default);
    }
    spec.traffic.retain(|_, share| *share != Share::NONE);
    spec.check().map_err(OperationError::Invalid)
}

fn free_name(spec: &EndpointSpec, model: &ModelRef) -> Result<Name, OperationError> {
    let by_version = [format!("v{}", model.version), format!("{}-v{}", model.name, model.version)];
    let names = COLOURS.iter().map(|colour| (*colour).to_owned()).chain(by_version);
    let mut free = names.filter_map(|name| Name::parse(&name).ok()).filter(|name| !spec.deployments.contains_key(name));
    free.next().ok_or(OperationError::NoName)
}

/// Has a deployment run another model, as its profile recommends, or under other settings.
pub fn update(
    spec: &EndpointSpec,
    deployment: &Name,
    model: Option<&(ModelRef, Recommended)>,
    settings: &Overrides,
) -> Result<EndpointSpec, OperationError> {
    let mut next = spec.clone();
    let found = next.deployments.get_mut(deployment).ok_or_else(|| unknown_deployment(spec, deployment))?;
    if let Some((model, profile)) = model {
        (found.model, found.profile) = (model.clone(), profile.clone());
    }
    found.settings.extend(settings.clone());
    Ok(next)
}

/// Splits the traffic anew. What is given to nobody goes to the default deployment.
pub fn traffic(spec: &EndpointSpec, shares: &BTreeMap<Name, Share>) -> Result<EndpointSpec, OperationError> {
    known(spec, shares)?;
    let shares = shares.iter().filter(|(_, share)| **share != Share::NONE);
    let next = EndpointSpec { traffic: shares.map(|(name, share)| (name.clone(), *share)).collect(), ..spec.clone() };
    next.check().map_err(OperationError::Invalid)?;
    Ok(next)
}

/// Says anew who runs answered requests again.
pub fn mirror(spec: &EndpointSpec, shares: &BTreeMap<Name, Share>) -> Result<EndpointSpec, OperationError> {
    known(spec, shares)?;
    let shares = shares.iter().filter(|(_, share)| **share != Share::NONE);
    let next = EndpointSpec { mirror: shares.map(|(name, share)| (name.clone(), *share)).collect(), ..spec.clone() };
    next.check().map_err(OperationError::Invalid)?;
    Ok(next)
}

fn known(spec: &EndpointSpec, shares: &BTreeMap<Name, Share>) -> Result<(), OperationError> {
    let unknown = shares.keys().find(|name| !spec.deployments.contains_key(*name));
    unknown.map_or(Ok(()), |name| Err(unknown_deployment(spec, name)))
}

/// Takes a deployment out. One that answers, or is compared, is not taken from under its users.
pub fn remove(spec: &EndpointSpec, deployment: &Name) -> Result<EndpointSpec, OperationError> {
    if !spec.deployments.contains_key(deployment) {
        return Err(unknown_deployment(spec, deployment));
    }
    let share = spec.shares().get(deployment).copied().unwrap_or(Share::NONE);
    if share != Share::NONE {
        return Err(OperationError::HasTraffic { deployment: deployment.clone(), share });
    }
    let mut next = spec.clone();
    next.deployments.remove(deployment);
    next.traffic.remove(deployment);
    next.mirror.remove(deployment);
    if next.default.as_ref() == Some(deployment) {
        next.default = next.traffic.iter().max_by_key(|(_, share)| **share).map(|(name, _)| name.clone());
    }
    Ok(next)
}

/// The end of an endpoint, which keeps nothing but its history.
pub fn delete() -> EndpointSpec {
    EndpointSpec { deleted: true, ..EndpointSpec::default() }
}

fn unknown_deployment(spec: &EndpointSpec, name: &Name) -> OperationError {
    let known: Vec<Name> = spec.deployments.keys().cloned().collect();
    OperationError::UnknownDeployment { near: super::nearest(name, &known), name: name.clone(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn model(version: u64) -> ModelRef {
        ModelRef { name: name("ridge"), version }
    }

    fn percent(percent: f64) -> Share {
        Share::from_percent(percent).unwrap()
    }

    fn addition(version: u64) -> Addition {
        let (profile, settings) = (Recommended::new(), Overrides::new());
        Addition { name: None, model: model(version), profile, traffic: None, settings }
    }

    fn profile() -> Recommended {
        Recommended::from([("workers".to_owned(), 2.into())])
    }

    fn added(spec: Option<&EndpointSpec>, version: u64, traffic: Option<f64>) -> EndpointSpec {
        let addition = Addition { name: None, traffic: traffic.map(percent), ..addition(version) };
        add(spec, &addition).unwrap().0
    }

    fn shares(spec: &EndpointSpec) -> Vec<(String, f64)> {
        spec.shares().iter().map(|(name, share)| (name.to_string(), share.percent())).collect()
    }

    fn given(pairs: &[(&str, f64)]) -> BTreeMap<Name, Share> {
        pairs.iter().map(|(text, share)| (name(text), percent(*share))).collect()
    }

    #[test]
    fn the_first_answers_everything_and_the_next_nothing_until_it_is_given_a_share() {
        let first = added(None, 1, None);
        assert_eq!(shares(&first), [("blue".to_owned(), 100.0)]);
        let second = added(Some(&first), 2, None);
        assert_eq!(shares(&second), [("blue".to_owned(), 100.0), ("green".to_owned(), 0.0)]);
        let third = added(Some(&second), 3, Some(10.0));
        assert_eq!(shares(&third), [("blue".to_owned(), 90.0), ("green".to_owned(), 0.0), ("v3".to_owned(), 10.0)]);
        let split = traffic(&third, &given(&[("green", 30.0), ("v3", 0.0)])).unwrap();
        assert_eq!(shares(&split), [("blue".to_owned(), 70.0), ("green".to_owned(), 30.0), ("v3".to_owned(), 0.0)]);
        let error = traffic(&third, &given(&[("green", 60.0), ("blue", 41.0)])).unwrap_err().to_string();
        assert!(error.contains("101 %"), "{error}");
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
        let first = added(None, 1, None);
        let again = |version| {
            let addition = Addition { name: Some(name("blue")), profile: profile(), ..addition(version) };
            add(Some(&first), &addition)
        };
        assert_eq!(again(1).unwrap().0, first, "said twice, and profiled in between");
        assert!(again(2).unwrap_err().to_string().contains("scoria update"));
    }

    #[test]
    fn another_version_brings_its_own_profile_and_what_was_set_stays() {
        let given = Overrides::from([("max_batch".to_owned(), 8.into())]);
        let first = add(None, &Addition { profile: profile(), settings: given.clone(), ..addition(1) }).unwrap().0;
        let (second, third) = ((model(2), Recommended::new()), (model(3), profile()));
        let blue = |spec: &EndpointSpec| spec.deployments[&name("blue")].clone();
        assert_eq!(blue(&first).profile, profile());
        let same = update(&first, &name("blue"), None, &given).unwrap();
        assert_eq!(blue(&same).profile, profile());
        let updated = update(&first, &name("blue"), Some(&second), &Overrides::new()).unwrap();
        assert_eq!((blue(&updated).profile, blue(&updated).settings), (Recommended::new(), given));
        let updated = update(&updated, &name("blue"), Some(&third), &Overrides::new()).unwrap();
        assert_eq!(blue(&updated).profile, profile());
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_the_near_one() {
        let spec = added(None, 1, None);
        let error = traffic(&spec, &given(&[("bleu", 10.0)])).unwrap_err().to_string();
        assert!(error.contains("did you mean 'blue'"), "{error}");
        let error =
            update(&spec, &name("zzz"), Some(&(model(2), profile())), &Overrides::new()).unwrap_err().to_string();
        assert!(error.contains("there is blue"), "{error}");
    }

    #[test]
    fn what_answers_is_not_removed_and_the_default_passes_on() {
        let spec = added(Some(&added(None, 1, None)), 2, None);
        assert!(matches!(remove(&spec, &name("blue")), Err(OperationError::HasTraffic { .. })));
        let moved = traffic(&spec, &given(&[("green", 100.0)])).unwrap();
        let left = remove(&moved, &name("blue")).unwrap();
        assert_eq!((left.default.clone(), shares(&left)), (Some(name("green")), vec![("green".to_owned(), 100.0)]));
        assert!(remove(&left, &name("green")).is_err());
    }

    #[test]
    fn an_endpoint_that_was_deleted_begins_anew() {
        let again = added(Some(&delete()), 4, None);
        assert!(!again.deleted);
        assert_eq!(again.deployments[&name("blue")].model, model(4));
    }
}
