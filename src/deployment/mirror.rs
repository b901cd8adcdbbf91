//! Running answered requests again, elsewhere, to compare: off their way, and never at their cost.
//!
//! A request that is drawn lends a copy of its inputs, and of its outputs once it has them; a thread of its own runs them again
//! with the lowest priority, one after the other. What does not fit into the bounded queue is dropped and counted. Requests that
//! pin a deployment are not mirrored: whoever pins knows what they want to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{Comparison, Deployment, Dice, Difference};
use crate::registry::{EndpointSpec, Share};
use crate::schedule::{Completed, Priority, ScheduleError};
use crate::telemetry::{MirrorMetrics, Mirrored};
use crate::tensor::{Tensor, Value, with_tensor};

/// Requests that may wait to be run again, and what their inputs and outputs may take together.
const QUEUE_LENGTH_MAX: usize = 256;
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Copying more than this would be felt by the request that lends it.
const LOAN_BYTES_MAX: usize = 1024 * 1024;

/// The thread that runs requests again, for all endpoints. It ends when the last handle is gone.
#[derive(Clone, Debug)]
pub struct MirrorThread {
    queue: Sender<Loan>,
    queued_bytes: Arc<AtomicUsize>,
}

/// What an endpoint mirrors to.
#[derive(Debug)]
pub struct Mirror {
    pub targets: Vec<Target>,
    thread: MirrorThread,
    dice: Arc<Dice>,
}

/// A deployment that runs a share of the endpoint's requests again.
#[derive(Debug)]
pub struct Target {
    pub share: Share,
    pub deployment: Arc<Deployment>,
    /// With each deployment that answers, in the order of the endpoint's.
    pub comparisons: Vec<Arc<Comparison>>,
    pub metrics: Arc<MirrorMetrics>,
}

/// A request that is going to be run again once it has been answered.
#[derive(Debug)]
pub struct Drawn {
    inputs: Vec<Tensor>,
    answering: usize,
    /// Positions of the targets, as the bits of a number.
    targets: u32,
}

/// A request's inputs and outputs, on their way.
#[derive(Debug)]
struct Loan {
    inputs: Vec<Tensor>,
    outputs: Vec<Value>,
    ran: Duration,
    answering: usize,
    targets: u32,
    mirror: Arc<Mirror>,
    bytes: usize,
}

impl MirrorThread {
    pub fn start() -> std::io::Result<MirrorThread> {
        let (queue, loans) = channel(QUEUE_LENGTH_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let bytes = Arc::clone(&queued_bytes);
        thread::Builder::new()
            .name("scoria-mirror".to_owned())
            .spawn(move || runtime.block_on(run_again(loans, &bytes)))?;
        Ok(MirrorThread { queue, queued_bytes })
    }
}

impl Target {
    /// The part of labels that equal those of whoever answered.
    fn agreement(&self) -> Option<f64> {
        let differences = self.comparisons.iter().map(|pair| pair.measured().difference);
        let (equal, all) =
            differences.fold((0, 0), |(equal, all), pair| (equal + pair.labels_equal, all + pair.labels));
        (all > 0).then(|| equal as f64 / all as f64)
    }
}

impl Mirror {
    /// The most targets of one endpoint.
    pub const TARGETS_MAX: usize = EndpointSpec::MIRRORS_MAX;

    /// `targets` beyond [`Mirror::TARGETS_MAX`] are never drawn; specifications with more are refused.
    pub fn new(targets: Vec<Target>, thread: MirrorThread, dice: Arc<Dice>) -> Mirror {
        Mirror { targets, thread, dice }
    }

    /// Draws whether a request that the deployment at the position `answering` is about to run is to be run again, and copies
    /// its inputs if so.
    pub fn draw(&self, answering: usize, inputs: &[Tensor]) -> Option<Drawn> {
        let mut targets = 0;
        for (index, target) in self.targets.iter().enumerate().take(Mirror::TARGETS_MAX) {
            let point = ((u128::from(self.dice.roll()) * u128::from(Share::WHOLE)) >> 64) as u16;
            // Nothing is learnt from comparing a deployment with itself.
            let is_other = target.comparisons.get(answering).is_some_and(|pair| pair.answering != pair.compared);
            if point < target.share.hundredths() && is_other {
                targets |= 1 << index;
            }
        }
        if targets == 0 {
            return None;
        }
        let bytes = inputs.iter().map(bytes).sum::<usize>();
        if bytes > LOAN_BYTES_MAX {
            self.count(targets, Mirrored::TooLarge);
            return None;
        }
        // What would be dropped anyway is not worth a copy.
        if self.thread.queue.capacity() == 0 {
            self.count(targets, Mirrored::Dropped);
            return None;
        }
        Some(Drawn { inputs: inputs.to_vec(), answering, targets })
    }

    /// Hands on a request that has been answered. Never waits.
    pub fn offer(self: &Arc<Self>, drawn: Drawn, outputs: &[Value], ran: Duration) {
        let Drawn { inputs, answering, targets } = drawn;
        let output_bytes = outputs.iter().map(value_bytes).sum::<usize>();
        if output_bytes > LOAN_BYTES_MAX {
            return self.count(targets, Mirrored::TooLarge);
        }
        let bytes = inputs.iter().map(bytes).sum::<usize>() + output_bytes;
        let queued = &self.thread.queued_bytes;
        if queued.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            return self.count(targets, Mirrored::Dropped);
        }
        let loan = Loan { inputs, outputs: outputs.to_vec(), ran, answering, targets, mirror: Arc::clone(self), bytes };
        if self.thread.queue.try_send(loan).is_err() {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            self.count(targets, Mirrored::Dropped);
        }
    }

    fn count(&self, targets: u32, outcome: Mirrored) {
        self.drawn(targets).for_each(|target| target.metrics.count(outcome));
    }

    fn drawn(&self, targets: u32) -> impl Iterator<Item = &Target> {
        self.targets.iter().enumerate().filter(move |(index, _)| targets >> index & 1 == 1).map(|(_, target)| target)
    }
}

/// Runs loans until nobody can make another.
async fn run_again(mut loans: Receiver<Loan>, queued_bytes: &AtomicUsize) {
    while let Some(loan) = loans.recv().await {
        queued_bytes.fetch_sub(loan.bytes, Ordering::Relaxed);
        let answer = (loan.outputs.as_slice(), loan.ran);
        for target in loan.mirror.drawn(loan.targets) {
            let Some(comparison) = target.comparisons.get(loan.answering) else { continue };
            let deadline = Instant::now() + target.deployment.scoring_timeout;
            match target.deployment.run(loan.inputs.clone(), deadline, Priority::Low).await {
                Ok(Completed { outputs, ran, .. }) => {
                    comparison.answered(answer, (&outputs, ran));
                    target.metrics.count(Mirrored::Compared);
                    let Difference { max_abs, max_rel, .. } = comparison.measured().difference;
                    target.metrics.differ(max_abs, max_rel, target.agreement());
                }
                // It had too much to do, which says nothing of its answers.
                Err(ScheduleError::Overloaded { .. } | ScheduleError::Stopped) => {
                    target.metrics.count(Mirrored::Dropped)
                }
                Err(_) => {
                    comparison.failed();
                    target.metrics.count(Mirrored::Failed);
                }
            }
        }
    }
}

fn bytes(tensor: &Tensor) -> usize {
    fn of<T>(array: &ndarray::ArrayD<T>) -> usize {
        array.len() * size_of::<T>()
    }
    match tensor {
        Tensor::String(array) => array.iter().map(|text| text.len() + size_of::<String>()).sum(),
        _ => with_tensor!(tensor, array => of(array)),
    }
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Tensor(tensor) => bytes(tensor),
        Value::Sequence(items) => items.iter().map(value_bytes).sum(),
        Value::Map { values, .. } => bytes(values),
    }
}
