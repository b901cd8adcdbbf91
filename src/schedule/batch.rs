//! Jobs that share one run: their rows joined, the outputs taken apart again.

use std::time::{Duration, Instant};

use super::cost::{Cost, Sample};
use super::job::{Job, Place};
use super::lane::{Audience, Held};
use super::queue::Batch;
use super::reply::Outcome;
use super::{Completed, ScheduleError};
use crate::engine::RunError;
use crate::telemetry::DeploymentMetrics;
use crate::tensor::{Tensor, Value, split_rows};

/// What a run needs besides a session and inputs.
pub struct Runner<'a> {
    pub cost: &'a Cost,
    pub metrics: &'a DeploymentMetrics,
    pub place: Place,
    /// So many such runs go on beside each other where otherwise there is one: what it takes is counted as that part.
    pub part: u32,
}

impl Runner<'_> {
    /// Runs the jobs, together if they are several, and answers each.
    ///
    /// A run of several is ended only when all their deadlines have passed, or all of them have left. If it fails, each runs again by
    /// itself: what is wrong with one is not the others' business.
    pub fn run(&self, held: &mut Held<'_>, mut batch: Batch) {
        if batch.len() > 1 {
            let started = Instant::now();
            match self.run_joined(held, &batch, started) {
                Some(Ok((outputs, ran))) => {
                    for (job, outputs) in batch.into_iter().zip(outputs) {
                        let queued = started.saturating_duration_since(job.submitted);
                        job.answer(Ok(Completed { outputs, queued, ran }));
                    }
                    return;
                }
                Some(Err(RunError::Interrupted)) => {
                    batch.into_iter().for_each(|job| job.answer(Err(ScheduleError::Expired)));
                    return;
                }
                // What cannot be joined or taken apart after all is no less a request.
                Some(Err(_)) | None => {}
            }
        }
        for job in batch.drain(..) {
            // Its client may have left during the run of all.
            if job.reply.has_left() {
                continue;
            }
            let audience = Audience::Requests(Box::new([job.reply.listener()]));
            let outcome = self.run_alone(held, &job.inputs, audience, (job.submitted, job.deadline));
            job.answer(outcome);
        }
    }

    /// One request's run, which was `submitted` then and has to end by its `deadline`.
    pub fn run_alone(
        &self,
        held: &mut Held<'_>,
        inputs: &[Tensor],
        audience: Audience,
        (submitted, deadline): (Instant, Instant),
    ) -> Outcome {
        let started = Instant::now();
        if started >= deadline {
            return Err(ScheduleError::Expired);
        }
        let outcome = held.run_for(&[inputs], audience, started, deadline, self.place);
        let ran = started.elapsed();
        self.note(&[inputs], ran, outcome.as_ref().err());
        match outcome {
            Ok(outputs) => Ok(Completed { outputs, queued: started.saturating_duration_since(submitted), ran }),
            Err(RunError::Interrupted) => Err(ScheduleError::Expired),
            Err(RunError::OutputsTooLarge { max_elements }) => Err(ScheduleError::AnswerTooLarge { max_elements }),
            Err(error) => Err(error.into()),
        }
    }

    /// The outputs of each job, and the time of the run; `None` if rows turn out not to go together.
    #[allow(clippy::type_complexity, reason = "each job's outputs, and how long they took")]
    fn run_joined(
        &self,
        held: &mut Held<'_>,
        batch: &[Job],
        started: Instant,
    ) -> Option<Result<(Vec<Vec<Value>>, Duration), RunError>> {
        let deadline = batch.iter().map(|job| job.deadline).max()?;
        let parts: Vec<&[Tensor]> = batch.iter().map(|job| job.inputs.as_slice()).collect();
        let audience = Audience::Requests(batch.iter().map(|job| job.reply.listener()).collect());
        let outcome = held.run_for(&parts, audience, started, deadline, self.place);
        let ran = started.elapsed();
        self.note(&parts, ran, outcome.as_ref().err());
        match outcome {
            Ok(outputs) => split(&outputs, batch).map(|outputs| Ok((outputs, ran))),
            Err(error) => Some(Err(error)),
        }
    }

    fn note(&self, requests: &[&[Tensor]], took: Duration, failure: Option<&RunError>) {
        self.metrics.batch_size.observe(requests.len() as f64);
        let rows_of = |inputs: &[Tensor]| inputs.first().and_then(|input| input.shape().first().copied()).unwrap_or(1);
        let rows = requests.iter().map(|inputs| rows_of(inputs)).sum();
        if failure.is_none() {
            self.metrics.runs.observe(rows, took);
        }
        let elements = requests.iter().copied().flatten().map(Tensor::len).sum();
        // One that was ended early shows that such runs take longer than that, and never that they are short.
        let is_cut_short = matches!(failure, Some(RunError::Interrupted));
        if is_cut_short && self.cost.of_elements(elements).is_some_and(|expected| took / self.part < expected) {
            return;
        }
        self.cost.learn(Sample { rows, elements, took: took / self.part });
    }
}

/// Each job's outputs; `None` unless every output has the rows of all jobs.
fn split(outputs: &[Value], batch: &[Job]) -> Option<Vec<Vec<Value>>> {
    let sizes = batch.iter().map(|job| job.size.rows).collect::<Option<Vec<_>>>()?;
    let mut apart: Vec<Vec<Value>> = batch.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
    for output in outputs {
        let Value::Tensor(tensor) = output else { return None };
        for (job, part) in apart.iter_mut().zip(split_rows(tensor, &sizes)?) {
            job.push(Value::Tensor(part));
        }
    }
    Some(apart)
}
