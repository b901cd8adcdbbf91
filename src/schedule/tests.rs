//! The scheduler with an engine that waits until a test lets it pass.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::job::Job;
use super::overload::Bounds;
use super::queue::{Pace, Queue, Refused};
use super::reply::{Ticket, reply};
use super::*;
use crate::engine::fake::{Call, FakeEngine, Gate};
use crate::engine::{Engine, Graph, LoadOptions, RunError};
use crate::telemetry::{DeploymentMetrics, Metrics};
use crate::tensor::{DType, Element, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};

const MINUTE: Duration = Duration::from_secs(60);

/// A scheduler, its engine's gate and what goes with them.
struct Bench {
    scheduler: Arc<Scheduler>,
    gate: Gate,
    engine: FakeEngine,
    /// That of the narrow lanes.
    narrow: FakeEngine,
    metrics: Arc<DeploymentMetrics>,
    runtime: Runtime,
    watchdog: WatchdogHandle,
}

/// What a test varies.
struct Setup {
    engine: FakeEngine,
    narrow_lanes: usize,
    plan: Plan,
    limits: Limits,
}

impl Setup {
    fn of(execution: Execution) -> Setup {
        Setup {
            engine: FakeEngine::echo(),
            narrow_lanes: 0,
            plan: Plan {
                workers: 1,
                intra_op_threads: 1,
                execution,
                is_execution_fixed: true,
                max_batch: 8,
                sizes: None,
                max_batch_delay: Duration::ZERO,
            },
            limits: Limits { queue_max_length: 100, queue_max_wait: Some(MINUTE) },
        }
    }

    /// One whose runs use both cores, of up to two rows, with narrow lanes beside.
    fn wide_and_narrow() -> Setup {
        let mut setup = Setup::of(Execution::Pooled);
        setup.plan.intra_op_threads = 2;
        setup.plan.max_batch = 2;
        setup.narrow_lanes = 2;
        setup
    }

    fn start(self) -> Bench {
        let Setup { engine, narrow_lanes, plan, limits } = self;
        let gate = Gate::new();
        let engine = engine.behind(&gate);
        let narrow = engine.apart();
        let watchdog = Watchdog::start(|| {}).unwrap();
        let lanes = |engine: &FakeEngine, sessions: usize| -> Vec<Arc<Lane>> {
            let options = LoadOptions { sessions, ..LoadOptions::default() };
            let loaded = engine.load(Path::new("model"), &graph(), &options).map_err(|error| error.to_string());
            let lane = |session| Lane::new(session, watchdog.watchdog());
            loaded.unwrap().sessions.into_iter().take(sessions).map(lane).collect()
        };
        let metrics = Arc::new(Metrics::new("0").unwrap().deployment("e", "d"));
        let parts = Parts {
            lanes: lanes(&engine, plan.workers),
            narrow: (narrow_lanes > 0).then(|| Narrow {
                lanes: lanes(&narrow, narrow_lanes),
                crowd: Crowd::new(narrow_lanes, plan.max_batch, None),
            }),
            plan,
            limits,
            cost: Cost::default(),
            cores: Arc::new(Cores::new(2)),
            metrics: Arc::clone(&metrics),
        };
        Bench {
            scheduler: Arc::new(Scheduler::start(parts).unwrap()),
            gate,
            engine,
            narrow,
            metrics,
            runtime: Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            watchdog,
        }
    }
}

fn graph() -> Graph {
    let dtype = DType::F32;
    let inputs = vec![TensorSpec { name: "x".to_owned(), dtype, dims: None }];
    let outputs = vec![OutputSpec { name: "y".to_owned(), value: ValueType::Tensor { dtype, dims: None } }];
    Graph { signature: Signature { inputs, outputs }, ..Graph::default() }
}

fn rows(shape: &[usize], value: f32) -> Tensor {
    f32::wrap(ArrayD::from_elem(IxDyn(shape), value))
}

type Task = JoinHandle<Result<Completed, ScheduleError>>;

impl Bench {
    fn submit(&self, input: Tensor) -> Task {
        self.submit_as(input, Priority::Normal, MINUTE)
    }

    fn submit_as(&self, input: Tensor, priority: Priority, timeout: Duration) -> Task {
        let scheduler = Arc::clone(&self.scheduler);
        self.runtime.spawn(async move { scheduler.run(vec![input], Instant::now() + timeout, priority).await })
    }

    /// A run that holds the only session.
    fn busy(&self) -> Task {
        let running = self.submit(rows(&[1, 7], 0.0));
        self.gate.wait_for_arrivals(1);
        running
    }

    fn wait_for_queue(&self, length: i64) {
        while self.metrics.queue_depth.get() != length {
            std::thread::yield_now();
        }
    }

    fn outcome(&self, task: Task) -> Result<Completed, ScheduleError> {
        self.runtime.block_on(task).unwrap()
    }

    fn output(&self, task: Task) -> Tensor {
        match self.outcome(task).unwrap().outputs.remove(0) {
            Value::Tensor(tensor) => tensor,
            other => panic!("{other:?}"),
        }
    }
}

/// Both ways to run; each has to do what is asked of all.
fn both(test: impl Fn(Setup)) {
    for execution in [Execution::Combining, Execution::Pooled] {
        test(Setup::of(execution));
    }
}

#[test]
fn what_waits_shares_one_run_and_each_gets_its_own_rows() {
    both(|setup| {
        let bench = setup.start();
        let running = bench.busy();
        let inputs: Vec<_> = (1..=3).map(|rows_of| rows(&[rows_of, 2], rows_of as f32)).collect();
        let tasks: Vec<_> = (inputs.iter().cloned().zip(1..))
            .map(|(input, waiting)| {
                let task = bench.submit(input);
                bench.wait_for_queue(waiting);
                task
            })
            .collect();
        bench.gate.open();
        bench.output(running);
        for (input, task) in inputs.into_iter().zip(tasks) {
            assert_eq!(bench.output(task), input);
        }
        assert_eq!(bench.engine.runs(), 2);
        assert_eq!(bench.metrics.batch_size.get_sample_sum(), 4.0);
    });
}

#[test]
fn rows_of_other_shapes_and_more_rows_than_a_batch_has_go_apart() {
    both(|setup| {
        let bench = setup.start();
        let running = bench.busy();
        let inputs =
            [rows(&[1, 2], 1.0), rows(&[1, 3], 2.0), rows(&[1, 2], 3.0), rows(&[9, 2], 4.0), rows(&[0, 2], 5.0)];
        let tasks: Vec<_> = (inputs.iter().cloned().zip(1..))
            .map(|(input, waiting)| {
                let task = bench.submit(input);
                bench.wait_for_queue(waiting);
                task
            })
            .collect();
        bench.gate.open();
        bench.output(running);
        for (input, task) in inputs.into_iter().zip(tasks) {
            assert_eq!(bench.output(task), input);
        }
        assert_eq!(bench.engine.runs(), 1 + 4, "the two rows of one shape went together");
    });
}

#[test]
fn without_joining_every_request_has_a_run_of_its_own() {
    both(|mut setup| {
        setup.plan.max_batch = 1;
        let bench = setup.start();
        let running = bench.busy();
        let tasks: Vec<_> = (0..4).map(|value| bench.submit(rows(&[1, 2], value as f32))).collect();
        bench.wait_for_queue(4);
        bench.gate.open();
        bench.output(running);
        tasks.into_iter().for_each(|task| drop(bench.output(task)));
        assert_eq!(bench.engine.runs(), 5);
    });
}

/// Fails whatever holds a 13, alone or in company.
fn superstitious() -> FakeEngine {
    FakeEngine::new(|call: &Call<'_>| match &call.inputs[0] {
        Tensor::F32(array) if array.iter().any(|&value| value == 13.0) => Err(RunError::Rejected("13".to_owned())),
        _ => call.echo(),
    })
}

#[test]
fn a_bad_row_fails_its_own_request_only() {
    both(|mut setup| {
        setup.engine = superstitious();
        let bench = setup.start();
        let running = bench.busy();
        let tasks: Vec<_> = [1.0, 13.0, 2.0].map(|value| bench.submit(rows(&[1, 2], value))).into();
        bench.wait_for_queue(3);
        bench.gate.open();
        bench.output(running);
        let outcomes: Vec<_> = tasks.into_iter().map(|task| bench.outcome(task)).collect();
        assert!(matches!(outcomes[1], Err(ScheduleError::Run(RunError::Rejected(_)))), "{outcomes:?}");
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
        assert_eq!(bench.engine.runs(), 1 + 1 + 3);
    });
}

#[test]
fn outputs_that_do_not_come_apart_are_run_again_one_by_one() {
    both(|mut setup| {
        // One row out, however many went in: a sum over rows that no probe has seen.
        setup.engine = FakeEngine::new(|call| match &call.inputs[0] {
            Tensor::F32(array) => Ok(vec![Value::Tensor(rows(&[1, 1], array.iter().sum()))]),
            _ => call.echo(),
        });
        let bench = setup.start();
        let running = bench.busy();
        let tasks: Vec<_> = [1.0, 2.0].map(|value| bench.submit(rows(&[1, 2], value))).into();
        bench.wait_for_queue(2);
        bench.gate.open();
        bench.output(running);
        let sums: Vec<_> = tasks.into_iter().map(|task| bench.output(task)).collect();
        assert_eq!(sums, [rows(&[1, 1], 2.0), rows(&[1, 1], 4.0)]);
    });
}

#[test]
fn what_has_expired_or_is_not_wanted_any_more_is_not_run() {
    both(|setup| {
        let bench = setup.start();
        let running = bench.busy();
        let expiring = bench.submit_as(rows(&[1, 2], 1.0), Priority::Normal, Duration::from_millis(200));
        bench.wait_for_queue(1);
        let leaving = bench.submit(rows(&[1, 2], 2.0));
        bench.wait_for_queue(2);
        leaving.abort();
        assert!(matches!(bench.outcome(expiring), Err(ScheduleError::Expired)));
        assert!(bench.runtime.block_on(leaving).unwrap_err().is_cancelled());
        bench.gate.open();
        bench.output(running);
        bench.output(bench.submit(rows(&[1, 2], 3.0)));
        assert_eq!(bench.engine.runs(), 2);
    });
}

#[test]
fn a_run_is_ended_when_its_only_client_has_left_and_the_session_is_free() {
    let bench = Setup::of(Execution::Pooled).start();
    let leaving = bench.busy();
    leaving.abort();
    assert!(bench.runtime.block_on(leaving).unwrap_err().is_cancelled());
    // The gate is closed: only an interruption lets the session go.
    let next = bench.submit(rows(&[1, 2], 1.0));
    bench.gate.wait_for_arrivals(2);
    assert_eq!(bench.engine.interrupted(), 1);
    bench.gate.open();
    bench.output(next);
}

#[test]
fn a_run_goes_on_as_long_as_one_of_its_clients_waits() {
    let bench = Setup::of(Execution::Pooled).start();
    let running = bench.busy();
    let staying = bench.submit(rows(&[1, 2], 1.0));
    bench.wait_for_queue(1);
    let leaving = bench.submit(rows(&[1, 2], 2.0));
    bench.wait_for_queue(2);
    bench.gate.admit(1);
    bench.output(running);
    bench.gate.wait_for_arrivals(2);
    leaving.abort();
    assert!(bench.runtime.block_on(leaving).unwrap_err().is_cancelled());
    bench.watchdog.watchdog().look_now();
    assert_eq!(bench.engine.interrupted(), 0);
    bench.gate.admit(1);
    bench.output(staying);
    assert_eq!((bench.engine.runs(), bench.engine.interrupted()), (2, 0));
}

#[test]
fn a_run_is_ended_when_the_last_of_its_requests_has_expired() {
    let bench = Setup::of(Execution::Pooled).start();
    let running = bench.busy();
    let short = bench.submit_as(rows(&[1, 2], 1.0), Priority::Normal, Duration::from_millis(300));
    bench.wait_for_queue(1);
    let long = bench.submit_as(rows(&[1, 2], 2.0), Priority::Normal, MINUTE);
    bench.wait_for_queue(2);
    bench.gate.admit(1);
    bench.output(running);
    bench.gate.wait_for_arrivals(2);
    assert!(matches!(bench.outcome(short), Err(ScheduleError::Expired)), "its own deadline, in company too");
    bench.gate.admit(1);
    bench.output(long);
    assert_eq!(
        (bench.engine.runs(), bench.engine.interrupted()),
        (2, 0),
        "one run for both, and it went on for the other"
    );
    // On a busy machine one may expire before its run has begun: then there is nothing to end, and another is sent.
    while bench.engine.interrupted() == 0 {
        let alone = bench.submit_as(rows(&[1, 2], 3.0), Priority::Normal, Duration::from_millis(20));
        assert!(matches!(bench.outcome(alone), Err(ScheduleError::Expired)));
    }
    bench.gate.open();
    bench.output(bench.submit(rows(&[1, 2], 4.0)));
}

#[test]
fn a_crowd_is_run_on_narrow_lanes_beside_each_other() {
    let bench = Setup::wide_and_narrow().start();
    let running = bench.busy();
    let mut submitted = Vec::new();
    for waiting in 1..=3 {
        submitted.push(bench.submit(rows(&[1, 2], waiting as f32)));
        bench.wait_for_queue(waiting);
    }
    bench.gate.admit(1);
    bench.output(running);
    // None of them has been let pass yet: they are at it at the same time.
    bench.gate.wait_for_arrivals(3);
    assert_eq!((bench.engine.runs(), bench.narrow.runs()), (1, 2));
    bench.gate.open();
    for (value, task) in (1..).zip(submitted) {
        assert_eq!(bench.output(task), rows(&[1, 2], value as f32));
    }
}

#[test]
fn what_one_run_can_take_is_no_crowd() {
    let bench = Setup::wide_and_narrow().start();
    let running = bench.busy();
    let submitted = [1.0, 2.0].map(|value| bench.submit(rows(&[1, 2], value)));
    bench.wait_for_queue(2);
    bench.gate.open();
    bench.output(running);
    submitted.into_iter().for_each(|task| drop(bench.output(task)));
    assert_eq!((bench.engine.runs(), bench.narrow.runs()), (2, 0));
}

#[test]
fn who_waits_and_who_is_in_a_narrow_run_make_a_crowd() {
    let crowd = Some(Crowd::new(2, 2, None));
    let queue = Queue::new(100, crowd, Metrics::new("0").unwrap().deployment("e", "d").queue_depth.clone());
    let (now, full_run) = (Instant::now(), Duration::from_millis(1));
    let pace = Pace { full_run, max_rows: 2, bounds: Bounds::new(None, full_run) };
    let push = |rows_of: usize, run_alone| {
        let (mut job, ticket) = job(rows(&[rows_of, 2], 1.0), run_alone, now);
        job.place = Place::Worker;
        queue.push(job, pace).unwrap();
        ticket
    };
    let _large = push(5, Some(2 * full_run));
    assert!(!queue.is_crowded(), "all cores are its own");
    let _small = [push(1, None), push(1, None)];
    assert!(queue.is_crowded());
    let (large, first) = queue.take_narrow(now, pace);
    assert!(queue.is_crowded(), "it is in a narrow run now");
    let (small, second) = queue.take_narrow(now, pace);
    assert_eq!((large.len(), small.len(), queue.is_crowded()), (1, 2, false), "nobody waits");
    let _another = push(1, None);
    assert!(queue.is_crowded());
    drop((first, second));
    assert!(!queue.is_crowded());
}

#[test]
fn those_of_higher_priority_go_first() {
    both(|mut setup| {
        setup.plan.max_batch = 1;
        let bench = setup.start();
        let running = bench.busy();
        let mut tasks = Vec::new();
        for (priority, waiting) in [Priority::Low, Priority::Normal, Priority::High].into_iter().zip(1..) {
            tasks.push(bench.submit_as(rows(&[1, 2], 1.0), priority, MINUTE));
            bench.wait_for_queue(waiting);
        }
        bench.gate.admit(2);
        bench.output(running);
        bench.output(tasks.remove(2));
        bench.gate.wait_for_arrivals(3);
        assert_eq!(bench.metrics.queue_depth.get(), 1, "normal runs, low waits");
        bench.gate.open();
        tasks.into_iter().for_each(|task| drop(bench.output(task)));
    });
}

#[test]
fn a_full_queue_and_a_long_wait_are_refused_at_once() {
    both(|mut setup| {
        setup.limits.queue_max_length = 1;
        let bench = setup.start();
        let running = bench.busy();
        let waiting = bench.submit(rows(&[1, 2], 1.0));
        bench.wait_for_queue(1);
        assert!(matches!(bench.scheduler.admit(Priority::High), Err(ScheduleError::Overloaded { .. })));
        let refused = bench.submit(rows(&[1, 2], 2.0));
        assert!(matches!(bench.outcome(refused), Err(ScheduleError::Overloaded { .. })));
        bench.gate.open();
        bench.output(running);
        bench.output(waiting);
        assert!(bench.scheduler.admit(Priority::Low).is_ok());
    });
}

#[test]
fn nobody_waits_longer_than_is_allowed() {
    both(|mut setup| {
        setup.limits.queue_max_wait = Some(Duration::from_millis(20));
        let bench = setup.start();
        let running = bench.busy();
        let waiting = bench.submit(rows(&[1, 2], 1.0));
        assert!(matches!(bench.outcome(waiting), Err(ScheduleError::Overloaded { .. })));
        bench.gate.open();
        bench.output(running);
    });
}

/// A queue as long as any here, and a job for it that came at `submitted`.
fn queue() -> Queue {
    Queue::new(100, None, Metrics::new("0").unwrap().deployment("e", "d").queue_depth.clone())
}

fn job(inputs: Tensor, run_alone: Option<Duration>, submitted: Instant) -> (Job, Ticket) {
    let (reply, ticket) = reply();
    let inputs = vec![inputs];
    let (size, deadline) = (Size::of(&inputs), submitted + MINUTE);
    let (priority, place) = (Priority::Normal, Place::Worker);
    (Job { inputs, size, run_alone, priority, place, submitted, deadline, max_wait: None, reply }, ticket)
}

/// How many of so many jobs that have waited for a second are run, one after the other.
fn run_after_a_second(count: usize, asked: Option<Duration>) -> usize {
    let queue = queue();
    let (submitted, run) = (Instant::now(), Duration::from_millis(1));
    let pace = Pace { full_run: run, max_rows: 1, bounds: Bounds::new(asked, run) };
    let tickets: Vec<_> = (0..count)
        .map(|_| {
            let (job, ticket) = job(rows(&[1, 2], 1.0), None, submitted);
            queue.push(job, pace).unwrap();
            ticket
        })
        .collect();
    let take = || queue.take(Place::Worker, 1, submitted + Duration::from_secs(1), pace);
    let run = std::iter::repeat_with(take).take_while(|batch| !batch.is_empty()).map(|batch| batch.len()).sum();
    drop(tickets);
    run
}

#[test]
fn a_request_of_many_rows_is_waited_for_as_one_run_and_not_as_many() {
    let (queue, now) = (queue(), Instant::now());
    let full_run = Duration::from_micros(100);
    let pace = Pace { full_run, max_rows: 2, bounds: Bounds::new(None, full_run) };
    // By their rows they were 250 ms each, where a burst may be 100 ms long.
    let large = || job(rows(&[5_000, 2], 1.0), Some(Duration::from_millis(30)), now);
    let mut tickets = Vec::new();
    for _ in 0..4 {
        let (job, ticket) = large();
        queue.push(job, pace).unwrap();
        tickets.push(ticket);
    }
    let (fifth, _ticket) = large();
    assert!(matches!(queue.push(fifth, pace), Err(Refused::TooLongAWait(wait)) if wait == Duration::from_millis(120)));
    while !queue.take(Place::Worker, 2, now, pace).is_empty() {}
    for _ in 0..2 {
        let (small, ticket) = job(rows(&[1, 2], 1.0), None, now);
        queue.push(small, pace).unwrap();
        tickets.push(ticket);
    }
    // Nothing is left of those that have been taken, and small ones are joined.
    let tight = Pace { bounds: Bounds::new(Some(full_run), full_run), ..pace };
    assert!(queue.admit(Priority::Normal, tight).is_ok());
}

#[test]
fn who_waits_alone_is_not_turned_away_unless_that_was_asked_for() {
    assert_eq!((run_after_a_second(1, None), run_after_a_second(4, None)), (1, 1));
    assert_eq!(run_after_a_second(1, Some(Duration::from_millis(20))), 0);
}

#[test]
fn a_batch_is_waited_for_as_long_as_was_asked() {
    let mut setup = Setup::of(Execution::Pooled);
    setup.plan.max_batch = 2;
    setup.plan.max_batch_delay = MINUTE;
    let bench = setup.start();
    bench.gate.open();
    let first = bench.submit(rows(&[1, 2], 1.0));
    bench.wait_for_queue(1);
    let second = bench.submit(rows(&[1, 2], 2.0));
    bench.output(first);
    bench.output(second);
    assert_eq!(bench.engine.runs(), 1);
}

#[test]
fn a_thousand_requests_on_every_way_are_all_answered() {
    for (execution, max_batch, workers, narrow_lanes) in [
        (Execution::Combining, 8, 1, 0),
        (Execution::Combining, 1, 2, 0),
        (Execution::Pooled, 8, 2, 0),
        (Execution::Pooled, 8, 1, 2),
        (Execution::Combining, 64, 2, 0),
    ] {
        let mut setup = Setup { narrow_lanes, ..Setup::of(execution) };
        setup.engine = superstitious();
        setup.limits.queue_max_length = 10_000;
        setup.plan.max_batch = max_batch;
        setup.plan.workers = workers;
        let bench = setup.start();
        bench.gate.open();
        let tasks: Vec<_> = (0..1_000).map(|value| bench.submit(rows(&[1 + value % 3, 2], value as f32))).collect();
        for (value, task) in tasks.into_iter().enumerate() {
            if value % 7 == 3 {
                // Wherever it is: not begun, waiting, asked to lead, or done.
                task.abort();
            } else if value == 13 {
                assert!(bench.outcome(task).is_err());
            } else {
                assert_eq!(bench.output(task), rows(&[1 + value % 3, 2], value as f32));
            }
        }
    }
}

#[test]
fn what_waits_when_the_deployment_ends_is_told() {
    let bench = Setup::of(Execution::Pooled).start();
    let running = bench.busy();
    let Bench { scheduler, gate, runtime, .. } = bench;
    let refused = {
        let shared = Arc::clone(&scheduler);
        scheduler.close();
        runtime.block_on(shared.run(vec![rows(&[1, 2], 1.0)], Instant::now() + MINUTE, Priority::Normal))
    };
    assert!(matches!(refused, Err(ScheduleError::Stopped)));
    gate.open();
    assert!(runtime.block_on(running).unwrap().is_ok());
}
