//! What the admin API says of services: the form of its answers, and their JSON Schema from the same declaration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::deployment::{Deployment, Entry, Execution, RoutingTable, State};
use crate::name::Name;

/// The answer to `GET /api/v1/service` on the admin port.
#[derive(Serialize, JsonSchema)]
pub struct ServiceList {
    services: Vec<ServiceStatus>,
}

impl ServiceList {
    pub fn of(table: &RoutingTable) -> ServiceList {
        ServiceList { services: table.entries().map(|(name, entry)| ServiceStatus::of(name, entry)).collect() }
    }
}

/// An endpoint: the answer to `GET /api/v1/service/<endpoint>` on the admin port.
#[derive(Serialize, JsonSchema)]
pub struct ServiceStatus {
    name: String,
    state: Phase,
    /// Why the model could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
    /// The contract, once there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    contract: Option<Contract>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Loading,
    Ready,
    Failed,
}

#[derive(Serialize, JsonSchema)]
struct Contract {
    scoring_path: String,
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    deployments: Vec<DeploymentStatus>,
}

/// An input or an output.
#[derive(Serialize, JsonSchema)]
struct Described {
    name: String,
    /// As people write it: `float32[N, 10]`.
    r#type: String,
}

#[derive(Serialize, JsonSchema)]
struct DeploymentStatus {
    name: String,
    model: ModelStatus,
    engine: EngineStatus,
    providers: Providers,
    /// Sessions: so many runs at the same time.
    workers: usize,
    /// Threads that one run may use inside an operator.
    intra_op_threads: usize,
    /// How a request of the sample's size is run.
    execution: How,
    /// The most rows of one run; 1 if requests are never joined.
    max_batch: usize,
}

#[derive(Serialize, JsonSchema)]
struct ModelStatus {
    path: String,
    version: u64,
    /// Of the model's file, in hexadecimal.
    sha256: String,
    /// The program that wrote the model, as the model says.
    producer: String,
    /// Versions of operator sets, by domain.
    opsets: BTreeMap<String, i64>,
}

#[derive(Serialize, JsonSchema)]
struct EngineStatus {
    name: String,
    version: String,
    /// The shared library, if the engine is one.
    library: Option<String>,
}

/// Execution providers.
#[derive(Serialize, JsonSchema)]
struct Providers {
    asked: Vec<String>,
    got: Vec<String>,
    /// Those that could not be had, with the reason.
    missing: BTreeMap<String, String>,
}

/// Where requests are run.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum How {
    /// On the threads that serve connections, each for all that wait.
    Combining,
    /// By workers.
    Pooled,
}

impl ServiceStatus {
    pub fn of(name: &Name, entry: &Entry) -> ServiceStatus {
        let (state, reason) = match &entry.state {
            State::Loading => (Phase::Loading, None),
            State::Ready => (Phase::Ready, None),
            State::Failed { reason } => (Phase::Failed, Some(reason.clone())),
        };
        let contract = entry.endpoint.as_ref().map(|endpoint| {
            let signature = &endpoint.signature;
            Contract {
                scoring_path: format!("/api/v1/service/{name}/score"),
                inputs: signature.inputs.iter().map(|input| Described::new(&input.name, input)).collect(),
                outputs: signature.outputs.iter().map(|output| Described::new(&output.name, &output.value)).collect(),
                deployments: endpoint.deployments.iter().map(|deployment| DeploymentStatus::of(deployment)).collect(),
            }
        });
        ServiceStatus { name: name.to_string(), state, reason, contract }
    }
}

impl Described {
    fn new(name: &str, kind: &impl ToString) -> Described {
        Described { name: name.to_owned(), r#type: kind.to_string() }
    }
}

impl DeploymentStatus {
    fn of(deployment: &Deployment) -> DeploymentStatus {
        let (model, engine) = (&deployment.model, &deployment.engine);
        DeploymentStatus {
            name: deployment.name.to_string(),
            model: ModelStatus {
                path: model.path.display().to_string(),
                version: model.version,
                sha256: model.digest.clone(),
                producer: model.producer.clone(),
                opsets: model.opsets.iter().cloned().collect(),
            },
            engine: EngineStatus {
                name: engine.name.to_owned(),
                version: engine.version.clone(),
                library: engine.loaded_from.as_ref().map(|path| path.display().to_string()),
            },
            providers: Providers {
                asked: model.providers_asked.clone(),
                got: model.providers_got.clone(),
                missing: model.providers_missing.iter().cloned().collect(),
            },
            workers: deployment.plan.workers,
            intra_op_threads: deployment.plan.intra_op_threads,
            execution: match deployment.plan.execution {
                Execution::Combining => How::Combining,
                Execution::Pooled => How::Pooled,
            },
            max_batch: deployment.plan.max_batch,
        }
    }
}
