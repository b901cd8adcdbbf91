//! How a model is run: the traits that every engine fills, and the engines.
//!
//! An [`Engine`] prepares a model file into [`Session`]s, which share the model's weights; a `Session` belongs to whoever runs
//! it and is used by one thread at a time. `schedule` owns the sessions; nobody else calls [`Session::run`]. One conformance suite
//! (`tests/conformance.rs`) holds every engine to the same answers.

mod allowance;
mod buckets;
mod element_type;
pub mod environment;
mod external_data;
pub mod fake;
mod file_kind;
mod graph;
mod inventory;
pub mod library;
mod lookups;
mod onnx;
mod onnx_file;
pub mod ort;
#[cfg(feature = "tract")]
mod provider;
mod recordable;
mod row_wise;
#[cfg(feature = "tract")]
pub mod tract;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use buckets::Buckets;
pub use external_data::{ExternalData, resolve as resolve_external};
pub use file_kind::kind as file_kind;
pub use graph::{Graph, GraphError, ZERO_SIZE_REMEDY};
pub use inventory::{Initializers, Inventory, Operator};
pub use lookups::Lookup;
pub use onnx_file::FileState;
pub use row_wise::RowWise;

use self::element_type::{element_bits, element_name};
use crate::error::ErrorKind;
use crate::provider::{Provider, ProviderOptions};
use crate::tensor::{Tensor, Value, join_rows};

/// Prepares models for running. Shared by the whole process.
pub trait Engine: Send + Sync {
    /// What is running: name, version, library.
    fn info(&self) -> EngineInfo;

    /// Whether a provider builds for minutes before it can compute. Deployments are served by the others of their list meanwhile.
    fn builds_long(&self, _provider: Provider) -> bool {
        false
    }

    /// Loads the model at `path`, whose graph has been read already.
    ///
    /// The model must take exactly `graph.signature`'s inputs and give its outputs, in that order. What the engine cannot
    /// run is [`LoadError::Unsupported`], with the operator or type by name.
    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError>;
}

/// What an engine says about itself, for logs, metrics and the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// `ort`, `tract`.
    pub name: &'static str,
    /// The version of the runtime that computes (ONNX Runtime's own, not the binding's).
    pub version: String,
    /// The shared library in use, if there is one.
    pub loaded_from: Option<PathBuf>,
}

/// How a model is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many sessions; each can run at the same time as the others. At least 1. More can be had later
    /// ([`Session::another`]).
    pub sessions: usize,
    /// Threads that one run may use inside an operator. At least 1. With as many as the machine has, the model shares them
    /// with all others of the process; the number cannot be changed without loading again.
    pub intra_op_threads: usize,
    /// Execution providers in order of preference, `cpu` last or absent: what the list does not name is never fallen back to.
    pub providers: Vec<String>,
    /// What is set of these.
    pub provider_options: ProviderOptions,
    /// The most elements that all outputs of one run may have together.
    pub max_output_elements: usize,
    /// When inputs are copied into memory of the session's own.
    pub staging: Staging,
    /// Numbers of rows that the graph is loaded once more for, each: runs of so many rows are then all that copy of it ever sees.
    /// For what has to find out everything anew when the last run was of another size.
    pub sizes: Option<Buckets>,
}

/// Where a session's inputs lie in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Staging {
    /// Where the requests have them; for a GPU, in memory of the session's own that it can read by itself.
    #[default]
    OnDevices,
    /// In the session's own memory, whatever computes. For tests of that way where there is no GPU.
    Always,
    /// The same, and from there in the memory of a run that goes on being used for all runs alike, as if it had been recorded on a
    /// GPU. For the same tests.
    Replayed,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            sessions: 1,
            intra_op_threads: 1,
            providers: vec!["cpu".to_owned()],
            provider_options: ProviderOptions::default(),
            max_output_elements: usize::MAX,
            staging: Staging::default(),
            sizes: None,
        }
    }
}

/// A model ready to run.
pub struct Loaded {
    /// As many as were asked for.
    pub sessions: Vec<Box<dyn Session>>,
    /// The GPUs it computes on, which its sessions are spread over; 0 on the processor.
    pub devices: usize,
    /// The providers that took the model, in order.
    pub providers: Vec<String>,
    /// Providers asked for that could not be had, each with its reason.
    pub missing_providers: Vec<(String, String)>,
}

/// A loaded graph, run by one thread at a time.
pub trait Session: Send {
    /// Runs the model once.
    ///
    /// `inputs` are in the signature's order, with its types and within its shapes (the caller has checked both). The
    /// outputs are in the signature's order and owned by the caller.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError>;

    /// Runs the model once on the rows of several requests, one after the other, and gives the outputs of all rows.
    ///
    /// `parts` are inputs as [`Session::run`] takes them, alike but for their rows. A session that copies its inputs anyway joins
    /// them on the way.
    fn run_joined(&mut self, parts: &[&[Tensor]]) -> Result<Vec<Value>, RunError> {
        let joined = join(parts).ok_or_else(|| RunError::Failed("the inputs cannot be joined".to_owned()))?;
        self.run(&joined)
    }

    /// Lets the session bring its runs to few numbers of rows, by copies of the last row whose outputs it throws away.
    ///
    /// Only for a model whose rows are shown to be independent of each other. A session that gains nothing from it need not.
    fn allow_padding(&mut self, _buckets: Buckets) {}

    /// A handle by which another thread can end a run of this session.
    fn interrupt(&self) -> Arc<dyn Interrupt>;

    /// A further session of the same loaded model, with the same threads, which can run at the same time as this one.
    ///
    /// The two share the weights: it costs microseconds and a few kilobytes.
    fn another(&self) -> Result<Box<dyn Session>, LoadError>;
}

/// Each input's rows, one request after the other.
fn join(parts: &[&[Tensor]]) -> Option<Vec<Tensor>> {
    let inputs = parts.first()?.len();
    let part = |input: usize| parts.iter().map(|part| part.get(input)).collect::<Option<Vec<_>>>();
    (0..inputs).map(|input| join_rows(&part(input)?)).collect()
}

/// `first` and as many more of it as make `count` in all.
fn sessions(first: Box<dyn Session>, count: usize) -> Result<Vec<Box<dyn Session>>, LoadError> {
    let mut sessions = (1..count).map(|_| first.another()).collect::<Result<Vec<_>, _>>()?;
    sessions.push(first);
    Ok(sessions)
}

/// Ends a session's run from outside.
pub trait Interrupt: Send + Sync {
    /// Makes the session ready for the next run, undoing an earlier [`Interrupt::stop`].
    fn reset(&self);

    /// Asks the run in progress to end as soon as it can: between two operators, not within one. It then returns
    /// [`RunError::Interrupted`].
    fn stop(&self);
}

/// Why a model could not be loaded. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Sound, but beyond this engine.
    #[error("{engine} cannot run this model: {what}; {remedy}")]
    Unsupported { engine: &'static str, what: String, remedy: String },
    /// None of the providers that the list allows could take the model.
    #[error("no execution provider of the list could be used: {0}")]
    Provider(String),
    /// The runtime refused the file.
    #[error("{engine} could not load the model: {reason}")]
    Failed { engine: &'static str, reason: String },
    /// The machine lacks something that the runtime needs for this model, whose file may be sound.
    #[error("{engine} could not load the model on this machine: {what}; {remedy} ({reason})")]
    Environment { engine: &'static str, what: String, remedy: String, reason: String },
    /// What lies beside the model to describe it is faulty, or contradicts it.
    #[error("{0}")]
    Description(String),
}

/// Why a run gave no outputs. The texts are for the log, never for a scoring client.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The runtime says that the inputs are at fault: an index out of range, dimensions that do not fit together.
    #[error("the runtime rejected the input values: {0}")]
    Rejected(String),
    /// The engine has found, at run time only, that it cannot run this model.
    #[error("the engine cannot run this model: {0}")]
    Unsupported(String),
    /// The model made more of the inputs than may be answered.
    #[error("the outputs have more than {max_elements} elements")]
    OutputsTooLarge { max_elements: usize },
    /// [`Interrupt::stop`] was called.
    #[error("the run was interrupted")]
    Interrupted,
    #[error("the run failed: {0}")]
    Failed(String),
}

impl RunError {
    /// The class of the failure, as its sender sees it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RunError::Rejected(_) | RunError::OutputsTooLarge { .. } => ErrorKind::BadInput,
            RunError::Interrupted => ErrorKind::DeadlineExceeded,
            RunError::Unsupported(_) | RunError::Failed(_) => ErrorKind::ModelFailed,
        }
    }
}
