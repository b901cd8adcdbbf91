//! An engine without a runtime, for tests of everything above the engines.
//!
//! Its sessions run a closure. The ready-made ones echo, fail, or wait at a [`Gate`] until a test lets them pass; nothing in
//! here sleeps or knows what time it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::{Buckets, Engine, EngineInfo, Graph, Interrupt, LoadError, LoadOptions, Loaded, RunError, Session};
use crate::provider::Provider;
use crate::tensor::{Signature, Tensor, Value, ValueType};

const NAME: &str = "fake";

/// One run, as a closure sees it.
pub struct Call<'a> {
    pub signature: &'a Signature,
    pub inputs: &'a [Tensor],
    stopped: &'a AtomicBool,
}

type Run = dyn Fn(&Call<'_>) -> Result<Vec<Value>, RunError> + Send + Sync;

/// The engine; clones share what they count and note.
#[derive(Clone)]
pub struct FakeEngine {
    run: Arc<Run>,
    gate: Option<Gate>,
    load_failure: Option<String>,
    devices: usize,
    building: Option<(Provider, Result<(), String>)>,
    runs: Arc<AtomicUsize>,
    interrupted: Arc<AtomicUsize>,
    padding: Arc<Mutex<Vec<Buckets>>>,
    sizes: Arc<Mutex<Vec<Buckets>>>,
}

impl FakeEngine {
    /// Every run is a call of `run`.
    pub fn new(run: impl Fn(&Call<'_>) -> Result<Vec<Value>, RunError> + Send + Sync + 'static) -> FakeEngine {
        FakeEngine {
            run: Arc::new(run),
            gate: None,
            load_failure: None,
            devices: 0,
            building: None,
            runs: Arc::default(),
            interrupted: Arc::default(),
            padding: Arc::default(),
            sizes: Arc::default(),
        }
    }

    /// Each output is the first input of its type that no output before it has taken.
    pub fn echo() -> FakeEngine {
        FakeEngine::new(|call| call.echo())
    }

    /// Every run is a [`RunError::Failed`].
    pub fn failing(reason: &str) -> FakeEngine {
        let reason = reason.to_owned();
        FakeEngine::new(move |_| Err(RunError::Failed(reason.clone())))
    }

    /// Every run is a [`RunError::Rejected`].
    pub fn rejecting(reason: &str) -> FakeEngine {
        let reason = reason.to_owned();
        FakeEngine::new(move |_| Err(RunError::Rejected(reason.clone())))
    }

    /// Every run panics.
    pub fn panicking() -> FakeEngine {
        FakeEngine::new(|_| panic!("the fake engine was asked to panic"))
    }

    /// No model can be loaded.
    pub fn unloadable(reason: &str) -> FakeEngine {
        FakeEngine { load_failure: Some(reason.to_owned()), ..FakeEngine::echo() }
    }

    /// Every run waits at `gate` before it does what this engine does.
    pub fn behind(mut self, gate: &Gate) -> FakeEngine {
        self.gate = Some(gate.clone());
        self
    }

    /// The same engine with counts of its own.
    pub fn apart(&self) -> FakeEngine {
        FakeEngine { runs: Arc::default(), interrupted: Arc::default(), ..self.clone() }
    }

    /// Says that it computes on so many GPUs.
    pub fn on_devices(self, devices: usize) -> FakeEngine {
        FakeEngine { devices, ..self }
    }

    /// Has a provider that builds for long, and can be had or not in the end. Without it there is the processor alone.
    pub fn building(self, provider: Provider, outcome: Result<(), &str>) -> FakeEngine {
        FakeEngine { building: Some((provider, outcome.map_err(str::to_owned))), ..self }
    }

    /// What sessions have been allowed to pad their runs to, one after the other. They never do.
    pub fn padding(&self) -> Vec<Buckets> {
        self.padding.lock().clone()
    }

    /// The sizes that models have been loaded for, one after the other, where any were named.
    pub fn sizes(&self) -> Vec<Buckets> {
        self.sizes.lock().clone()
    }

    /// How many runs have begun.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Acquire)
    }

    /// How many runs another thread has ended.
    pub fn interrupted(&self) -> usize {
        self.interrupted.load(Ordering::Acquire)
    }
}

impl Engine for FakeEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: NAME, version: "0".to_owned(), loaded_from: None }
    }

    fn builds_long(&self, provider: Provider) -> bool {
        self.building.as_ref().is_some_and(|(building, _)| *building == provider)
    }

    fn load(&self, _path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        if let Some(reason) = &self.load_failure {
            return Err(LoadError::Failed { engine: NAME, reason: reason.clone() });
        }
        self.sizes.lock().extend(options.sizes);
        let first = FakeSession::new(self.clone(), graph.signature.clone());
        let building = self.building.as_ref().map(|(provider, outcome)| (provider.to_string(), outcome));
        let building = building.filter(|(provider, _)| options.providers.contains(provider));
        let (mut providers, mut missing_providers) = (vec!["cpu".to_owned()], Vec::new());
        match building {
            Some((provider, Ok(()))) => providers.insert(0, provider),
            Some((provider, Err(reason))) => missing_providers.push((provider, reason.clone())),
            None => {}
        }
        let sessions = super::sessions(Box::new(first), options.sessions)?;
        Ok(Loaded { sessions, devices: self.devices, providers, missing_providers })
    }
}

impl Call<'_> {
    /// What [`FakeEngine::echo`] answers.
    pub fn echo(&self) -> Result<Vec<Value>, RunError> {
        let mut left: Vec<&Tensor> = self.inputs.iter().collect();
        let outputs = self.signature.outputs.iter().map(|output| {
            let index = match output.value {
                ValueType::Tensor { dtype, .. } => left.iter().position(|tensor| tensor.dtype() == dtype),
                _ => None,
            };
            let nothing = || RunError::Failed(format!("no input is left to echo as output '{}'", output.name));
            Ok(Value::Tensor(left.remove(index.ok_or_else(nothing)?).clone()))
        });
        outputs.collect()
    }

    /// Whether another thread has asked this run to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

struct FakeSession {
    engine: FakeEngine,
    signature: Signature,
    stop: Arc<Stop>,
}

impl FakeSession {
    fn new(engine: FakeEngine, signature: Signature) -> FakeSession {
        let stop = Arc::new(Stop { called: AtomicBool::new(false), gate: engine.gate.clone() });
        FakeSession { engine, signature, stop }
    }
}

impl Session for FakeSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        self.engine.runs.fetch_add(1, Ordering::AcqRel);
        let call = Call { signature: &self.signature, inputs, stopped: &self.stop.called };
        if let Some(gate) = &self.engine.gate {
            gate.pass(&self.stop.called);
        }
        if call.is_stopped() {
            self.engine.interrupted.fetch_add(1, Ordering::AcqRel);
            return Err(RunError::Interrupted);
        }
        (self.engine.run)(&call)
    }

    fn allow_padding(&mut self, buckets: Buckets) {
        self.engine.padding.lock().push(buckets);
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn another(&self) -> Result<Box<dyn Session>, LoadError> {
        Ok(Box::new(FakeSession::new(self.engine.clone(), self.signature.clone())))
    }
}

struct Stop {
    called: AtomicBool,
    gate: Option<Gate>,
}

impl Interrupt for Stop {
    fn reset(&self) {
        self.called.store(false, Ordering::Release);
    }

    fn stop(&self) {
        self.called.store(true, Ordering::Release);
        if let Some(gate) = &self.gate {
            gate.wake();
        }
    }
}

/// Where runs wait for a test. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<GateInner>);

#[derive(Default)]
struct GateInner {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    /// Runs that have reached the gate, whether or not they have passed since.
    arrived: usize,
    /// Runs that may still pass.
    permits: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Waits until `count` runs in all have reached the gate.
    pub fn wait_for_arrivals(&self, count: usize) {
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, |state| state.arrived < count);
    }

    /// Lets `count` runs pass, those that wait first.
    pub fn admit(&self, count: usize) {
        self.0.state.lock().permits += count;
        self.0.changed.notify_all();
    }

    /// Lets every run pass from now on.
    pub fn open(&self) {
        self.0.state.lock().open = true;
        self.0.changed.notify_all();
    }

    /// Holds every run from now on, and counts those that arrive from 0 again.
    pub fn close(&self) {
        *self.0.state.lock() = GateState::default();
    }

    fn pass(&self, stopped: &AtomicBool) {
        let mut state = self.0.state.lock();
        state.arrived += 1;
        self.0.changed.notify_all();
        let held = |state: &mut GateState| !state.open && state.permits == 0 && !stopped.load(Ordering::Acquire);
        self.0.changed.wait_while(&mut state, held);
        if !stopped.load(Ordering::Acquire) {
            state.permits = state.permits.saturating_sub(1);
        }
    }

    /// Makes the runs that wait look at their stop flags. The lock is taken so that none is between looking and waiting.
    fn wake(&self) {
        let _state = self.0.state.lock();
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::tensor::{DType, Element, OutputSpec, TensorSpec};

    fn graph() -> Graph {
        let input = |name: &str, dtype| TensorSpec { name: name.to_owned(), dtype, dims: None };
        let output = |name: &str, dtype| {
            let value = ValueType::Tensor { dtype, dims: None };
            OutputSpec { name: name.to_owned(), value }
        };
        let inputs = vec![input("a", DType::F32), input("b", DType::I64)];
        let outputs = vec![output("x", DType::I64), output("y", DType::F32)];
        Graph { signature: Signature { inputs, outputs }, ..Graph::default() }
    }

    fn session(engine: &FakeEngine) -> Box<dyn Session> {
        let loaded = engine.load(Path::new("model"), &graph(), &LoadOptions::default());
        loaded.map_err(|error| error.to_string()).expect("it loads").sessions.remove(0)
    }

    fn inputs() -> [Tensor; 2] {
        [f32::wrap(ndarray::arr1(&[1.5]).into_dyn()), i64::wrap(ndarray::arr1(&[7]).into_dyn())]
    }

    #[test]
    fn echo_matches_outputs_by_type_and_counts_its_runs() {
        let engine = FakeEngine::echo();
        let [a, b] = inputs();
        let outputs = session(&engine).run(&inputs()).expect("it echoes");
        assert_eq!(outputs, [Value::Tensor(b.clone()), Value::Tensor(a)]);
        let lacking = session(&engine).run(&[b]);
        assert!(matches!(lacking, Err(RunError::Failed(text)) if text.contains("'y'")));
        assert_eq!(engine.runs(), 2);
    }

    #[test]
    fn the_ready_made_failures_are_of_their_kind() {
        assert!(matches!(session(&FakeEngine::failing("x")).run(&inputs()), Err(RunError::Failed(_))));
        assert!(matches!(session(&FakeEngine::rejecting("x")).run(&inputs()), Err(RunError::Rejected(_))));
        let unloadable = FakeEngine::unloadable("x").load(Path::new("m"), &graph(), &LoadOptions::default());
        assert!(matches!(unloadable, Err(LoadError::Failed { .. })));
        let panicked = thread::spawn(|| session(&FakeEngine::panicking()).run(&inputs()).is_ok()).join();
        panicked.expect_err("the panic reaches the thread");
    }

    #[test]
    fn a_gate_holds_a_run_until_it_is_admitted() {
        let gate = Gate::new();
        let engine = FakeEngine::echo().behind(&gate);
        let mut session = session(&engine);
        let run = thread::spawn(move || session.run(&inputs()).is_ok());
        gate.wait_for_arrivals(1);
        assert!(!run.is_finished());
        gate.admit(1);
        assert!(run.join().expect("no panic"));
    }

    #[test]
    fn a_stop_ends_a_run_at_the_gate_and_lasts_until_reset() {
        let gate = Gate::new();
        let mut held = session(&FakeEngine::echo().behind(&gate));
        let interrupt = held.interrupt();
        let run = thread::spawn(move || (held.run(&inputs()), held));
        gate.wait_for_arrivals(1);
        interrupt.stop();
        let (outcome, mut held) = run.join().expect("no panic");
        assert!(matches!(outcome, Err(RunError::Interrupted)));
        assert!(matches!(held.run(&inputs()), Err(RunError::Interrupted)));
        interrupt.reset();
        gate.open();
        held.run(&inputs()).expect("it runs again");
    }
}
