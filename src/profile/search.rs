//! What to try next, and what is best: pure policy over measurements that a [`Bench`] makes.
//!
//! The search starts at the plan that was chosen at load and looks outward, one knob at a time. The first candidate's rate is
//! raised until it misses the objective, and narrowed down from there. Another is first offered a little more than the best so
//! far can take: most are done with after that. What is better becomes the point to look outward from.

use std::collections::VecDeque;
use std::time::Duration;

use super::candidate::Candidate;
use super::measurement::Measurement;
use crate::objective::Objective;
use crate::schedule::{Execution, Wishes};

/// Makes measurements.
pub trait Bench {
    /// Loads the model with these settings, and gives what a request takes that is alone: half of them take longer.
    fn open(&mut self, candidate: &Candidate) -> Result<Duration, Stop>;

    /// Offers so many requests a second to what was opened last.
    fn offer(&mut self, rate: f64, objective: &Objective) -> Result<Measurement, Stop>;

    /// The part of the time that is left, from 1 to 0.
    fn time_left(&self) -> f64;
}

/// Why there is no measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    TimeIsUp,
    /// These settings, or the model, will not do.
    Unusable(String),
    /// Rows were to be joined, and cannot be.
    NotJoined,
}

/// What is looked for: the highest rate that meets the objective, or what meets it best at one rate.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    pub objective: Objective,
    pub rate: Option<f64>,
}

/// Where it is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub start: Candidate,
    /// How a run of the sample is done with `auto`.
    pub planned: Execution,
    pub cores: usize,
    /// Whether rows of several requests may share runs.
    pub can_join: bool,
    /// What the operator has set is not varied.
    pub asked: Wishes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Met,
    Missed,
    /// Nothing was missed, but the requests were too few to tell.
    Unsure,
}

#[derive(Clone, Debug)]
pub struct Trial {
    pub measurement: Measurement,
    pub verdict: Verdict,
}

/// A candidate, and what is known of it.
#[derive(Clone, Debug)]
pub struct Tried {
    pub candidate: Candidate,
    /// What a request takes that is alone.
    pub alone: Option<Duration>,
    pub trials: Vec<Trial>,
    /// Why there is no more to it.
    pub note: Option<String>,
    /// The trial that showed again, at the end, what this can do.
    confirmed: Option<usize>,
}

/// What the search has found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// In the order in which they were tried.
    pub tried: Vec<Tried>,
    /// The position of the best; of the least bad if [`Findings::is_met`] says no.
    pub best: Option<usize>,
}

/// A request takes about 12 µs of a core for HTTP alone (docs/adr/0010-scheduling.md), so more than this per core cannot come.
const RATE_MAX_PER_CORE: f64 = 80_000.0;

/// The part of a core's time at which requests hardly ever meet.
const SPARSE: f64 = 0.05;

/// How close to the highest rate the search comes.
const PRECISION: f64 = 1.1;

/// What another candidate has to be better by: less is noise, and within what is known of the best.
const MARGIN: f64 = PRECISION;

/// The part of the time that is kept for showing the best again.
const CONFIRMATION: f64 = 0.15;

/// Tries candidates until there are no more, or no time.
pub fn search(bench: &mut dyn Bench, space: &Space, goal: &Goal) -> Findings {
    let mut findings = Findings::default();
    let mut seen = vec![space.start];
    let mut ahead = VecDeque::from([space.start]);
    let (mut run, mut can_join) = (None, space.can_join);
    while let Some(candidate) = ahead.pop_front() {
        if bench.time_left() <= CONFIRMATION {
            break;
        }
        let mut tried = Tried { candidate, alone: None, trials: Vec::new(), note: None, confirmed: None };
        let futility = run.and_then(|run| candidate.futility(run, can_join));
        let stop = match futility {
            Some(reason) => Some(Stop::Unusable(reason)),
            None => attempt(bench, space, goal, &findings, &mut tried).err(),
        };
        if let (None, Some(alone)) = (run, tried.alone) {
            run = Some(alone);
        }
        match &stop {
            Some(Stop::NotJoined) => {
                can_join = false;
                tried.note = candidate.futility(run.unwrap_or_default(), can_join);
            }
            Some(Stop::Unusable(reason)) => tried.note = Some(reason.clone()),
            Some(Stop::TimeIsUp) if tried.note.is_none() => tried.note = Some("the time was up".to_owned()),
            _ => {}
        }
        findings.tried.push(tried);
        let is_better = findings.consider_last(goal);
        if stop == Some(Stop::TimeIsUp) {
            break;
        }
        if is_better {
            for next in candidate.neighbours(space.planned, space.cores, space.asked).into_iter().rev() {
                if !seen.contains(&next) {
                    seen.push(next);
                    ahead.push_front(next);
                }
            }
        }
    }
    confirm(bench, goal, &mut findings);
    findings
}

/// Measures one candidate, as far as is of interest beside the best so far.
fn attempt(
    bench: &mut dyn Bench,
    space: &Space,
    goal: &Goal,
    findings: &Findings,
    tried: &mut Tried,
) -> Result<(), Stop> {
    let alone = bench.open(&tried.candidate)?;
    tried.alone = Some(alone);
    let is_first = findings.tried.iter().all(|other| other.trials.is_empty());
    let tightest = goal.objective.tightest().filter(|limit| alone > *limit);
    if let (Some(limit), false) = (tightest, is_first) {
        return Err(Stop::Unusable(format!("a request that is alone takes longer than {limit:?}")));
    }
    let per_second = 1.0 / alone.as_secs_f64().max(1e-6);
    let most = RATE_MAX_PER_CORE * space.cores as f64;
    let best = findings.best().and_then(|best| best.met()).map(|trial| trial.measurement.rate);
    let parallel = tried.candidate.workers.min(space.cores) as f64;
    let sparse = (SPARSE * per_second).min(most);
    let mut climb = match (goal.rate, best) {
        (Some(rate), _) => Climb { first: rate, least: rate, most: rate, growth: 1.0 },
        (None, _) if tightest.is_some() => Climb { first: sparse, least: sparse, most: sparse, growth: 1.0 },
        (None, Some(best)) if best * MARGIN <= most => {
            Climb { first: best * MARGIN, least: best * MARGIN, most, growth: 1.25 }
        }
        (None, Some(_)) => return Err(Stop::Unusable("no better is possible over HTTP".to_owned())),
        (None, None) => Climb { first: (0.5 * parallel * per_second).min(most), least: sparse, most, growth: 2.0 },
    };
    climb.least = climb.least.min(climb.first);
    while let Some(rate) = climb.next(&tried.trials) {
        if bench.time_left() <= CONFIRMATION {
            return Err(Stop::TimeIsUp);
        }
        let mut measurement = bench.offer(rate, &goal.objective)?;
        if goal.judge(&measurement) == Verdict::Missed && measurement.error.is_none() {
            // A stall of the machine makes one trial miss; a rate that is too high makes both.
            measurement = bench.offer(rate, &goal.objective)?;
        }
        if let Some(error) = &measurement.error {
            return Err(Stop::Unusable(format!("the model failed: {error}")));
        }
        let verdict = goal.judge(&measurement);
        tried.trials.push(Trial { measurement, verdict });
        if verdict == Verdict::Unsure {
            tried.note = Some("too few requests in the time there was; give it more (--duration)".to_owned());
            break;
        }
    }
    if best.is_some() && tried.met().is_none() && tried.note.is_none() {
        tried.note = Some("no better than the best before it".to_owned());
    }
    Ok(())
}

/// Shows again what the best can do: of many trials near a limit, the best was also the luckiest. What has to be brought down
/// to less than another claims gives way to that.
fn confirm(bench: &mut dyn Bench, goal: &Goal, findings: &mut Findings) {
    let claim = |tried: &Tried| tried.met().map_or(0.0, |trial| trial.measurement.rate);
    let mut claims: Vec<f64> = findings.tried.iter().map(claim).collect();
    let Some(mut best) = findings.best.filter(|_| findings.is_met()) else { return };
    let mut open = None;
    while goal.rate.is_none() || open.is_none() {
        let tried = &mut findings.tried[best];
        if open != Some(best) && bench.open(&tried.candidate).is_err() {
            return;
        }
        open = Some(best);
        let Ok(measurement) = bench.offer(claims[best], &goal.objective) else { return };
        let verdict = goal.judge(&measurement);
        tried.trials.push(Trial { measurement, verdict });
        match verdict {
            Verdict::Met => {
                tried.confirmed = Some(tried.trials.len() - 1);
                findings.best = Some(best);
                return;
            }
            Verdict::Unsure => return,
            Verdict::Missed => tried.note = Some("met a higher rate once, and not again".to_owned()),
        }
        claims[best] /= PRECISION;
        let highest = (0..claims.len()).max_by(|a, b| claims[*a].total_cmp(&claims[*b]));
        best = highest.filter(|other| claims[*other] > claims[best]).unwrap_or(best);
    }
}

/// How the rate goes up, and is narrowed down.
#[derive(Clone, Copy, Debug)]
struct Climb {
    first: f64,
    least: f64,
    most: f64,
    growth: f64,
}

impl Climb {
    /// The rate to be tried after these; `None` when the highest is known closely enough.
    fn next(&self, trials: &[Trial]) -> Option<f64> {
        let rates = |met: bool| {
            let trials = trials.iter().filter(move |trial| (trial.verdict == Verdict::Met) == met);
            trials.map(|trial| trial.measurement.rate)
        };
        let met = rates(true).reduce(f64::max);
        let missed = rates(false).reduce(f64::min);
        match (met, missed) {
            (None, None) => Some(self.first),
            (Some(met), None) => (met < self.most).then(|| (met * self.growth).min(self.most)),
            (None, Some(missed)) => (missed > self.least).then(|| (missed / 4.0).max(self.least)),
            (Some(met), Some(missed)) => (missed / met > PRECISION).then(|| (met * missed).sqrt()),
        }
    }
}

impl Goal {
    /// What a measurement says of the objective.
    pub fn judge(&self, measurement: &Measurement) -> Verdict {
        let latencies = &measurement.latencies;
        let is_slow = |percentile: f64, limit: Duration| latencies.at(percentile).is_none_or(|took| took > limit);
        if self.objective.bounds.iter().any(|bound| is_slow(bound.percentile, bound.limit)) || !measurement.kept_up() {
            Verdict::Missed
        } else if measurement.sent < self.objective.samples_needed() && !self.objective.bounds.is_empty() {
            Verdict::Unsure
        } else {
            Verdict::Met
        }
    }

    /// The percentile that candidates are compared by at one rate.
    fn percentile(&self) -> f64 {
        self.objective.bounds.iter().map(|bound| bound.percentile).fold(50.0, f64::max)
    }

    /// How far from the objective; 1 is just there.
    fn excess(&self, measurement: &Measurement) -> f64 {
        let excess = |percentile: f64, limit: Duration| {
            let took = measurement.latencies.at(percentile);
            took.map_or(f64::INFINITY, |took| took.as_secs_f64() / limit.as_secs_f64())
        };
        let bounds = self.objective.bounds.iter().map(|bound| excess(bound.percentile, bound.limit));
        bounds.fold(if measurement.kept_up() { 0.0 } else { 1.0 }, f64::max)
    }
}

impl Tried {
    /// The trial that shows what this can do: the highest rate that met the objective.
    pub fn met(&self) -> Option<&Trial> {
        if let Some(confirmed) = self.confirmed {
            return self.trials.get(confirmed);
        }
        let met = self.trials.iter().filter(|trial| trial.verdict == Verdict::Met);
        met.max_by(|a, b| a.measurement.rate.total_cmp(&b.measurement.rate))
    }

    /// The trial that came nearest to the objective.
    fn nearest(&self, goal: &Goal) -> Option<&Trial> {
        self.trials.iter().min_by(|a, b| goal.excess(&a.measurement).total_cmp(&goal.excess(&b.measurement)))
    }

    /// The trial to be shown for this.
    pub fn shown(&self, goal: &Goal) -> Option<&Trial> {
        self.met().or_else(|| self.nearest(goal))
    }
}

impl Findings {
    pub fn best(&self) -> Option<&Tried> {
        self.best.and_then(|best| self.tried.get(best))
    }

    /// Whether the objective was shown to be met.
    pub fn is_met(&self) -> bool {
        self.best().is_some_and(|best| best.met().is_some())
    }

    /// The candidate that answers a request which is alone soonest; the best, if it is as quick but for noise.
    pub fn quickest(&self) -> Option<&Tried> {
        let (quickest, least) =
            self.tried.iter().filter_map(|tried| Some((tried, tried.alone?))).min_by_key(|(_, alone)| *alone)?;
        let best = self.best().filter(|best| best.alone.is_some_and(|alone| alone <= least.mul_f64(MARGIN)));
        Some(best.unwrap_or(quickest))
    }

    /// Makes the last candidate the best if it is better than that.
    fn consider_last(&mut self, goal: &Goal) -> bool {
        let last = self.tried.len() - 1;
        let is_better = match (&self.tried[last], self.best()) {
            (new, _) if new.trials.is_empty() => false,
            (_, None) => true,
            (new, Some(best)) => is_better(new, best, goal),
        };
        if is_better {
            self.best = Some(last);
        }
        is_better
    }
}

fn is_better(new: &Tried, best: &Tried, goal: &Goal) -> bool {
    match (new.met(), best.met()) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (Some(new), Some(best)) if goal.rate.is_some() => {
            let took = |trial: &Trial| trial.measurement.latencies.at(goal.percentile()).unwrap_or(Duration::MAX);
            took(new).as_secs_f64() * MARGIN < took(best).as_secs_f64()
        }
        (Some(new), Some(best)) => new.measurement.rate > best.measurement.rate,
        (None, None) => {
            let excess =
                |tried: &Tried| tried.nearest(goal).map_or(f64::INFINITY, |trial| goal.excess(&trial.measurement));
            excess(new) * MARGIN < excess(best)
        }
    }
}
