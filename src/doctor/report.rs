//! The report on one model, as `scoria doctor -o json` writes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::batching::Batching;
use super::problem::Problem;
use crate::engine::{ExternalData, Inventory};
use crate::probe::{ProbeReport, RunInput};
use crate::tensor::{Dim, Signature, ValueType};

/// Everything that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The endpoint that it would be.
    pub name: String,
    pub path: String,
    /// Whether a server would serve it: there is no problem that is an error.
    pub servable: bool,
    /// `None` if the file cannot be opened.
    pub file: Option<FileReport>,
    /// `None` if there is none that can be served.
    pub signature: Option<SignatureReport>,
    pub operators: Vec<OperatorReport>,
    pub initializers: Option<InitializersReport>,
    pub external_data: Vec<ExternalDataReport>,
    /// The one that a server would use first. Empty if the file is not fit to be shown to any.
    pub engines: Vec<EngineReport>,
    /// The rest is by the engine that a server would use.
    pub batching: Option<Batching>,
    pub memory: Option<MemoryReport>,
    pub cost: Option<Cost>,
    pub sample: Option<SampleReport>,
    /// A body that the model takes, if a short one can be made up.
    pub example: Option<String>,
    /// The worst first.
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct FileReport {
    pub bytes: u64,
    pub sha256: String,
    pub ir_version: Option<i64>,
    pub producer: Option<String>,
    pub model_version: Option<i64>,
    /// The versions of the operator sets, by domain.
    pub opsets: BTreeMap<String, i64>,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SignatureReport {
    pub inputs: Vec<ValueReport>,
    pub outputs: Vec<ValueReport>,
    /// Inputs that need not be given and cannot be: an initializer of the model gives them.
    pub defaults: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ValueReport {
    pub name: String,
    /// As messages name it: `float32[N, 10]`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `None` for sequences and maps.
    pub dtype: Option<&'static str>,
    /// A number where the size is fixed, a name or `null` where it is not; `None` if not even the rank is declared.
    pub dims: Option<Vec<DimReport>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum DimReport {
    Fixed(usize),
    Dynamic(Option<String>),
}

#[derive(Clone, Debug, Serialize)]
pub struct OperatorReport {
    pub domain: String,
    pub name: String,
    pub count: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct InitializersReport {
    pub count: usize,
    pub bytes: u64,
    /// By element type.
    pub types: BTreeMap<String, TypeReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TypeReport {
    pub count: usize,
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct ExternalDataReport {
    pub location: String,
    pub tensors: usize,
    /// Of the file; `None` if it is refused.
    pub bytes: Option<u64>,
    pub accepted: bool,
    /// Why it is refused.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    /// Whether it is the one that a server would use.
    pub chosen: bool,
    #[serde(flatten)]
    pub probe: ProbeReport,
}

/// Memory that one session of the model takes.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryReport {
    /// Of the model's own file and its weights beside it.
    pub files_bytes: u64,
    /// Measured, after it was loaded and run; includes what the engine needs for itself.
    pub held_bytes: u64,
    /// The most at any time meanwhile.
    pub peak_bytes: u64,
}

/// What runs cost, on one thread.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub input: RunInput,
    pub input_shapes: Vec<Vec<usize>>,
    pub load_us: Option<u64>,
    pub first_us: u64,
    pub steady_us: u64,
}

/// The sample request beside the model.
#[derive(Clone, Debug, Serialize)]
pub struct SampleReport {
    pub path: String,
    pub accepted: bool,
    /// Why it is not.
    pub reason: Option<String>,
}

impl Report {
    pub(super) fn new(name: String, path: String) -> Report {
        Report {
            name,
            path,
            servable: false,
            file: None,
            signature: None,
            operators: Vec::new(),
            initializers: None,
            external_data: Vec::new(),
            engines: Vec::new(),
            batching: None,
            memory: None,
            cost: None,
            sample: None,
            example: None,
            problems: Vec::new(),
        }
    }

    /// Puts in what the file holds.
    pub(super) fn describe(&mut self, inventory: &Inventory) {
        let file = self.file.get_or_insert_default();
        file.ir_version = Some(inventory.ir_version);
        file.producer = Some(inventory.producer.clone()).filter(|producer| !producer.is_empty());
        file.model_version = Some(inventory.model_version);
        file.opsets = inventory.opsets.iter().cloned().collect();
        file.metadata = inventory.metadata.clone();
        let operator = |operator: &crate::engine::Operator| OperatorReport {
            domain: operator.domain.clone(),
            name: operator.name.clone(),
            count: operator.count,
        };
        self.operators = inventory.operators.iter().map(operator).collect();
        let types = inventory.initializers.types.iter();
        self.initializers = Some(InitializersReport {
            count: inventory.initializers.count,
            bytes: inventory.initializers.bytes,
            types: types.map(|(name, &(count, bytes))| (name.clone(), TypeReport { count, bytes })).collect(),
        });
        self.external_data = inventory.external_data.iter().map(external_data).collect();
        self.signature = inventory
            .signature
            .as_ref()
            .ok()
            .map(|signature| describe_signature(signature, inventory.defaults.clone()));
    }
}

fn external_data(data: &ExternalData) -> ExternalDataReport {
    ExternalDataReport {
        location: data.location.clone(),
        tensors: data.tensors,
        bytes: data.file.as_ref().ok().map(|file| file.bytes),
        accepted: data.file.is_ok(),
        reason: data.file.as_ref().err().cloned(),
    }
}

fn describe_signature(signature: &Signature, defaults: Vec<String>) -> SignatureReport {
    let inputs = signature.inputs.iter().map(|input| ValueReport {
        name: input.name.clone(),
        kind: input.to_string(),
        dtype: Some(input.dtype.name()),
        dims: dims(input.dims.as_deref()),
    });
    let outputs = signature.outputs.iter().map(|output| {
        let (dtype, declared) = match &output.value {
            ValueType::Tensor { dtype, dims } => (Some(dtype.name()), dims.as_deref()),
            _ => (None, None),
        };
        ValueReport { name: output.name.clone(), kind: output.value.to_string(), dtype, dims: dims(declared) }
    });
    SignatureReport { inputs: inputs.collect(), outputs: outputs.collect(), defaults }
}

fn dims(dims: Option<&[Dim]>) -> Option<Vec<DimReport>> {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => DimReport::Fixed(*size),
        Dim::Dynamic(symbol) => DimReport::Dynamic(symbol.clone()),
    };
    dims.map(|dims| dims.iter().map(dim).collect())
}
