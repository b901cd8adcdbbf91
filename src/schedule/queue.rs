//! The bounded queue between requests and a deployment's sessions.
//!
//! It is bounded by length and by waiting time ([`Overload`]), ordered by priority and then by arrival, and handed out in
//! batches: the first job, and those behind it whose rows can go with its own. What nobody wants any more or has waited for
//! too long is thrown out on the way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus::IntGauge;

use super::ScheduleError;
use super::crowd::{Crowd, Tally};
use super::job::{Job, Place, Priority};
use super::overload::{Bounds, Overload};

/// Jobs that are looked at for one batch and do not fit: models with many shapes must not make a long queue be searched.
const MISFITS_MAX: usize = 64;

/// Jobs that wait. Full and closed are values, not panics.
#[derive(Debug)]
pub struct Queue {
    max_length: AtomicUsize,
    /// The metric that shows the length.
    depth: IntGauge,
    state: Mutex<State>,
    /// A job for a worker has arrived.
    arrived: Condvar,
    /// There is a crowd.
    crowded: Condvar,
    /// A worker that waits for more rows has got one.
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By priority.
    lines: [VecDeque<Job>; 3],
    /// Of each line.
    loads: [Load; 3],
    /// Over all lines.
    length: usize,
    /// `None` where there are no narrow lanes.
    crowd: Option<Crowd>,
    /// What narrow runs are at.
    in_narrow_runs: Tally,
    /// Those that only a worker may run.
    for_workers: usize,
    overload: Overload,
    /// A worker waits for more rows, and the others leave them to it.
    is_gathering: bool,
    is_closed: bool,
}

/// What the jobs of a line are to those behind them.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// Of jobs that are joined.
    rows: usize,
    /// Of jobs that are more than a full run, each of which has one of its own.
    large: usize,
    large_rows: usize,
    large_runs: Duration,
}

/// Why a job was not taken. It is given back, to be answered.
#[derive(Debug)]
pub enum Refused {
    Full,
    TooLongAWait(Duration),
    Closed,
}

/// What the queue has to know of the runs that empty it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a run of `max_rows` takes, divided by the number of sessions.
    pub full_run: Duration,
    pub max_rows: usize,
    pub bounds: Bounds,
}

/// Jobs to be run together; none, if there was nothing to run.
pub type Batch = Vec<Job>;

impl Queue {
    /// An empty queue, and what helpers wait for, if there are any.
    pub fn new(max_length: usize, crowd: Option<Crowd>, depth: IntGauge) -> Self {
        Queue {
            max_length: AtomicUsize::new(max_length),
            depth,
            state: Mutex::new(State { crowd, ..State::default() }),
            arrived: Condvar::new(),
            crowded: Condvar::new(),
            grown: Condvar::new(),
        }
    }

    /// Lets so many wait from now on. Those who wait already do so on.
    pub fn set_max_length(&self, max_length: usize) {
        self.max_length.store(max_length, Ordering::Relaxed);
    }

    fn max_length(&self) -> usize {
        self.max_length.load(Ordering::Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.state.lock().length == 0
    }

    /// The rows that wait.
    pub fn rows(&self) -> usize {
        self.state.lock().all_rows()
    }

    /// Whether several wait.
    pub fn has_several(&self) -> bool {
        self.state.lock().length > 1
    }

    /// Whether helpers are wanted.
    pub fn is_crowded(&self) -> bool {
        self.state.lock().is_crowded()
    }

    /// Whether a job of this priority would be let in now.
    pub fn admit(&self, priority: Priority, pace: Pace) -> Result<(), Refused> {
        self.state.lock().admit(self.max_length(), priority, pace)
    }

    /// Since when the job that came first has waited.
    pub fn oldest(&self) -> Option<Instant> {
        self.state.lock().lines.iter().filter_map(|line| Some(line.front()?.submitted)).min()
    }

    /// Lets a job in, or not.
    pub fn push(&self, job: Job, pace: Pace) -> Result<(), Refused> {
        let mut state = self.state.lock();
        state.admit(self.max_length(), job.priority, pace)?;
        let (place, line) = (job.place, job.priority as usize);
        state.loads[line].add(&job);
        state.lines[line].push_back(job);
        state.length += 1;
        state.for_workers += usize::from(place == Place::Worker);
        self.depth.set(state.length as i64);
        let (is_gathering, is_crowded) = (state.is_gathering, state.is_crowded());
        drop(state);
        if is_crowded {
            self.crowded.notify_one();
        }
        if place == Place::Worker {
            if is_gathering {
                self.grown.notify_all();
            } else {
                self.arrived.notify_one();
            }
        }
        Ok(())
    }

    /// Waits until there is a job for a worker; false once the queue is closed and has none.
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while state.for_workers == 0 || state.is_gathering {
            if state.is_closed && state.for_workers == 0 {
                return false;
            }
            self.arrived.wait(&mut state);
        }
        true
    }

    /// Waits until there is a crowd; false once the queue is closed and has nothing for a worker.
    pub fn wait_for_crowd(&self) -> bool {
        let mut state = self.state.lock();
        while !state.is_crowded() {
            if state.is_closed {
                return false;
            }
            self.crowded.wait(&mut state);
        }
        true
    }

    /// Waits until `rows` wait, but not beyond `until`; other workers leave the queue alone meanwhile.
    pub fn gather(&self, rows: usize, until: Instant) {
        let mut state = self.state.lock();
        if state.all_rows() >= rows || state.is_gathering {
            return;
        }
        state.is_gathering = true;
        while state.all_rows() < rows && !state.is_closed {
            if self.grown.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_gathering = false;
    }

    /// Takes what is next, with all that can go with it up to `max_rows` rows. An `Inline` taker leaves to the workers what is
    /// theirs.
    pub fn take(&self, taker: Place, max_rows: usize, now: Instant, pace: Pace) -> Batch {
        let mut state = self.state.lock();
        let mut out = Vec::new();
        let batch = state.take(taker, max_rows, now, pace.bounds, &mut out);
        self.taken(taker, state, out);
        batch
    }

    /// Takes what is next for a narrow run, which counts for the crowd until what comes with it is dropped.
    pub fn take_narrow(&self, now: Instant, pace: Pace) -> (Batch, NarrowRun<'_>) {
        let mut state = self.state.lock();
        let max_rows = state.crowd.map_or(1, |crowd| crowd.rows_each(state.company(crowd).rows));
        let mut out = Vec::new();
        let batch = state.take(Place::Worker, max_rows, now, pace.bounds, &mut out);
        let taken = state.tally(&batch);
        state.in_narrow_runs = state.in_narrow_runs.plus(taken);
        self.taken(Place::Worker, state, out);
        (batch, NarrowRun { queue: self, taken })
    }

    /// Tells everybody concerned what has been taken out.
    fn taken(&self, taker: Place, mut state: MutexGuard<'_, State>, out: Vec<(Job, ScheduleError)>) {
        if state.length == 0 {
            state.overload.passed();
        }
        self.depth.set(state.length as i64);
        let is_more = taker == Place::Worker && state.for_workers > 0;
        let is_crowded = state.is_crowded();
        drop(state);
        if is_more {
            self.arrived.notify_one();
        }
        if is_crowded {
            self.crowded.notify_one();
        }
        for (job, error) in out {
            job.answer(Err(error));
        }
    }

    /// Asks the first request that may to run what waits. Whoever has given a session back calls this.
    pub fn hand_over(&self) {
        let state = self.state.lock();
        if state.length > state.for_workers {
            let mut waiting = state.lines.iter().flatten().filter(|job| job.place == Place::Inline);
            // One that has left hands on what it was asked; one that was never asked cannot, so the next is.
            waiting.any(|job| job.reply.ask_to_lead());
        }
    }

    /// Takes no more jobs. What waits already is still handed out.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.arrived.notify_all();
        self.crowded.notify_all();
        self.grown.notify_all();
    }
}

/// A narrow run in progress.
#[derive(Debug)]
pub struct NarrowRun<'a> {
    queue: &'a Queue,
    taken: Tally,
}

impl Drop for NarrowRun<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.in_narrow_runs.requests -= self.taken.requests;
        state.in_narrow_runs.rows -= self.taken.rows;
    }
}

impl State {
    fn admit(&mut self, max_length: usize, priority: Priority, pace: Pace) -> Result<(), Refused> {
        if self.is_closed {
            return Err(Refused::Closed);
        }
        if self.length >= max_length {
            return Err(Refused::Full);
        }
        let wait = self.wait(priority, pace);
        if self.overload.admits(wait, pace.bounds) { Ok(()) } else { Err(Refused::TooLongAWait(wait)) }
    }

    /// How long a job of this priority would wait, by the runs seen lately.
    fn wait(&self, priority: Priority, pace: Pace) -> Duration {
        let ahead = &self.loads[..=priority as usize];
        let rows: usize = ahead.iter().map(|load| load.rows).sum();
        let full_runs = u32::try_from(rows.div_ceil(pace.max_rows.max(1))).unwrap_or(u32::MAX);
        let large_runs: Duration = ahead.iter().map(|load| load.large_runs).sum();
        pace.full_run.saturating_mul(full_runs).saturating_add(large_runs)
    }

    fn is_crowded(&self) -> bool {
        self.for_workers > 0 && self.crowd.is_some_and(|crowd| crowd.is_made_of(self.company(crowd)))
    }

    /// Those who wait and those in narrow runs.
    fn company(&self, crowd: Crowd) -> Tally {
        let rows = self.loads.iter().map(|load| load.rows + load.large * crowd.rows(usize::MAX)).sum();
        Tally { requests: self.length, rows }.plus(self.in_narrow_runs)
    }

    fn tally(&self, batch: &Batch) -> Tally {
        let rows = |job| self.crowd.map_or(0, |crowd| crowd.rows(rows_of(job)));
        Tally { requests: batch.len(), rows: batch.iter().map(rows).sum() }
    }

    fn all_rows(&self) -> usize {
        self.loads.iter().map(|load| load.rows + load.large_rows).sum()
    }

    fn take(
        &mut self,
        taker: Place,
        max_rows: usize,
        now: Instant,
        bounds: Bounds,
        out: &mut Vec<(Job, ScheduleError)>,
    ) -> Batch {
        let mut batch: Batch = Vec::new();
        let (mut rows, mut misfits) = (0, 0);
        for line in 0..self.lines.len() {
            let mut at = 0;
            while let Some(job) = self.lines[line].get(at) {
                if misfits > MISFITS_MAX || (rows >= max_rows && !batch.is_empty()) {
                    return batch;
                }
                let joins = |first: &Job| rows + rows_of(job) <= max_rows && first.joins(job);
                let is_for_taker = taker == Place::Worker || job.place == Place::Inline;
                if !is_for_taker || !batch.first().is_none_or(joins) {
                    misfits += 1;
                    at += 1;
                    continue;
                }
                let Some(job) = self.remove(line, at) else { return batch };
                if let Some(error) = self.refusal(&job, now, bounds) {
                    out.push((job, error));
                } else if job.reply.take() {
                    rows += rows_of(&job);
                    batch.push(job);
                }
            }
        }
        batch
    }

    /// Why a job that has just been taken out is not to be run.
    fn refusal(&self, job: &Job, now: Instant, bounds: Bounds) -> Option<ScheduleError> {
        let bound = self.overload.bound(bounds);
        if job.deadline <= now {
            Some(ScheduleError::Expired)
        } else if now.saturating_duration_since(job.submitted) > bound && (bounds.holds_for_one || self.length > 0) {
            Some(ScheduleError::Overloaded { retry_after: bound })
        } else {
            None
        }
    }

    fn remove(&mut self, line: usize, at: usize) -> Option<Job> {
        let job = self.lines[line].remove(at)?;
        self.loads[line].remove(&job);
        self.length -= 1;
        self.for_workers -= usize::from(job.place == Place::Worker);
        Some(job)
    }
}

impl Load {
    fn add(&mut self, job: &Job) {
        match job.run_alone {
            None => self.rows += rows_of(job),
            Some(run) => {
                self.large += 1;
                self.large_rows += rows_of(job);
                self.large_runs += run;
            }
        }
    }

    fn remove(&mut self, job: &Job) {
        match job.run_alone {
            None => self.rows -= rows_of(job),
            Some(run) => {
                self.large -= 1;
                self.large_rows -= rows_of(job);
                self.large_runs -= run;
            }
        }
    }
}

/// What cannot be joined takes a run of its own, like a row.
fn rows_of(job: &Job) -> usize {
    job.size.rows.unwrap_or(1)
}
