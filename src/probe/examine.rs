//! The inside of a probe: load, run, measure, join. Runs in the child, and tells each step before it is taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::event::{Event, Stage};
use super::joining;
use super::made_up::{Shapes, Values};
use super::report::{Load, Memory, Run, RunFailure, RunInput};
use super::sample::decode_sample;
use crate::codec::Policy;
use crate::engine::{Engine, Graph, LoadError, LoadOptions, RunError, Session};
use crate::memory::resident_bytes;
use crate::tensor::{Signature, Tensor, Value};

/// Steady runs end after so many, or after so long.
const STEADY_RUNS_MAX: usize = 20;
const STEADY_TIME_MAX: Duration = Duration::from_millis(500);

/// What is to be tried out, and how.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub path: &'a Path,
    /// The sample request beside the model, if there is one. One that the model does not take is passed over.
    pub sample: Option<&'a [u8]>,
    pub options: &'a LoadOptions,
    /// Those that links to the model's weights may lead into.
    pub external_data_folders: &'a [PathBuf],
    /// What bodies may hold.
    pub policy: Policy,
}

/// Tries a model out on one engine.
pub fn examine(engine: &dyn Engine, subject: Subject<'_>, tell: &mut dyn FnMut(Event)) {
    let info = engine.info();
    let library = info.loaded_from.map(|path| path.display().to_string());
    tell(Event::Engine { version: info.version, library });
    // Like a server, which reports a panic of an engine and goes on.
    let outcome = catch_unwind(AssertUnwindSafe(|| steps(engine, subject, tell)));
    tell(match outcome {
        Ok(Ok(())) => Event::Done,
        Ok(Err(error)) => Event::Failed { reason: error.to_string() },
        Err(_) => Event::Failed { reason: "the engine panicked".to_owned() },
    });
}

fn steps(engine: &dyn Engine, subject: Subject<'_>, tell: &mut dyn FnMut(Event)) -> Result<(), LoadError> {
    tell(Event::Stage(Stage::Read));
    let graph = Graph::read_linked(subject.path, subject.external_data_folders)?;
    let before = resident_bytes();

    tell(Event::Stage(Stage::Load));
    let started = Instant::now();
    let mut loaded = engine.load(subject.path, &graph, subject.options)?;
    graph.check_unchanged()?;
    tell(Event::Loaded(Load {
        took_us: micros(started.elapsed()),
        providers: loaded.providers.clone(),
        missing_providers: loaded.missing_providers.clone(),
    }));
    let Some(session) = loaded.sessions.first_mut() else { return Ok(()) };

    tell(Event::Stage(Stage::Run));
    let signature = &graph.signature;
    let sample = subject.sample.and_then(|body| decode_sample(body, signature, subject.policy).ok());
    match first_run(session.as_mut(), signature, sample.as_deref(), subject.policy.max_elements) {
        Ok(ran) => tell(Event::Ran(steady(session.as_mut(), ran))),
        Err(FirstRunError::Unsupported(what)) => {
            let remedy = "use the other engine (--engine)".to_owned();
            return Err(LoadError::Unsupported { engine: engine.info().name, what, remedy });
        }
        Err(FirstRunError::NotRun(failure)) => tell(Event::NotRun(failure)),
    }
    if let (Some((before, _)), Some((held, peak))) = (before, resident_bytes()) {
        let over = |bytes: u64| bytes.saturating_sub(before);
        tell(Event::Memory(Memory { held_bytes: over(held), peak_bytes: over(peak) }));
    }

    tell(Event::Stage(Stage::Join));
    let mut run = |inputs: &[Tensor]| session.run(inputs);
    tell(Event::Joining(joining::examine(&graph, sample.as_deref(), subject.policy.max_elements, &mut run)));
    Ok(())
}

/// The first run that succeeded.
struct FirstRun {
    kind: RunInput,
    inputs: Vec<Tensor>,
    outputs: Vec<Value>,
    took: Duration,
}

enum FirstRunError {
    /// The engine turns out not to have what the model needs.
    Unsupported(String),
    NotRun(RunFailure),
}

/// Runs the model on its sample, else on what a server would warm it with, else on what could suit it.
fn first_run(
    session: &mut dyn Session,
    signature: &Signature,
    sample: Option<&[Tensor]>,
    max_elements: usize,
) -> Result<FirstRun, FirstRunError> {
    let zeros = signature.example_inputs(max_elements).map(|inputs| (RunInput::Zeros, inputs));
    let known = sample.map(|inputs| (RunInput::Sample, inputs.to_vec())).into_iter().chain(zeros);
    let made_up = [1, 8, 64, 224].into_iter().flat_map(|size| {
        let shapes = Shapes::declared(signature, size);
        let inputs = Values::ALL.map(|values| shapes.fill(signature, values, 1, max_elements));
        inputs.into_iter().flatten().map(|inputs| (RunInput::MadeUp, inputs))
    });
    let mut first_failure = None;
    for (kind, inputs) in known.chain(made_up) {
        let started = Instant::now();
        match session.run(&inputs) {
            Ok(outputs) => return Ok(FirstRun { kind, inputs, outputs, took: started.elapsed() }),
            Err(RunError::Unsupported(what)) => return Err(FirstRunError::Unsupported(what)),
            Err(error) => {
                let is_input = matches!(error, RunError::Rejected(_));
                first_failure.get_or_insert(RunFailure { input: kind, reason: error.to_string(), is_input });
            }
        }
    }
    let none = || RunFailure {
        input: RunInput::Zeros,
        reason: format!("even the smallest input has more than {max_elements} elements (max_elements)"),
        is_input: true,
    };
    Err(FirstRunError::NotRun(first_failure.unwrap_or_else(none)))
}

/// Runs on, until the time of a run is known.
fn steady(session: &mut dyn Session, first: FirstRun) -> Run {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < STEADY_RUNS_MAX && (times.is_empty() || begun.elapsed() < STEADY_TIME_MAX) {
        let started = Instant::now();
        if session.run(&first.inputs).is_err() {
            break;
        }
        times.push(started.elapsed());
    }
    times.sort();
    let shape = |value: &Value| if let Value::Tensor(tensor) = value { Some(tensor.shape().to_vec()) } else { None };
    Run {
        input: first.kind,
        first_us: micros(first.took),
        steady_us: micros(times.get(times.len() / 2).copied().unwrap_or(first.took)),
        runs: times.len(),
        output_shapes: first.outputs.iter().map(shape).collect(),
        input_shapes: first.inputs.iter().map(|input| input.shape().to_vec()).collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
