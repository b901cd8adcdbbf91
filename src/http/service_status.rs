//! What the admin API says of services: the form of its answers, and their JSON Schema from the same declaration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::deployment::{
    Comparison, Deployment, Endpoint, Entry, Execution, JoinVerdict, Measured, RoutingTable, Standing, State, Times,
};
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
    /// Why nothing of it could be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
    /// The revision of the registry that is wanted, if it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    revision: Option<u64>,
    /// Its deployments, whatever their state; one that is being replaced is there twice.
    states: Vec<DeploymentState>,
    /// The contract, once there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    contract: Option<Contract>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Loading,
    Ready,
    /// It takes no more requests, and finishes those in progress.
    Draining,
    Failed,
}

/// Where a deployment is in its life.
#[derive(Serialize, JsonSchema)]
struct DeploymentState {
    deployment: String,
    /// `ridge:3` for a version of the registry, else the file.
    model: String,
    state: Phase,
    /// Why it could not be loaded; or, while it is ready, what is being built for it, or could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Contract {
    scoring_path: String,
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    /// Those that can answer.
    deployments: Vec<DeploymentStatus>,
    /// The share of requests that each answers, in percent, of those that pin none.
    traffic: BTreeMap<String, f64>,
    /// Deployments that run answered requests again, to be compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mirror: Vec<MirrorStatus>,
}

/// A deployment that runs a share of the answered requests again.
#[derive(Serialize, JsonSchema)]
struct MirrorStatus {
    deployment: String,
    percent: f64,
    /// With each deployment that has answered requests that it has run again.
    comparisons: Vec<ComparisonStatus>,
}

/// How far answers to the same requests were apart.
#[derive(Serialize, JsonSchema)]
struct ComparisonStatus {
    answering: String,
    requests: u64,
    /// Requests that the compared deployment failed on.
    failures: u64,
    max_absolute_difference: f64,
    max_relative_difference: f64,
    /// Pairs of numbers of which one is finite and the other is not.
    incomparable_numbers: u64,
    labels: u64,
    labels_equal: u64,
    /// Outputs of different shapes.
    shapes_differ: u64,
    answering_mean_run_ms: f64,
    compared_mean_run_ms: f64,
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
    /// Whether rows of several requests share runs.
    row_joining: RowJoiningStatus,
}

#[derive(Serialize, JsonSchema)]
struct RowJoiningStatus {
    verdict: Verdict,
    /// What proves that rows stay apart, or what is in the way, such as an operator by its name.
    reason: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// They do, and are proven to stay apart.
    Joined,
    /// They do although nothing proves it, since `allow_rows_to_mix` is set: answers may depend on other clients' rows.
    AtRisk,
    /// They could, and do not: it is not worth it, or not wanted.
    Unused,
    /// Each request has a run of its own.
    Alone,
}

#[derive(Serialize, JsonSchema)]
struct ModelStatus {
    /// Its name in the registry, if it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    registered: Option<String>,
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
    /// Those that are still to come: they build for long, and the others compute meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<String>,
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
        let (state, reason) = phase(&entry.state);
        let contract = entry.endpoint.as_ref().map(|endpoint| {
            let signature = &endpoint.signature;
            Contract {
                scoring_path: format!("/api/v1/service/{name}/score"),
                inputs: signature.inputs.iter().map(|input| Described::new(&input.name, input)).collect(),
                outputs: signature.outputs.iter().map(|output| Described::new(&output.name, &output.value)).collect(),
                deployments: endpoint.deployments.iter().map(|deployment| DeploymentStatus::of(deployment)).collect(),
                traffic: traffic(endpoint),
                mirror: mirror(endpoint),
            }
        });
        let states = entry.deployments.iter().map(DeploymentState::of).collect();
        ServiceStatus { name: name.to_string(), state, reason, revision: entry.revision, states, contract }
    }
}

fn phase(state: &State) -> (Phase, Option<String>) {
    match state {
        State::Loading => (Phase::Loading, None),
        State::Ready => (Phase::Ready, None),
        State::Draining => (Phase::Draining, None),
        State::Failed { reason } => (Phase::Failed, Some(reason.clone())),
    }
}

fn traffic(endpoint: &Endpoint) -> BTreeMap<String, f64> {
    let lengths = endpoint.traffic.lengths(endpoint.deployments.len());
    let percent = |length: u16| f64::from(length) / 100.0;
    endpoint
        .deployments
        .iter()
        .zip(lengths)
        .map(|(deployment, length)| (deployment.name.to_string(), percent(length)))
        .collect()
}

fn mirror(endpoint: &Endpoint) -> Vec<MirrorStatus> {
    let targets = endpoint.mirror.iter().flat_map(|mirror| &mirror.targets);
    let status = targets.map(|target| MirrorStatus {
        deployment: target.deployment.name.to_string(),
        percent: target.share.percent(),
        comparisons: target.comparisons.iter().filter_map(|pair| ComparisonStatus::of(pair)).collect(),
    });
    status.collect()
}

impl DeploymentState {
    fn of(standing: &Standing) -> DeploymentState {
        let (state, reason) = phase(&standing.state);
        let reason = reason.or_else(|| standing.note.clone());
        DeploymentState { deployment: standing.name.to_string(), model: standing.model.clone(), state, reason }
    }
}

impl ComparisonStatus {
    /// `None` as long as nothing has been compared.
    fn of(comparison: &Comparison) -> Option<ComparisonStatus> {
        let Measured { requests, failures, difference, answering_run, compared_run } = comparison.measured();
        let mean_ms = |times: Times| if requests == 0 { 0.0 } else { times.sum_s * 1e3 / requests as f64 };
        (requests + failures > 0).then(|| ComparisonStatus {
            answering: comparison.answering.to_string(),
            requests,
            failures,
            max_absolute_difference: difference.max_abs,
            max_relative_difference: difference.max_rel,
            incomparable_numbers: difference.incomparable,
            labels: difference.labels,
            labels_equal: difference.labels_equal,
            shapes_differ: difference.shapes_differ,
            answering_mean_run_ms: mean_ms(answering_run),
            compared_mean_run_ms: mean_ms(compared_run),
        })
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
                registered: model.registered.as_ref().map(ToString::to_string),
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
                pending: model.providers_pending.clone(),
            },
            workers: deployment.plan.workers,
            intra_op_threads: deployment.plan.intra_op_threads,
            execution: match deployment.plan.execution {
                Execution::Combining => How::Combining,
                Execution::Pooled => How::Pooled,
            },
            max_batch: deployment.plan.max_batch,
            row_joining: RowJoiningStatus {
                verdict: match deployment.row_joining.verdict {
                    JoinVerdict::Joined => Verdict::Joined,
                    JoinVerdict::AtRisk => Verdict::AtRisk,
                    JoinVerdict::Unused => Verdict::Unused,
                    JoinVerdict::Alone => Verdict::Alone,
                },
                reason: deployment.row_joining.reason.clone(),
            },
        }
    }
}
