//! Specifications of an endpoint on the way from one version to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{DeploymentSpec, EndpointSpec, ModelRef, Rollout, Share, Stage};

/// Refused versions that are remembered: the newest.
const REFUSED_MAX: usize = 1_000;

/// When, and with which revision, a specification is to be.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub revision: u64,
    pub at: Moment,
}

/// The deployment that a new version is to replace: the default one, else the one with the most traffic.
pub fn baseline(spec: &EndpointSpec) -> Option<&Name> {
    let named = spec.default.as_ref().filter(|name| spec.deployments.contains_key(*name));
    let share = |name: &Name| spec.traffic.get(name).copied().unwrap_or_default();
    named.or_else(|| spec.deployments.keys().rev().max_by_key(|name| share(name)))
}

/// The traffic that the candidate and the baseline have together.
pub fn common_share(spec: &EndpointSpec, candidate: &Name, baseline: &Name) -> Share {
    let is_theirs = |name: &Name| name == candidate || name == baseline;
    let sum = |theirs: bool| -> u32 {
        let shares = spec.traffic.iter().filter(|(name, _)| is_theirs(name) == theirs);
        shares.map(|(_, share)| u32::from(share.hundredths())).sum()
    };
    // What is given to nobody is the default's.
    let has_rest = spec.default.as_ref().is_none_or(is_theirs);
    let (theirs, others) = (sum(true), sum(false));
    let whole = u32::from(Share::WHOLE);
    Share::rest_after(if has_rest { others.min(whole) } else { whole - theirs.min(whole) }).unwrap_or_default()
}

/// The candidate's share in a stage.
pub fn share_of(common: Share, steps: &[Share], stage: Stage) -> Share {
    let step = match stage {
        Stage::Checking => Share::NONE,
        Stage::Step(index) => steps.get(index).copied().unwrap_or(Share::ALL),
    };
    let part = u32::from(common.hundredths()) * u32::from(step.hundredths());
    // A step never rounds down to nothing.
    let part = part.div_ceil(u32::from(Share::WHOLE)).min(u32::from(common.hundredths()));
    Share::rest_after(u32::from(Share::WHOLE) - part).unwrap_or_default()
}

/// A specification with the candidate in, and no traffic for it yet. `None` if the endpoint follows nothing or has no deployment.
pub fn begun(spec: &EndpointSpec, model: &ModelRef, next: Next) -> Option<EndpointSpec> {
    let guard = &spec.follow.as_ref()?.guard;
    let baseline = baseline(spec)?.clone();
    let settings = spec.deployments.get(&baseline)?.settings.clone();
    let candidate = free_name(spec, model)?;
    let mut begun = spec.clone();
    // Whoever has been the default without having been named stays it.
    begun.default.get_or_insert_with(|| baseline.clone());
    begun.deployments.insert(candidate.clone(), DeploymentSpec { settings, ..DeploymentSpec::of(model.clone()) });
    if guard.mirror > Share::NONE {
        begun.mirror.insert(candidate.clone(), guard.mirror);
    }
    begun.rollout = Some(Rollout {
        candidate,
        model: model.clone(),
        baseline,
        begun_revision: next.revision,
        stage: Stage::Checking,
        since_revision: next.revision,
        since: next.at,
    });
    Some(begun)
}

/// The first version of an endpoint that has no deployment: there is nothing to be compared with, and nobody to be hurt.
pub fn first(spec: &EndpointSpec, model: &ModelRef) -> Option<EndpointSpec> {
    let name = free_name(spec, model)?;
    let mut first = spec.clone();
    first.deployments.insert(name.clone(), DeploymentSpec::of(model.clone()));
    first.default = Some(name);
    Some(first)
}

/// A specification one stage further on; `None` after the last.
pub fn advanced(spec: &EndpointSpec, rollout: &Rollout, next: Next) -> Option<EndpointSpec> {
    let steps = &spec.follow.as_ref()?.guard.steps;
    let index = match rollout.stage {
        Stage::Checking => 0,
        Stage::Step(index) => index + 1,
    };
    let stage = Stage::Step(index);
    (index < steps.len()).then(|| {
        let common = common_share(spec, &rollout.candidate, &rollout.baseline);
        let share = share_of(common, steps, stage);
        let mut advanced = spec.clone();
        set_share(&mut advanced, &rollout.candidate, share);
        let rest = u32::from(common.hundredths() - share.hundredths());
        set_share(
            &mut advanced,
            &rollout.baseline,
            Share::rest_after(u32::from(Share::WHOLE) - rest).unwrap_or_default(),
        );
        advanced.rollout = Some(Rollout { stage, since_revision: next.revision, since: next.at, ..rollout.clone() });
        advanced
    })
}

/// A specification in which the candidate has taken the baseline's place.
pub fn finished(spec: &EndpointSpec, rollout: &Rollout) -> EndpointSpec {
    replace(spec, &rollout.baseline, &rollout.candidate)
}

/// A specification without the candidate. A version that was found wanting is not tried again.
pub fn rolled_back(spec: &EndpointSpec, rollout: &Rollout, found_wanting: bool) -> EndpointSpec {
    let back = replace(spec, &rollout.candidate, &rollout.baseline);
    if found_wanting { refused(&back, Some(&rollout.model)) } else { back }
}

/// A specification that does not try a version again.
pub fn refused(spec: &EndpointSpec, model: Option<&ModelRef>) -> EndpointSpec {
    let mut refused = spec.clone();
    if let (Some(follow), Some(model)) = (&mut refused.follow, model) {
        follow.refused.insert(model.version);
        while follow.refused.len() > REFUSED_MAX {
            follow.refused.pop_first();
        }
    }
    refused
}

/// What an operator's `promote` makes of an endpoint: the candidate of a rollout takes over at once; without one, `candidate` gets
/// all traffic, and the others stay without any. `None` if there is nothing to promote.
pub fn promote(spec: &EndpointSpec, candidate: Option<&Name>) -> Option<EndpointSpec> {
    if let Some(rollout) =
        spec.rollout.as_ref().filter(|rollout| candidate.is_none_or(|name| *name == rollout.candidate))
    {
        return Some(finished(spec, rollout));
    }
    let candidate = candidate.or_else(|| only_candidate(spec))?;
    spec.deployments.contains_key(candidate).then(|| {
        let mut promoted = spec.clone();
        promoted.traffic = BTreeMap::from([(candidate.clone(), Share::ALL)]);
        promoted.mirror.remove(candidate);
        promoted.default = Some(candidate.clone());
        promoted
    })
}

/// What an operator's `abort` makes of an endpoint: the candidate of a rollout goes, and is not tried again; without one,
/// `candidate` loses its traffic to the default deployment. `None` if there is nothing to abort.
pub fn abort(spec: &EndpointSpec, candidate: Option<&Name>) -> Option<EndpointSpec> {
    if let Some(rollout) =
        spec.rollout.as_ref().filter(|rollout| candidate.is_none_or(|name| *name == rollout.candidate))
    {
        return Some(rolled_back(spec, rollout, true));
    }
    let candidate = candidate.or_else(|| only_candidate(spec))?;
    let baseline = baseline(spec)?;
    (spec.deployments.contains_key(candidate) && candidate != baseline).then(|| {
        let mut aborted = spec.clone();
        let common = common_share(spec, candidate, baseline);
        aborted.traffic.remove(candidate);
        aborted.mirror.remove(candidate);
        set_share(&mut aborted, baseline, common);
        aborted.default = Some(baseline.clone());
        aborted
    })
}

/// The deployment that is not the baseline, if there is one and no more.
fn only_candidate(spec: &EndpointSpec) -> Option<&Name> {
    let baseline = baseline(spec)?;
    let mut others = spec.deployments.keys().filter(|name| *name != baseline);
    others.next().filter(|_| others.next().is_none())
}

/// A former specification as a rollback may restore it: no rollout goes on in it by itself, and no version that the endpoint
/// has turned away from since is begun again.
pub fn without_rollout(restored: &EndpointSpec, abandoned: &EndpointSpec) -> EndpointSpec {
    let mut back = match &restored.rollout {
        Some(rollout) => rolled_back(restored, rollout, false),
        None => restored.clone(),
    };
    let Some(follow) = &mut back.follow else { return back };
    let serves = |model: &ModelRef| back.deployments.values().any(|deployment| deployment.model == *model);
    let left = abandoned.deployments.values().map(|deployment| &deployment.model);
    let left: BTreeSet<u64> =
        left.filter(|model| model.name == follow.model && !serves(model)).map(|model| model.version).collect();
    let before = abandoned.follow.iter().flat_map(|follow| follow.refused.iter().copied());
    follow.refused.extend(left.into_iter().chain(before));
    back
}

fn replace(spec: &EndpointSpec, gone: &Name, stays: &Name) -> EndpointSpec {
    let mut replaced = spec.clone();
    let common = common_share(spec, gone, stays);
    replaced.deployments.remove(gone);
    replaced.traffic.remove(gone);
    replaced.mirror.remove(gone);
    // Its own mirror was for its trial.
    replaced.mirror.remove(stays);
    set_share(&mut replaced, stays, common);
    if spec.default.as_ref() == Some(gone) {
        replaced.default = Some(stays.clone());
    }
    replaced.rollout = None;
    replaced
}

fn set_share(spec: &mut EndpointSpec, name: &Name, share: Share) {
    if share == Share::NONE {
        spec.traffic.remove(name);
    } else {
        spec.traffic.insert(name.clone(), share);
    }
}

/// `v5`, or `v5-2` if there is a deployment of that name.
fn free_name(spec: &EndpointSpec, model: &ModelRef) -> Option<Name> {
    let plain = format!("v{}", model.version);
    let names = std::iter::once(plain.clone()).chain((2..=1_000).map(|n| format!("{plain}-{n}")));
    names.filter_map(|text| Name::parse(&text).ok()).find(|name| !spec.deployments.contains_key(name))
}
