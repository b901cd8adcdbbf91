//! What there is to tell of a revision, and of a new version.

use serde_json::json;

use crate::name::Name;
use crate::registry::{EndpointSpec, ModelRef, ModelVersion, Revision};
use crate::webhook::{Event, EventKind};

/// The events of one revision of an endpoint, by what it changes.
pub fn of_endpoint(endpoint: &Name, before: Option<&EndpointSpec>, revision: &Revision<EndpointSpec>) -> Vec<Event> {
    let now = &revision.body;
    let source = format!("/endpoints/{endpoint}");
    let told = |deployment: &Name| {
        json!({
            "endpoint": endpoint, "deployment": deployment, "revision": revision.revision,
            "by": revision.by, "why": revision.why, "traffic": now.traffic, "default": now.default,
        })
    };
    let event = |kind, deployment: &Name, subject: String, mut data: serde_json::Value| {
        data["model"] = subject.clone().into();
        let number = format!("{}.{deployment}", revision.revision);
        Event::new(kind, source.clone(), &number, subject, revision.at, data)
    };
    let mut events = Vec::new();
    for (name, deployment) in &now.deployments {
        let old = before.and_then(|spec| spec.deployments.get(name));
        if old.is_some_and(|old| old.model == deployment.model) {
            continue;
        }
        // What a newer version of the same model has made way for was there before.
        match left_for(before, now, name) {
            Some((gone, newer)) => {
                let mut data = told(gone);
                data["back_to"] = deployment.model.to_string().into();
                events.push(event(EventKind::RolledBack, gone, newer.to_string(), data));
            }
            None => events.push(event(EventKind::ModelDeployed, name, deployment.model.to_string(), told(name))),
        }
    }
    // A candidate that is gone without having taken over.
    if let Some((spec, rollout)) = before.and_then(|spec| Some((spec, spec.rollout.as_ref()?)))
        && !now.deployments.contains_key(&rollout.candidate)
    {
        let mut data = told(&rollout.candidate);
        data["back_to"] = spec.deployments.get(&rollout.baseline).map(|old| old.model.to_string()).into();
        events.push(event(EventKind::RolledBack, &rollout.candidate, rollout.model.to_string(), data));
    }
    events
}

/// The newer version that the deployment `name` takes the place of: its own before, or that of a deployment which is gone.
fn left_for<'a>(before: Option<&'a EndpointSpec>, now: &EndpointSpec, name: &Name) -> Option<(&'a Name, &'a ModelRef)> {
    let model = &now.deployments.get(name)?.model;
    let is_left = |old: &Name| old == name || !now.deployments.contains_key(old);
    let mut left = before?.deployments.iter().filter(|(old, _)| is_left(old));
    let newer = |found: &ModelRef| found.name == model.name && found.version > model.version;
    left.find(|(_, old)| newer(&old.model)).map(|(name, old)| (name, &old.model))
}

/// The event of a new version.
pub fn of_model(version: &ModelVersion) -> Event {
    let manifest = &version.manifest;
    let model = manifest.model_ref().to_string();
    let data = json!({
        "model": model, "by": manifest.by, "sha256": manifest.content.digest, "description": manifest.description,
        "tags": manifest.tags, "properties": manifest.properties,
    });
    let source = format!("/models/{}", manifest.name);
    Event::new(EventKind::ModelRegistered, source, &manifest.version.to_string(), model, manifest.registered, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use crate::registry::{DeploymentSpec, Nonce, Rollout, Stage};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn spec(deployments: &[(&str, u64)]) -> EndpointSpec {
        let deployment = |(text, version): &(&str, u64)| {
            let model = ModelRef { name: name("ridge"), version: *version };
            (name(text), DeploymentSpec::of(model))
        };
        EndpointSpec { deployments: deployments.iter().map(deployment).collect(), ..EndpointSpec::default() }
    }

    fn told(before: &EndpointSpec, now: &EndpointSpec) -> Vec<(String, String)> {
        let revision = Revision {
            revision: 7,
            at: Moment::from_seconds(0),
            by: "me".to_owned(),
            why: "so".to_owned(),
            nonce: Nonce::generate().unwrap(),
            body: now.clone(),
        };
        let events = of_endpoint(&name("e"), Some(before), &revision);
        events.into_iter().map(|event| (event.id, event.subject)).collect()
    }

    fn event(id: &str, subject: &str) -> Vec<(String, String)> {
        vec![(format!("endpoints.e.7.{id}"), subject.to_owned())]
    }

    #[test]
    fn a_revision_is_told_by_what_it_changes() {
        let blue = |version| spec(&[("blue", version)]);
        assert_eq!(told(&blue(1), &blue(1)), []);
        assert_eq!(told(&blue(1), &blue(2)), event("blue.ModelDeployed", "ridge:2"));
        assert_eq!(told(&blue(2), &blue(1)), event("blue.RolledBack", "ridge:2"));
        let both = spec(&[("blue", 1), ("v2", 2)]);
        assert_eq!(told(&blue(1), &both), event("v2.ModelDeployed", "ridge:2"));
        assert_eq!(told(&both, &spec(&[("v2", 2)])), [], "it has taken over");
        assert_eq!(told(&spec(&[("v2", 2)]), &blue(1)), event("v2.RolledBack", "ridge:2"), "and is taken back");
        let rollout = Rollout {
            candidate: name("v2"),
            model: ModelRef { name: name("ridge"), version: 2 },
            baseline: name("blue"),
            begun_revision: 5,
            stage: Stage::Checking,
            since_revision: 5,
            since: Moment::from_seconds(0),
        };
        let under_way = EndpointSpec { rollout: Some(rollout), ..both };
        assert_eq!(told(&under_way, &blue(1)), event("v2.RolledBack", "ridge:2"));
    }
}
