//! What there is to tell of a revision, and of a new version.

use serde_json::json;

use crate::name::Name;
use crate::registry::{EndpointSpec, ModelVersion, Revision};
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
        match old {
            Some(old) if old.model == deployment.model => {}
            Some(old) if old.model.name == deployment.model.name && old.model.version > deployment.model.version => {
                let mut data = told(name);
                data["back_to"] = deployment.model.to_string().into();
                events.push(event(EventKind::RolledBack, name, old.model.to_string(), data));
            }
            _ => events.push(event(EventKind::ModelDeployed, name, deployment.model.to_string(), told(name))),
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
