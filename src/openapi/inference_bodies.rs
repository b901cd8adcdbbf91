//! The schemas of the Open Inference Protocol: of a model's requests and answers, and of what all models tell alike.
//!
//! They say what `codec/open_inference/` reads in JSON, but for shared memory. Keys that are not listed are passed over,
//! and `null` is like leaving a key out. That `data` has as many elements as `shape` says, JSON Schema cannot say.

use serde_json::{Map, Value as Json, json};

use super::schema::{self, any_of, element, nested, or_null, reference};
use super::{Service, Version};
use crate::tensor::{DType, Dim, TensorSpec, element_count};

/// Adds a model's schemas.
pub(super) fn define(version: Version, service: &Service<'_>, suffix: &str, schemas: &mut Map<String, Json>) {
    let inputs = &service.signature.inputs;
    let names: Vec<_> = (1..=inputs.len()).map(|number| format!("InferenceInput{number}{suffix}")).collect();
    for (name, spec) in names.iter().zip(inputs) {
        schemas.insert(name.clone(), input(version, service, spec));
    }
    let mut request = request(version, service, names.iter().map(|name| reference(version, name)).collect());
    schema::show(version, &mut request, service.inference.example.as_deref());
    schemas.insert(format!("InferenceRequest{suffix}"), request);
    schemas.insert(format!("InferenceReply{suffix}"), reply(version, service));
}

/// The schemas that are the same for every model.
pub(super) fn shared() -> [(String, Json); 8] {
    let text = || json!({ "type": "string" });
    let flag = || json!({ "type": "boolean" });
    let list = |items: Json| json!({ "type": "array", "items": items });
    let error =
        object(&["error"], json!({ "error": { "type": "string", "description": "All that there is to say." } }));
    let tensor = object(
        &["name", "datatype", "shape"],
        json!({
            "name": text(),
            "datatype": text(),
            "shape": {
                "type": "array", "items": { "type": "integer", "minimum": -1 }, "description": "-1 is any size.",
            },
        }),
    );
    let model = object(
        &["name", "versions", "platform", "inputs", "outputs"],
        json!({
            "name": text(), "versions": list(text()), "platform": text(),
            "inputs": list(tensor.clone()), "outputs": list(tensor),
        }),
    );
    let metadata = object(
        &["name", "version", "extensions"],
        json!({ "name": text(), "version": text(), "extensions": list(text()) }),
    );
    [
        ("InferenceError", error),
        ("ServerMetadata", metadata),
        ("ServerLiveness", object(&["live"], json!({ "live": flag() }))),
        ("ServerReadiness", object(&["ready"], json!({ "ready": flag() }))),
        ("ModelMetadata", model),
        ("ModelReadiness", object(&["name", "ready"], json!({ "name": text(), "ready": flag() }))),
        ("ModelConfig", config()),
        ("InferenceStatistics", statistics()),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
}

/// What a client is told of a model's configuration; it has more, all of it Triton's.
fn config() -> Json {
    let tensor = object(
        &["name", "data_type", "dims"],
        json!({
            "name": { "type": "string" },
            "data_type": { "type": "string" },
            "dims": { "type": "array", "items": { "type": "integer", "minimum": -1 } },
        }),
    );
    let tensors = json!({ "type": "array", "items": tensor });
    object(
        &["name", "platform", "backend", "max_batch_size", "input", "output"],
        json!({
            "name": { "type": "string" },
            "platform": { "type": "string" },
            "backend": { "type": "string" },
            "max_batch_size": {
                "type": "integer", "minimum": 0, "description": "If not 0, `dims` are without the batch.",
            },
            "input": tensors,
            "output": tensors,
        }),
    )
}

fn statistics() -> Json {
    let count = || json!({ "type": "integer", "minimum": 0 });
    let counted = || object(&["count", "ns"], json!({ "count": count(), "ns": count() }));
    let members = |names: &[&str]| -> Json {
        let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), counted())).collect();
        object(names, Json::Object(properties))
    };
    let parts = ["success", "fail", "queue", "compute_input", "compute_infer", "compute_output"];
    let mut runs = members(&["compute_infer"]);
    runs["properties"]["batch_size"] = count();
    let model = object(
        &["name", "version", "last_inference", "inference_count", "execution_count", "inference_stats", "batch_stats"],
        json!({
            "name": { "type": "string" },
            "version": { "type": "string" },
            "last_inference": { "type": "integer", "minimum": 0, "description": "Milliseconds since 1970." },
            "inference_count": { "type": "integer", "minimum": 0, "description": "Rows." },
            "execution_count": { "type": "integer", "minimum": 0, "description": "Runs." },
            "inference_stats": members(&parts),
            "batch_stats": { "type": "array", "items": runs },
        }),
    );
    object(&["model_stats"], json!({ "model_stats": { "type": "array", "items": model } }))
}

fn request(version: Version, service: &Service<'_>, inputs: Vec<Json>) -> Json {
    let count = inputs.len();
    let items = if inputs.is_empty() { json!({}) } else { any_of(version, inputs) };
    let most = || or_null(version, json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }));
    let known = json!({
        "priority": most(),
        "timeout": most(),
        "binary_data_output": or_null(version, json!({ "type": "boolean" })),
    });
    let mut properties = json!({
        "id": or_null(version, json!({ "type": "string" })),
        "parameters": parameters(version, known),
        "inputs": { "type": "array", "items": items, "minItems": count, "maxItems": count },
    });
    if !service.inference.outputs.is_empty() {
        let wanted = json!({ "type": "array", "items": wanted_output(version, service) });
        properties["outputs"] = or_null(version, wanted);
    }
    object(if count > 0 { &["inputs"] } else { &[] }, properties)
}

/// An output that a request lists.
fn wanted_output(version: Version, service: &Service<'_>) -> Json {
    let (numbers, others): (Vec<_>, Vec<_>) =
        service.inference.outputs.iter().partition(|output| output.dtype.is_number());
    // Only numbers have an order for classes to be ranked by.
    let forms = [(numbers, u64::MAX), (others, 0)].into_iter().filter(|(outputs, _)| !outputs.is_empty());
    let form = |(outputs, classes_max): (Vec<&TensorSpec>, u64)| {
        let names: Vec<_> = outputs.iter().map(|output| output.name.as_str()).collect();
        let classes = json!({ "type": "integer", "minimum": 0, "maximum": classes_max });
        let known = json!({
            "binary_data": or_null(version, json!({ "type": "boolean" })),
            "classification": or_null(version, classes),
        });
        let name = json!({ "type": "string", "enum": names });
        object(&["name"], json!({ "name": name, "parameters": parameters(version, known) }))
    };
    match version {
        // It has no choice of schemas.
        Version::V2 => form((service.inference.outputs.iter().collect(), u64::MAX)),
        Version::V3_0 | Version::V3_1 => any_of(version, forms.map(form).collect()),
    }
}

/// Parameters: what is known, and whatever else.
fn parameters(version: Version, known: Json) -> Json {
    let others = match version {
        Version::V2 => json!({}),
        Version::V3_0 => json!({ "anyOf": scalars(), "nullable": true }),
        Version::V3_1 => json!({ "type": ["string", "number", "boolean", "null"] }),
    };
    or_null(version, json!({ "type": "object", "properties": known, "additionalProperties": others }))
}

fn scalars() -> [Json; 3] {
    ["string", "number", "boolean"].map(|kind| json!({ "type": kind }))
}

/// An input with its elements, as one list or nested.
fn input(version: Version, service: &Service<'_>, spec: &TensorSpec) -> Json {
    let dims = spec.dims.as_deref();
    let mut schema = object(
        &["name", "datatype", "shape", "data"],
        json!({
            "name": { "type": "string", "enum": [spec.name] },
            "datatype": { "type": "string", "enum": [(service.inference.datatype)(spec.dtype)] },
            "shape": shape(version, dims),
            "data": data(version, spec, service.null_input()),
            "parameters": parameters(version, json!({})),
        }),
    );
    schema["description"] = json!(spec.to_string());
    schema
}

fn data(version: Version, spec: &TensorSpec, null: schema::Null) -> Json {
    let Some(dims) = spec.dims.as_deref() else { return json!({}) };
    let sizes: Option<Vec<_>> =
        dims.iter().map(|dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None }).collect();
    let flat = match sizes.as_deref().and_then(element_count) {
        Some(count) => nested(version, spec.dtype, Some(&[Dim::Fixed(count)]), null),
        None => nested(version, spec.dtype, Some(&[Dim::Dynamic(None)]), null),
    };
    match dims.len() {
        1 => flat,
        _ => any_of(version, vec![flat, nested(version, spec.dtype, Some(dims), null)]),
    }
}

/// The sizes of an input. Each by itself can be told in 3.1 only.
fn shape(version: Version, dims: Option<&[Dim]>) -> Json {
    let any = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => json!({ "type": "integer", "enum": [size] }),
        Dim::Dynamic(_) => any.clone(),
    };
    let Some(dims) = dims else { return json!({ "type": "array", "items": any }) };
    let mut schema = json!({ "type": "array", "minItems": dims.len(), "maxItems": dims.len() });
    if version == Version::V3_1 && !dims.is_empty() {
        schema["prefixItems"] = dims.iter().map(size).collect();
    } else {
        schema["items"] = any.clone();
    }
    schema
}

fn reply(version: Version, service: &Service<'_>) -> Json {
    let outputs = match version {
        // It has no choice of schemas.
        Version::V2 => output(&output_names(service), &[], json!({})),
        Version::V3_0 | Version::V3_1 => {
            let datatype = |dtype: DType| (service.inference.datatype)(dtype);
            let values = service.inference.outputs.iter().map(|spec| {
                let elements = element(version, spec.dtype, service.null_output());
                output(&[&spec.name], &[datatype(spec.dtype)], elements)
            });
            let classes = output(&output_names(service), &[datatype(DType::String)], json!({ "type": "string" }));
            any_of(version, values.chain([classes]).collect())
        }
    };
    object(
        &["model_name", "model_version", "outputs"],
        json!({
            "model_name": { "type": "string" },
            "model_version": { "type": "string" },
            "id": { "type": "string" },
            "outputs": { "type": "array", "items": outputs },
        }),
    )
}

/// An output in an answer.
fn output(names: &[&str], datatypes: &[&str], elements: Json) -> Json {
    let mut datatype = json!({ "type": "string" });
    if !datatypes.is_empty() {
        datatype["enum"] = json!(datatypes);
    }
    let mut name = json!({ "type": "string" });
    if !names.is_empty() {
        name["enum"] = json!(names);
    }
    object(
        &["name", "datatype", "shape"],
        json!({
            "name": name,
            "datatype": datatype,
            "shape": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
            "data": { "type": "array", "items": elements },
        }),
    )
}

fn output_names<'a>(service: &'a Service<'_>) -> Vec<&'a str> {
    service.inference.outputs.iter().map(|spec| spec.name.as_str()).collect()
}

/// An object of these members, and any others.
fn object(required: &[&str], properties: Json) -> Json {
    let mut schema = json!({ "type": "object", "properties": properties });
    // JSON Schema's draft 4, which Swagger 2.0 and OpenAPI 3.0 follow, does not take an empty list.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
