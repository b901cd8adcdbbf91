//! Models of one name: which of them is meant is for the operator to say, so that none of them is served, and the others are.

use super::{Description, ModelSpec};

/// A model that was asked for, and how it came to its name.
#[derive(Clone, Debug)]
pub struct Found {
    pub spec: ModelSpec,
    pub origin: Origin,
}

/// How a model was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By `name=path`.
    Name,
    /// By its own path.
    Path,
    /// By a folder that holds others too.
    Folder,
}

/// Each name once, in order. Models that share one become a single one that is faulty and says so.
pub fn one_of_each_name(found: Vec<Found>) -> Vec<ModelSpec> {
    let renamed: Vec<_> =
        found.iter().filter(|found| found.origin == Origin::Name).map(|found| found.spec.clone()).collect();
    let mut groups: Vec<Vec<Found>> = Vec::new();
    for found in found {
        match groups.iter_mut().find(|group| group[0].spec.name == found.spec.name) {
            // What is asked for twice is still one model.
            Some(group) if group.iter().any(|other| is_same(&other.spec, &found.spec)) => {}
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    groups.into_iter().filter_map(|group| settle(group, &renamed)).collect()
}

/// Whose name it is.
fn settle(mut group: Vec<Found>, renamed: &[ModelSpec]) -> Option<ModelSpec> {
    if group.len() > 1 {
        // The operator has told these apart: what a folder brings along is served by the name that it was given.
        let has_own_name =
            |spec: &ModelSpec| renamed.iter().any(|other| other.name != spec.name && is_same(other, spec));
        group.retain(|found| found.origin != Origin::Folder || !has_own_name(&found.spec));
    }
    let paths: Vec<_> = group.iter().map(|found| found.spec.path.display().to_string()).collect();
    let mut spec = group.into_iter().next()?.spec;
    if let [.., last] = paths.as_slice()
        && paths.len() > 1
    {
        spec.description = Description::Faulty(format!(
            "{} models are called '{}', and none of them is served: {}; rename one, or name it: `other-name={last}`",
            paths.len(),
            spec.name,
            paths.join(" and ")
        ));
        spec.earlier.clear();
    }
    Some(spec)
}

/// Whether both are one file, whatever leads to it.
fn is_same(one: &ModelSpec, other: &ModelSpec) -> bool {
    let file = |spec: &ModelSpec| spec.path.canonicalize().unwrap_or_else(|_| spec.path.clone());
    one.path == other.path || file(one) == file(other)
}
