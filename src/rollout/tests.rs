use std::collections::BTreeMap;

use super::*;
use crate::experiment::{Counts, Ledger, Tally};
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{DeploymentSpec, EndpointSpec, Follow, Guard, ModelRef, Share, Stage};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn model(version: u64) -> ModelRef {
    ModelRef { name: name("ridge"), version }
}

fn percent(percent: f64) -> Share {
    Share::from_percent(percent).unwrap()
}

/// An endpoint whose `blue` runs version 4 and that follows the model.
fn following(guard: Guard) -> EndpointSpec {
    let settings = BTreeMap::from([("workers".into(), 2.into())]);
    let deployment = DeploymentSpec { settings, ..DeploymentSpec::of(model(4)) };
    EndpointSpec {
        deployments: BTreeMap::from([(name("blue"), deployment)]),
        follow: Some(Follow { model: name("ridge"), tags: BTreeMap::new(), guard, refused: Default::default() }),
        ..EndpointSpec::default()
    }
}

/// A registry of one endpoint, and the requests that its revisions see.
struct World {
    revision: u64,
    spec: EndpointSpec,
    seconds: u64,
    counts: Counts,
    trial: Option<Trial>,
    /// Every revision's reason.
    history: Vec<String>,
    /// By how many of so many requests a deployment fails, and how long its answers take, in microseconds.
    behaviour: fn(&str) -> (u64, u64),
}

impl World {
    fn new(spec: EndpointSpec, behaviour: fn(&str) -> (u64, u64)) -> World {
        let trial = Some(Trial::default());
        World { revision: 7, spec, seconds: 0, counts: Counts::default(), trial, history: Vec::new(), behaviour }
    }

    fn step(&self, target: u64, condition: Condition<'_>) -> Step {
        let mut ledger = Ledger::default();
        ledger.take("replica", Counts { sequence: 1, ..self.counts.clone() });
        next(&Situation {
            revision: self.revision,
            spec: &self.spec,
            now: Moment::from_seconds(1_000_000 + self.seconds),
            target: Some(&model(target)),
            condition,
            trial: self.trial.as_ref(),
            ledger: &ledger,
        })
    }

    /// A minute with a thousand requests, divided as the specification says.
    fn pass(&mut self) {
        self.seconds += 60;
        let deployments: Vec<Name> = self.spec.deployments.keys().cloned().collect();
        let given: u64 = self.spec.traffic.values().map(|share| u64::from(share.hundredths())).sum();
        for deployment in deployments {
            let share = self.spec.traffic.get(&deployment).map_or(0, |share| u64::from(share.hundredths()));
            let is_default = self.spec.default.as_ref().is_none_or(|default| *default == deployment);
            let requests = (share + if is_default { 10_000 - given } else { 0 }) / 10;
            let (failing, latency_us) = (self.behaviour)(deployment.as_str());
            let tally = self.counts.tally(self.revision, &deployment).unwrap();
            let failed = requests * failing / 100;
            tally.failed += failed;
            tally.succeeded += requests - failed;
            (0..requests - failed).for_each(|n| tally.latency_ns.record((latency_us + n % 50) * 1_000));
        }
    }

    fn take(&mut self, step: Step) -> Option<Action> {
        let Step::Take { action, spec, reason } = step else { return None };
        (self.spec, self.revision) = (*spec, self.revision + 1);
        self.history.push(reason);
        // What is stored is all that the next replica has.
        let text = serde_json::to_string(&self.spec).unwrap();
        assert_eq!(serde_json::from_str::<EndpointSpec>(&text).unwrap(), self.spec);
        Some(action)
    }

    /// Goes on until nothing is to be done for a while.
    fn run(&mut self, target: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut idle = 0;
        while idle < 60 {
            let step = self.step(target, Condition::Ready);
            match self.take(step) {
                Some(action) => {
                    actions.push(action);
                    idle = 0;
                }
                None => idle += 1,
            }
            self.pass();
        }
        actions
    }

    fn shares(&self) -> Vec<(&str, f64)> {
        self.spec.traffic.iter().map(|(name, share)| (name.as_str(), share.percent())).collect()
    }
}

fn alike(_: &str) -> (u64, u64) {
    (1, 2_000)
}

#[test]
fn a_version_that_is_as_good_takes_over_step_by_step() {
    let mut world = World::new(following(Guard::default()), alike);
    let mut actions = vec![Action::Begin];
    actions.extend([Action::Advance; 5]);
    actions.push(Action::Finish);
    assert_eq!(world.run(5), actions);
    assert_eq!(world.spec.deployments.keys().map(Name::as_str).collect::<Vec<_>>(), ["v5"]);
    assert_eq!(world.spec.deployments[&name("v5")].settings["workers"], 2);
    assert_eq!((world.spec.default.clone(), world.shares()), (Some(name("v5")), vec![("v5", 100.0)]));
    assert_eq!(world.spec.rollout, None);
    for (index, share) in [1, 5, 25, 50, 100].iter().enumerate() {
        let reason = &world.history[index + 1];
        assert!(reason.starts_with(&format!("ridge:5 gets {share} % of the traffic: ")), "{reason}");
    }
    assert!(world.history[6].starts_with("ridge:5 has taken over from blue: no guardrail is broken by "));
    assert_eq!(world.run(5), [], "it is up to date");
    // The first step has ten requests a minute and waits for a hundred, the others hold for five minutes.
    assert!(world.history[2].contains("in 10 min"), "{:?}", world.history);
    assert!(world.history[3].contains("in 5 min"), "{:?}", world.history);
}

#[test]
fn a_version_that_fails_or_is_slow_is_rolled_back_and_not_tried_again() {
    let fails: fn(&str) -> (u64, u64) = |deployment| if deployment == "v5" { (50, 2_000) } else { (1, 2_000) };
    let is_slow: fn(&str) -> (u64, u64) = |deployment| if deployment == "v5" { (1, 4_000) } else { (1, 2_000) };
    for (behaviour, reason) in [(fails, "v5's error rate is "), (is_slow, "v5's p99 latency is ")] {
        let mut world = World::new(following(Guard::default()), behaviour);
        let actions = world.run(5);
        assert_eq!(actions.last(), Some(&Action::RollBack));
        let told = world.history.last().unwrap();
        assert!(
            told.starts_with("ridge:5: ") && told.contains(reason) && told.contains("higher than blue's"),
            "{told}"
        );
        assert_eq!(world.shares(), [("blue", 100.0)]);
        assert_eq!(world.spec.deployments.len(), 1);
        assert_eq!(world.run(5), []);
        assert!(matches!(world.step(5, Condition::Ready), Step::Wait { reason } if reason.contains("was rolled back")));
        assert_eq!(world.run(6).first(), Some(&Action::Begin), "the next version is tried");
    }
}

#[test]
fn a_version_is_tried_before_it_gets_traffic() {
    let guard = Guard { objective: "p90=3ms".parse().unwrap(), ..Guard::default() };
    let mut world = World::new(following(guard), alike);
    world.trial = None;
    assert_eq!(world.run(5), [Action::Begin], "nobody has tried it yet");
    assert_eq!(world.shares(), []);
    assert!(matches!(world.step(5, Condition::Loading), Step::Wait { reason } if reason.contains("is being loaded")));

    let cases = ["a", "b", "c"].map(str::to_owned).to_vec();
    let golden = Golden { replayed: 200, changed: 3, largest: Some(0.25), cases };
    let mut trial = Trial { golden, ..Trial::default() };
    world.trial = Some(trial.clone());
    let step = world.step(5, Condition::Ready);
    assert!(
        matches!(&step, Step::Take { action: Action::RollBack, reason, .. }
        if reason == "ridge:5: 3 of 200 golden answers changed by more than 0.0001, up to 0.25 (a, b, c), and 0 % may"),
        "{step:?}"
    );

    trial.golden.changed = 0;
    (0..200).for_each(|_| trial.latency_ns.record(5_000_000));
    world.trial = Some(trial.clone());
    let step = world.step(5, Condition::Ready);
    assert!(
        matches!(&step, Step::Take { action: Action::RollBack, reason, .. }
        if reason.contains("by itself, ") && reason.contains("take longer than 3 ms, and 10 % may")),
        "{step:?}"
    );

    trial.latency_ns = Default::default();
    world.trial = Some(trial);
    let step = world.step(5, Condition::Ready);
    assert!(
        matches!(&step, Step::Take { action: Action::Advance, reason, .. }
        if reason == "ridge:5 gets 1 % of the traffic: 0 of 200 golden answers changed"),
        "{step:?}"
    );

    let failed = world.step(5, Condition::Failed { reason: "no such operator" });
    assert!(
        matches!(&failed, Step::Take { action: Action::RollBack, reason, .. }
        if reason == "ridge:5: it cannot be loaded: no such operator"),
        "{failed:?}"
    );
}

#[test]
fn mirrored_answers_have_to_agree_first() {
    let guard = Guard { mirror: percent(10.0), ..Guard::default() };
    let mut world = World::new(following(guard), alike);
    assert_eq!(world.run(5), [Action::Begin]);
    assert_eq!(world.spec.mirror[&name("v5")], percent(10.0));
    assert!(
        matches!(world.step(5, Condition::Ready), Step::Wait { reason } if reason == "0 of 100 mirrored answers are compared")
    );
    let mut disagreeing = Tally::default();
    (0..200).for_each(|n| disagreeing.mirror.record(Some(if n % 4 == 0 { 1.0 } else { 0.0 }), 1e-4));
    let mut agreeing = Tally::default();
    (0..200).for_each(|_| agreeing.mirror.record(Some(0.0), 1e-4));
    let before = world.counts.clone();
    for (tally, action) in [(disagreeing, Action::RollBack), (agreeing, Action::Advance)] {
        world.counts = before.clone();
        world.counts.tally(world.revision, &name("v5")).unwrap().add(&tally);
        let step = world.step(5, Condition::Ready);
        assert!(matches!(&step, Step::Take { action: taken, .. } if *taken == action), "{step:?}");
    }
}

#[test]
fn operators_are_not_overruled() {
    let mut world = World::new(following(Guard::default()), alike);
    let begun = world.step(5, Condition::Ready);
    world.take(begun);
    world.spec.traffic.insert(name("v5"), percent(30.0));
    let step = world.step(5, Condition::Ready);
    assert!(
        matches!(&step, Step::Wait { reason } if reason.contains("was given 30 % of the traffic by hand")),
        "{step:?}"
    );
    let promoted = promote(&world.spec, None).unwrap();
    assert_eq!((promoted.default, promoted.traffic[&name("v5")]), (Some(name("v5")), Share::ALL));
    let aborted = abort(&world.spec, None).unwrap();
    assert_eq!((aborted.default, aborted.traffic[&name("blue")]), (Some(name("blue")), Share::ALL));
    assert!(aborted.follow.unwrap().refused.contains(&5));
    assert!(promote(&following(Guard::default()), None).is_none());
}

#[test]
fn an_experiment_without_a_rollout_ends_with_all_traffic_on_one_side() {
    let mut spec = following(Guard::default());
    spec.follow = None;
    spec.default = Some(name("blue"));
    for (other, share) in [("green", 20.0), ("red", 10.0)] {
        spec.deployments.insert(name(other), DeploymentSpec::of(model(6)));
        spec.traffic.insert(name(other), percent(share));
    }
    assert!(promote(&spec, None).is_none() && abort(&spec, None).is_none(), "which one is not said");
    assert!(promote(&spec, Some(&name("grey"))).is_none() && abort(&spec, Some(&name("blue"))).is_none());
    let promoted = promote(&spec, Some(&name("green"))).unwrap();
    assert_eq!(
        (promoted.default, promoted.traffic),
        (Some(name("green")), BTreeMap::from([(name("green"), Share::ALL)]))
    );
    assert_eq!(promoted.deployments.len(), 3);
    let aborted = abort(&spec, Some(&name("green"))).unwrap();
    assert_eq!(aborted.traffic, BTreeMap::from([(name("blue"), percent(90.0)), (name("red"), percent(10.0))]));
    spec.deployments.remove(&name("red"));
    spec.traffic.remove(&name("red"));
    assert_eq!(promote(&spec, None).unwrap().default, Some(name("green")));
}

#[test]
fn other_deployments_keep_their_shares() {
    let mut spec = following(Guard::default());
    spec.deployments.insert(name("red"), DeploymentSpec::of(model(2)));
    spec.traffic = BTreeMap::from([(name("red"), percent(20.0))]);
    spec.default = Some(name("blue"));
    let mut world = World::new(spec, alike);
    for expected in [
        &[("red", 20.0)][..],
        &[("blue", 79.2), ("red", 20.0), ("v5", 0.8)],
        &[("blue", 76.0), ("red", 20.0), ("v5", 4.0)],
    ] {
        loop {
            let step = world.step(5, Condition::Ready);
            if world.take(step).is_some() {
                break;
            }
            world.pass();
            assert!(world.seconds < 100_000);
        }
        assert_eq!(world.shares(), expected);
    }
    world.run(5);
    assert_eq!(world.shares(), [("red", 20.0), ("v5", 80.0)]);
}

#[test]
fn the_newest_version_wins_and_what_is_withdrawn_goes() {
    let mut world = World::new(following(Guard::default()), alike);
    let begun = world.step(5, Condition::Ready);
    world.take(begun);
    let step = world.step(6, Condition::Ready);
    assert_eq!(world.take(step), Some(Action::RollBack));
    assert_eq!(world.history.last().unwrap(), "ridge:5: ridge:6 is newer");
    assert!(world.spec.follow.as_ref().unwrap().refused.is_empty());
    let step = world.step(6, Condition::Ready);
    assert_eq!(world.take(step), Some(Action::Begin));
    let step = world.step(4, Condition::Ready);
    assert_eq!(world.take(step), Some(Action::RollBack));
    assert!(matches!(world.step(4, Condition::Ready), Step::Wait { reason } if reason == "ridge:4 is up to date"));
}

#[test]
fn the_first_version_is_deployed_at_once() {
    let spec = EndpointSpec { follow: following(Guard::default()).follow, ..EndpointSpec::default() };
    let mut world = World::new(spec, alike);
    let step = world.step(1, Condition::Ready);
    assert_eq!(world.take(step), Some(Action::Finish));
    assert_eq!((world.spec.default.clone(), &world.spec.rollout), (Some(name("v1")), &None));
}

#[test]
fn an_undecided_stage_ends_if_a_time_is_set() {
    let guard = Guard { step_timeout_s: 1_800, min_requests: 1_000_000, ..Guard::default() };
    let mut world = World::new(following(guard), alike);
    assert_eq!(world.run(5), [Action::Begin, Action::Advance, Action::RollBack]);
    assert!(world.history[2].starts_with("ridge:5: undecided after 31 min"), "{}", world.history[2]);
}

#[test]
fn what_is_rolled_back_to_does_not_go_on_by_itself() {
    let mut world = World::new(following(Guard::default()), alike);
    let before = world.spec.clone();
    for _ in 0..3 {
        let step = world.step(5, Condition::Ready);
        world.take(step);
        (0..15).for_each(|_| world.pass());
    }
    let under_way = world.spec.clone();
    assert!(matches!(under_way.rollout.as_ref().unwrap().stage, Stage::Step(_)));
    world.run(5);
    for restored in [&before, &under_way] {
        let back = without_rollout(restored, &world.spec);
        assert!(back.rollout.is_none() && back.deployments.keys().eq([&name("blue")]));
        assert!(back.follow.as_ref().unwrap().refused.contains(&5));
        world.spec = back;
        assert_eq!(world.run(5), []);
    }
}
