//! TensorFlow Serving's REST API, and version 1 of KServe's, which is the same in small: `/v1/models/…`.
//!
//! Predictions are scored like any other request (`score.rs`); what is here is where they are asked for, and what the models'
//! status and metadata look like. The answers satisfy clients of both: KServe reads `name` and `ready`, TensorFlow Serving
//! `model_version_status`. Source: TensorFlow Serving's `api_rest.md`, KServe's `v1_protocol.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::{Method, Response};
use serde_json::{Value as Json, json};

use super::Body;
use super::error::ApiError;
use super::health::text;
use super::score::{find_endpoint, unknown_endpoint, unknown_version};
use crate::deployment::{Deployment, Endpoint, RoutingTable, State};
use crate::error::ErrorKind;
use crate::tensor::{DType, Dim, ValueType};

/// What a request under `/v1/models` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TensorFlow {
    Predict {
        endpoint: String,
        version: Option<u64>,
    },
    /// `:classify` and `:regress`, which are of models with signatures of these kinds.
    Examples {
        endpoint: String,
        version: Option<u64>,
        verb: &'static str,
    },
    Status {
        endpoint: String,
        version: Option<u64>,
    },
    Metadata {
        endpoint: String,
        version: Option<u64>,
    },
    /// The names of all models (KServe).
    List,
}

const PREFIX: &str = "/v1/models";

const PREDICT: &str = ":predict";
const VERBS: [&str; 3] = [PREDICT, ":classify", ":regress"];

/// Why examples are not classified: an ONNX model names its inputs and outputs, and does not say which is a class or a score.
pub fn no_signature(verb: &str) -> ApiError {
    let message = format!(
        "the model has one signature, tensorflow/serving/predict, and {verb} is for others: send {{\"instances\": [row, …]}} \
         to {PREDICT}; GET …/metadata names the inputs and outputs"
    );
    ApiError::new(ErrorKind::BadInput, "no_signature", message).with_expected(PREDICT).with_got(verb)
}

/// The path and its methods: `None` if it is not of this API.
pub fn route(method: &Method, path: &str) -> Option<Result<TensorFlow, &'static str>> {
    const READ: &str = "GET, HEAD, OPTIONS";
    let rest = path.strip_prefix(PREFIX)?;
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let asked = match rest.strip_prefix('/') {
        None if rest.is_empty() => TensorFlow::List,
        None => return None,
        Some(rest) => {
            let verb = VERBS.into_iter().find(|verb| rest.ends_with(verb));
            let rest = verb.and_then(|verb| rest.strip_suffix(verb)).unwrap_or(rest);
            let (rest, is_metadata) = match rest.strip_suffix("/metadata") {
                Some(rest) if verb.is_none() => (rest, true),
                _ => (rest, false),
            };
            let (name, version) = match rest.split_once("/versions/") {
                Some((name, version)) => (name, Some(version_number(version)?)),
                None => (rest, None),
            };
            if name.is_empty() || name.contains(['/', ':']) {
                return None;
            }
            let endpoint = name.to_owned();
            match (verb, is_metadata) {
                (Some(PREDICT), _) => TensorFlow::Predict { endpoint, version },
                (Some(verb), _) => TensorFlow::Examples { endpoint, version, verb },
                (None, true) => TensorFlow::Metadata { endpoint, version },
                (None, false) => TensorFlow::Status { endpoint, version },
            }
        }
    };
    Some(match asked {
        TensorFlow::Predict { .. } | TensorFlow::Examples { .. } if *method == Method::POST => Ok(asked),
        TensorFlow::Predict { .. } | TensorFlow::Examples { .. } => Err("POST, OPTIONS"),
        _ if is_read => Ok(asked),
        _ => Err(READ),
    })
}

fn version_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The names of all models.
pub fn list(table: &RoutingTable) -> Response<Body> {
    let models: Vec<_> = table.entries().map(|(name, _)| name.as_str()).collect();
    answer(&json!({ "models": models }))
}

/// How a model is: that of one version, or of all that are served.
pub fn status(table: &RoutingTable, name: &str, version: Option<u64>) -> Result<Response<Body>, ApiError> {
    let entry = table.find(name).ok_or_else(|| unknown_endpoint(table, name))?;
    let (state, error) = match &entry.state {
        State::Ready => ("AVAILABLE", "OK"),
        State::Loading => ("LOADING", "OK"),
        State::Draining => ("UNLOADING", "OK"),
        // The reason is the operator's, and on the admin port.
        State::Failed { .. } => ("END", "UNKNOWN"),
    };
    let version_status = |version: u64| {
        let message = if error == "OK" { "" } else { "the model could not be loaded" };
        json!({ "version": version.to_string(), "state": state, "status": { "error_code": error, "error_message": message } })
    };
    let versions: Vec<Json> = match &entry.endpoint {
        Some(endpoint) => match version {
            Some(version) => vec![version_status(of_version(endpoint, version)?.model.version)],
            None => {
                let served: BTreeSet<u64> = endpoint.deployments.iter().map(|one| one.model.version).collect();
                served.into_iter().rev().map(version_status).collect()
            }
        },
        None => vec![version_status(version.unwrap_or(1))],
    };
    let is_ready = entry.endpoint.is_some();
    let mut response = answer(&json!({ "name": name, "ready": is_ready, "model_version_status": versions }));
    if !is_ready {
        *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

/// What a model takes and gives.
pub fn metadata(table: &RoutingTable, name: &str, version: Option<u64>) -> Result<Response<Body>, ApiError> {
    let endpoint = find_endpoint(table, Some(name))?;
    let newest = || endpoint.deployments.iter().max_by_key(|one| one.model.version).ok_or_else(unknown_model);
    let deployment = version.map_or_else(newest, |version| of_version(&endpoint, version))?;
    Ok(answer(&signature_definition(&endpoint, deployment)))
}

/// The deployment of a model version.
fn of_version(endpoint: &Endpoint, version: u64) -> Result<&Arc<Deployment>, ApiError> {
    let found = endpoint.find_version(version).and_then(|index| endpoint.deployments.get(index));
    found.ok_or_else(|| unknown_version(endpoint, version))
}

fn signature_definition(endpoint: &Endpoint, deployment: &Deployment) -> Json {
    let signature = &endpoint.signature;
    let inputs = signature
        .inputs
        .iter()
        .map(|input| (&input.name, tensor_info(&input.name, input.dtype, input.dims.as_deref())));
    let outputs = signature.outputs.iter().filter_map(|output| match &output.value {
        ValueType::Tensor { dtype, dims } => Some((&output.name, tensor_info(&output.name, *dtype, dims.as_deref()))),
        // There is no word for the others.
        ValueType::Sequence(_) | ValueType::Map { .. } => None,
    });
    let map = |tensors: Vec<(&String, Json)>| -> serde_json::Map<String, Json> {
        tensors.into_iter().map(|(name, info)| (name.clone(), info)).collect()
    };
    json!({
        "model_spec": {
            "name": endpoint.name.as_str(),
            "signature_name": "",
            "version": deployment.model.version.to_string(),
        },
        "metadata": { "signature_def": { "signature_def": { "serving_default": {
            "inputs": map(inputs.collect()),
            "outputs": map(outputs.collect()),
            "method_name": "tensorflow/serving/predict",
        } } } },
    })
}

fn tensor_info(name: &str, dtype: DType, dims: Option<&[Dim]>) -> Json {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => json!({ "size": size.to_string(), "name": "" }),
        Dim::Dynamic(symbol) => json!({ "size": "-1", "name": symbol.as_deref().unwrap_or_default() }),
    };
    let sizes: Vec<_> = dims.unwrap_or_default().iter().map(size).collect();
    json!({
        "name": name,
        "dtype": data_type(dtype),
        "tensor_shape": { "dim": sizes, "unknown_rank": dims.is_none() },
    })
}

/// TensorFlow's name of an element type (`types.proto`).
const fn data_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "DT_BOOL",
        DType::I8 => "DT_INT8",
        DType::I16 => "DT_INT16",
        DType::I32 => "DT_INT32",
        DType::I64 => "DT_INT64",
        DType::U8 => "DT_UINT8",
        DType::U16 => "DT_UINT16",
        DType::U32 => "DT_UINT32",
        DType::U64 => "DT_UINT64",
        DType::F16 => "DT_HALF",
        DType::BF16 => "DT_BFLOAT16",
        DType::F32 => "DT_FLOAT",
        DType::F64 => "DT_DOUBLE",
        DType::String => "DT_STRING",
    }
}

fn unknown_model() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "unknown_endpoint", "there is no model of this name")
}

fn answer(body: &Json) -> Response<Body> {
    text(body.to_string(), "application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let name = || "m".to_owned();
        for (method, path, asked) in [
            ("POST", "/v1/models/m:predict", TensorFlow::Predict { endpoint: name(), version: None }),
            ("POST", "/v1/models/m/versions/12:predict", TensorFlow::Predict { endpoint: name(), version: Some(12) }),
            (
                "POST",
                "/v1/models/m:regress",
                TensorFlow::Examples { endpoint: name(), version: None, verb: ":regress" },
            ),
            ("GET", "/v1/models/m", TensorFlow::Status { endpoint: name(), version: None }),
            ("HEAD", "/v1/models/m/versions/1", TensorFlow::Status { endpoint: name(), version: Some(1) }),
            ("GET", "/v1/models/m/metadata", TensorFlow::Metadata { endpoint: name(), version: None }),
            ("GET", "/v1/models/m/versions/1/metadata", TensorFlow::Metadata { endpoint: name(), version: Some(1) }),
            ("GET", "/v1/models", TensorFlow::List),
        ] {
            assert_eq!(route(&method.parse().unwrap(), path), Some(Ok(asked)), "{path}");
        }
        assert_eq!(route(&Method::GET, "/v1/models/m:predict"), Some(Err("POST, OPTIONS")));
        assert_eq!(route(&Method::POST, "/v1/models/m"), Some(Err("GET, HEAD, OPTIONS")));
        for path in [
            "/v1/modelsx",
            "/v1/models/",
            "/v1/models/:predict",
            "/v1/models/m:generate",
            "/v1/models/m:classify:predict",
            "/v1/models/m/metadata:predict",
            "/v1/models/m/versions/:predict",
            "/v1/models/m/versions/+1",
            "/v1/models/m/versions/99999999999999999999",
            "/v1/models/m/versions/1/2",
            "/v1/models/m/labels/stable:predict",
            "/v1/models/a/b",
            "/v2/models/m",
        ] {
            assert_eq!(route(&Method::GET, path), None, "{path}");
        }
    }
}
