//! What is to be done about a followed model now.

use std::time::Duration;

use super::guardrails::{self, Finding, Watch};
use super::stages::{self, Next};
use super::trial::Trial;
use crate::experiment::{Ledger, Tally};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{EndpointSpec, Follow, Guard, ModelRef, Rollout, Share, Stage};

/// Everything that decides.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The revision in force.
    pub revision: u64,
    pub spec: &'a EndpointSpec,
    pub now: Moment,
    /// The newest version that bears the tags which are followed, if there is one.
    pub target: Option<&'a ModelRef>,
    /// Of the candidate, where there is one.
    pub condition: Condition<'a>,
    /// Of the candidate too, once somebody has tried it.
    pub trial: Option<&'a Trial>,
    /// What all replicas have counted.
    pub ledger: &'a Ledger,
}

/// Whether a candidate can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    Loading,
    Ready,
    Failed { reason: &'a str },
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Wait {
        reason: String,
    },
    /// Create the next revision with this specification and this reason.
    Take {
        action: Action,
        spec: Box<EndpointSpec>,
        reason: String,
    },
}

/// What a step is, for whoever is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new version is loaded and tried.
    Begin,
    /// It gets its first traffic, or more.
    Advance,
    /// It has taken over.
    Finish,
    /// It is out again.
    RollBack,
}

/// What is to be done about an endpoint now. The same question has the same answer on every replica.
pub fn next(situation: &Situation<'_>) -> Step {
    let spec = situation.spec;
    match (&spec.follow, &spec.rollout) {
        (None, _) => wait("the endpoint follows no model"),
        (Some(follow), None) => begin(situation, follow),
        (Some(follow), Some(rollout)) => go_on(situation, follow, rollout),
    }
}

fn begin(situation: &Situation<'_>, follow: &Follow) -> Step {
    let spec = situation.spec;
    let Some(target) = situation.target else {
        return wait(format!("there is no version of {} to follow", describe(follow)));
    };
    let Some(baseline) = stages::baseline(spec) else {
        let reason = format!("{target} is the first version of {}", describe(follow));
        return take(Action::Finish, stages::first(spec, target), reason);
    };
    if let Some((name, _)) = spec.deployments.iter().find(|(_, deployment)| deployment.model == *target) {
        return wait(if name == baseline {
            format!("{target} is up to date")
        } else {
            format!("{target} is deployed by hand already, as {name}")
        });
    }
    if follow.refused.contains(&target.version) {
        return wait(format!("{target} was rolled back; the next version is waited for"));
    }
    let reason =
        format!("{target} is the newest version of {}; it is loaded and tried beside {baseline}", describe(follow));
    take(Action::Begin, stages::begun(spec, target, situation.next()), reason)
}

fn go_on(situation: &Situation<'_>, follow: &Follow, rollout: &Rollout) -> Step {
    let (spec, guard) = (situation.spec, &follow.guard);
    let (model, candidate) = (&rollout.model, &rollout.candidate);
    let back = |found_wanting: bool, reason: String| {
        take(Action::RollBack, Some(stages::rolled_back(spec, rollout, found_wanting)), format!("{model}: {reason}"))
    };
    match situation.target {
        Some(target) if target == model => {}
        Some(target) if target.version > model.version => return back(false, format!("{target} is newer")),
        _ => return back(false, format!("it is no version of {} any more", describe(follow))),
    }
    if let Some(reason) = changed_by_hand(spec, guard, rollout) {
        return wait(format!("{reason}; promote the rollout of {model} or abort it"));
    }
    let took = situation.now.since(rollout.since);
    let too_long = guard.step_timeout_s > 0 && took > Duration::from_secs(guard.step_timeout_s);
    match situation.condition {
        Condition::Failed { reason } => return back(true, format!("it cannot be loaded: {reason}")),
        Condition::Loading if too_long => return back(true, format!("it is not ready after {}", lasting(took))),
        Condition::Loading => return wait(format!("{model} is being loaded")),
        Condition::Ready => {}
    }
    let judgement = match rollout.stage {
        Stage::Checking => checked(situation, guard, rollout),
        Stage::Step(_) => watched(situation, guard, rollout),
    };
    match judgement {
        Judgement::Bad(reason) => back(true, reason),
        Judgement::Undecided(reason) if too_long => back(true, format!("undecided after {}: {reason}", lasting(took))),
        Judgement::Undecided(reason) => wait(reason),
        Judgement::Good(reason) => match stages::advanced(spec, rollout, situation.next()) {
            Some(advanced) => {
                let share = advanced.traffic.get(candidate).copied().unwrap_or_default();
                take(Action::Advance, Some(advanced), format!("{model} gets {share} of the traffic: {reason}"))
            }
            None => take(
                Action::Finish,
                Some(stages::finished(spec, rollout)),
                format!("{model} has taken over from {}: {reason}", rollout.baseline),
            ),
        },
    }
}

/// What is to be thought of a stage.
enum Judgement {
    Good(String),
    Undecided(String),
    Bad(String),
}

/// The candidate without traffic: what it did by itself, and beside the baseline if there is a mirror.
fn checked(situation: &Situation<'_>, guard: &Guard, rollout: &Rollout) -> Judgement {
    let (model, candidate) = (&rollout.model, &rollout.candidate);
    let Some(trial) = situation.trial else { return Judgement::Undecided(format!("{model} is being tried")) };
    let golden = trial.golden.sentence(guard);
    if trial.golden.is_broken(guard) {
        return Judgement::Bad(format!("{golden}, and {} may", guard.max_changed));
    }
    let level = guardrails::level(guard);
    if let Some(reason) = guardrails::missed_objective(candidate, &trial.latency_ns, guard, level) {
        return Judgement::Bad(format!("by itself, {reason}"));
    }
    if guard.mirror > Share::NONE {
        let tally = situation.tally(candidate, rollout.since_revision);
        if let Some(reason) = guardrails::disagreement(candidate, &tally, guard, level) {
            return Judgement::Bad(reason);
        }
        let compared = tally.mirror.compared;
        if compared < guard.min_requests {
            return Judgement::Undecided(format!("{compared} of {} mirrored answers are compared", guard.min_requests));
        }
        if let Some(reason) = guardrails::doubted_agreement(candidate, &tally, guard) {
            return Judgement::Undecided(reason);
        }
    }
    Judgement::Good(golden)
}

/// The candidate with traffic.
fn watched(situation: &Situation<'_>, guard: &Guard, rollout: &Rollout) -> Judgement {
    let has_all = situation.spec.traffic.get(&rollout.baseline).copied().unwrap_or_default() == Share::NONE;
    // Whoever has no traffic is compared by what they did before in this rollout.
    let since = if has_all { rollout.begun_revision } else { rollout.since_revision };
    let candidate = situation.tally(&rollout.candidate, rollout.since_revision);
    let baseline = situation.tally(&rollout.baseline, since);
    let watch = Watch { guard, rollout, candidate: &candidate, baseline: &baseline };
    let finding = watch.finding();
    if let Finding::Broken(reason) = finding {
        return Judgement::Bad(reason);
    }
    let took = situation.now.since(rollout.since);
    let (answered, needed) = (candidate.answered(), guard.min_requests);
    if answered < needed || took < Duration::from_secs(guard.hold_s) {
        let hold = lasting(Duration::from_secs(guard.hold_s));
        return Judgement::Undecided(format!(
            "{} of {needed} requests and {} of {hold} at this step",
            answered.min(needed),
            lasting(took)
        ));
    }
    match finding {
        Finding::Doubtful(reason) => Judgement::Undecided(format!("more requests will tell: {reason}")),
        _ => Judgement::Good(format!("no guardrail is broken by {answered} requests in {}", lasting(took))),
    }
}

/// Whether an operator has had a hand in a rollout, who is then not overruled.
fn changed_by_hand(spec: &EndpointSpec, guard: &Guard, rollout: &Rollout) -> Option<String> {
    let Rollout { candidate, baseline, model, .. } = rollout;
    if spec.deployments.get(candidate).is_none_or(|deployment| deployment.model != *model) {
        return Some(format!("{candidate} was changed by hand"));
    }
    if !spec.deployments.contains_key(baseline) {
        return Some(format!("{baseline} was removed by hand"));
    }
    let expected = stages::share_of(stages::common_share(spec, candidate, baseline), &guard.steps, rollout.stage);
    let share = spec.traffic.get(candidate).copied().unwrap_or_default();
    (share != expected).then(|| format!("{candidate} was given {share} of the traffic by hand"))
}

impl Situation<'_> {
    fn next(&self) -> Next {
        Next { revision: self.revision + 1, at: self.now }
    }

    fn tally(&self, deployment: &Name, since_revision: u64) -> Tally {
        self.ledger.total(|revision| revision >= since_revision).remove(deployment).unwrap_or_default()
    }
}

fn wait(reason: impl Into<String>) -> Step {
    Step::Wait { reason: reason.into() }
}

fn take(action: Action, spec: Option<EndpointSpec>, reason: String) -> Step {
    match spec {
        Some(spec) => Step::Take { action, spec: Box::new(spec), reason },
        None => wait("there is no name left for another deployment"),
    }
}

fn describe(follow: &Follow) -> String {
    let tags: Vec<_> = follow.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if tags.is_empty() { follow.model.to_string() } else { format!("{} with {}", follow.model, tags.join(", ")) }
}

/// A time in words that are short: `5 min 2 s`.
fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
