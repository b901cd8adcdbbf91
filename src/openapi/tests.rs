use super::schema::{Null, element, nested, output};
use super::*;
use crate::tensor::{DType, Dim, OutputSpec, TensorSpec, ValueType};

fn name() -> Name {
    Name::parse("a").unwrap()
}

fn input(name: &str, dtype: DType, dims: Option<&[Dim]>) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, dims: dims.map(<[_]>::to_vec) }
}

fn signature(inputs: Vec<TensorSpec>, outputs: Vec<ValueType>) -> Signature {
    let outputs = outputs.into_iter().enumerate();
    Signature {
        inputs,
        outputs: outputs.map(|(index, value)| OutputSpec { name: format!("y{index}"), value }).collect(),
    }
}

fn document(version: Version, signature: &Signature, access: Access) -> Json {
    let name = name();
    endpoint_document(
        version,
        &Service {
            name: &name,
            signature,
            example: None,
            access,
            outcomes: Outcomes::NotCounted,
            null_input: NullInput::Reject,
            extra_columns: ExtraColumns::Refuse,
            non_finite_output: NonFiniteOutput::Null,
            deployments: vec!["default"],
            inference: inference(signature),
        },
    )
}

fn inference(signature: &Signature) -> Inference {
    let carried = |output: &OutputSpec| match &output.value {
        ValueType::Tensor { dtype, dims } => {
            Some(TensorSpec { name: output.name.clone(), dtype: *dtype, dims: dims.clone() })
        }
        ValueType::Sequence(_) | ValueType::Map { .. } => None,
    };
    Inference { datatype: DType::name, outputs: signature.outputs.iter().filter_map(carried).collect(), example: None }
}

fn schema<'a>(document: &'a Json, name: &str) -> &'a Json {
    match document.get("definitions") {
        Some(definitions) => &definitions[name],
        None => &document["components"]["schemas"][name],
    }
}

fn tensor(dtype: DType, dims: &[Dim]) -> ValueType {
    ValueType::Tensor { dtype, dims: Some(dims.to_vec()) }
}

const N: Dim = Dim::Dynamic(None);

#[test]
fn every_element_type_has_its_bounds() {
    for dtype in DType::ALL {
        let schema = element(Version::V3_1, dtype, Null::Never);
        let kind = match dtype {
            DType::Bool => "boolean",
            DType::String => "string",
            _ if dtype.is_float() => "number",
            _ => "integer",
        };
        assert_eq!(schema["type"], kind, "{dtype}");
        assert_eq!(schema.get("maximum").is_some(), kind != "boolean" && kind != "string" && dtype != DType::F64);
    }
    let integer = |dtype| element(Version::V2, dtype, Null::InFloats);
    let expected = json!({ "type": "integer", "format": "int8", "minimum": -128, "maximum": 127 });
    assert_eq!(integer(DType::I8), expected);
    assert_eq!(integer(DType::I64)["minimum"], i64::MIN);
    assert_eq!(integer(DType::U64)["maximum"], u64::MAX);
    assert_eq!(element(Version::V2, DType::F64, Null::Never), json!({ "type": "number", "format": "double" }));
}

#[test]
fn a_floats_bound_reads_as_the_types_largest_value() {
    let most = |dtype| element(Version::V3_0, dtype, Null::Never)["maximum"].as_f64().unwrap();
    assert_eq!(most(DType::F32) as f32, f32::MAX);
    assert_eq!(half::bf16::from_f64(most(DType::BF16)), half::bf16::MAX);
    assert_eq!(half::f16::from_f64(most(DType::F16)), half::f16::MAX);
}

#[test]
fn each_version_has_its_own_word_for_null() {
    let float = |version| element(version, DType::F64, Null::InFloats);
    assert_eq!(float(Version::V2), json!({ "type": "number", "format": "double", "x-nullable": true }));
    assert_eq!(float(Version::V3_0), json!({ "type": "number", "format": "double", "nullable": true }));
    assert_eq!(float(Version::V3_1), json!({ "type": ["number", "null"], "format": "double" }));
}

#[test]
fn shapes_become_nested_lists() {
    let of = |dims: Option<&[Dim]>| nested(Version::V2, DType::Bool, dims, Null::Never);
    assert_eq!(of(Some(&[])), json!({ "type": "boolean" }), "a scalar is bare");
    assert_eq!(of(None), json!({}), "without a rank anything goes");
    let expected = json!({
        "type": "array",
        "items": { "type": "array", "items": { "type": "boolean" }, "minItems": 0, "maxItems": 0 },
    });
    assert_eq!(of(Some(&[N, Dim::Fixed(0)])), expected);
}

#[test]
fn sequences_and_maps_become_lists_and_objects() {
    let map = ValueType::Map { key: DType::I64, value: Box::new(tensor(DType::F32, &[])) };
    let schema = output(Version::V3_1, &ValueType::Sequence(Box::new(map.clone())), Null::InFloats);
    assert_eq!(schema["type"], "array");
    assert_eq!(schema["items"]["additionalProperties"]["type"], json!(["number", "null"]));
    let signature = signature(vec![input("x", DType::F32, Some(&[N]))], vec![tensor(DType::I64, &[N]), map]);
    let document = document(Version::V3_1, &signature, Access::Open);
    let content = &document["paths"]["/api/v1/service/a/score"]["post"]["responses"]["200"]["content"];
    assert_eq!(content.as_object().unwrap().keys().collect::<Vec<_>>(), ["application/json"], "only JSON has maps");
    assert_eq!(
        schema_of_predictions(&document),
        json!({ "$ref": "#/components/schemas/Outputs" }),
        "a map has no rows"
    );
}

fn schema_of_predictions(document: &Json) -> Json {
    schema(document, "ServiceOutput")["anyOf"][1]["properties"]["predictions"].clone()
}

#[test]
fn inputs_of_odd_names_are_properties_and_never_names_of_schemas() {
    let odd = ["a b/c", "~0", "数", "inputs"];
    let inputs = odd.map(|name| input(name, DType::String, Some(&[N]))).into();
    let document = document(Version::V3_1, &signature(inputs, vec![tensor(DType::F32, &[N])]), Access::Open);
    let named = schema(&document, "NamedInputs");
    for name in odd {
        assert!(named["properties"][name]["$ref"].is_string(), "{name}");
    }
    assert_eq!(named["additionalProperties"], false);
    let is_plain = |key: &String| key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    assert!(document["components"]["schemas"].as_object().unwrap().keys().all(is_plain));
    let forms = schema(&document, "ServiceInput")["anyOf"].as_array().unwrap();
    assert!(forms.iter().all(|form| form["required"] != json!(["inputs"])), "that name is an input's");
    let post = &document["paths"]["/api/v1/service/a/score"]["post"]["requestBody"]["content"];
    assert!(post.get("application/x-npy").is_none(), "one array cannot be several inputs");
    assert!(post.get("application/x-safetensors").is_none(), "it has no strings");
}

#[test]
fn swagger_2_has_one_form_the_data_of_one_input_or_all_by_name() {
    let one = signature(vec![input("x", DType::F32, None)], vec![tensor(DType::F32, &[])]);
    let service_input = schema(&document(Version::V2, &one, Access::Open), "ServiceInput").clone();
    assert_eq!(service_input["required"], json!(["data"]));
    let two = vec![input("x", DType::F32, None), input("y", DType::F32, None)];
    let document = document(Version::V2, &signature(two, vec![tensor(DType::F32, &[])]), Access::Open);
    assert_eq!(schema(&document, "ServiceInput")["required"], json!(["x", "y"]));
    assert!(!document.to_string().contains("anyOf"), "Swagger 2.0 does not have it");
}

#[test]
fn a_model_without_inputs_or_rows_has_a_document_too() {
    for version in Version::ALL {
        let nothing = document(version, &signature(vec![], vec![tensor(DType::F32, &[])]), Access::Open);
        assert!(schema(&nothing, "NamedInputs").get("required").is_none());
    }
    let scalar = signature(vec![input("x", DType::F32, Some(&[]))], vec![tensor(DType::F32, &[])]);
    let document = document(Version::V3_0, &scalar, Access::Open);
    assert!(schema(&document, "Records").is_null(), "a scalar has no rows");
}

#[test]
fn keys_are_described_where_they_are_needed() {
    let signature = signature(vec![input("x", DType::F32, None)], vec![tensor(DType::F32, &[])]);
    for (access, count) in [(Access::Open, 0), (Access::Key, 1)] {
        let document = document(Version::V3_1, &signature, access);
        let post = &document["paths"]["/api/v1/service/a/score"]["post"];
        assert_eq!(post["responses"].get("401").is_some(), access == Access::Key);
        assert_eq!(post["security"].as_array().map_or(0, Vec::len), count);
        assert_eq!(document["components"]["securitySchemes"].as_object().unwrap().len(), count);
    }
}

#[test]
fn a_frame_of_several_inputs_has_columns_or_a_first_record() {
    let two = ["x", "y"].map(|name| input(name, DType::F32, Some(&[N]))).into();
    let document = document(Version::V3_1, &signature(two, vec![tensor(DType::F32, &[N])]), Access::Open);
    let forms = &schema(&document, "Frame")["anyOf"];
    assert_eq!(forms[0]["required"], json!(["columns", "data"]));
    assert_eq!(forms[0]["properties"]["columns"]["items"]["enum"], json!(["x", "y"]));
    assert_eq!(forms[1]["properties"]["data"]["minItems"], 1);
}

#[test]
fn operations_are_called_as_in_azures_documents() {
    let signature = signature(vec![input("x", DType::F32, Some(&[N]))], vec![tensor(DType::F32, &[N])]);
    for version in Version::ALL {
        let document = document(version, &signature, Access::Key);
        for (path, method, id) in [
            ("/", "get", "ServiceHealthCheck"),
            ("/api/v1/service/a/score", "post", "RunMLService"),
            ("/api/v1/service/a/swagger.json", "get", "GetSwaggerSpec"),
        ] {
            assert_eq!(document["paths"][path][method]["operationId"], id);
        }
        for name in ["ServiceInput", "ServiceOutput", "ErrorResponse"] {
            assert!(schema(&document, name).is_object(), "{name}");
        }
        let bearer = match version {
            Version::V2 => &document["securityDefinitions"]["Bearer"],
            Version::V3_0 | Version::V3_1 => &document["components"]["securitySchemes"]["Bearer"],
        };
        assert_eq!(bearer["type"], if version == Version::V2 { "apiKey" } else { "http" });
    }
}

#[test]
fn every_operation_names_its_refusals_and_a_document_its_tag() {
    let signature = signature(vec![input("x", DType::F32, Some(&[N]))], vec![tensor(DType::F32, &[N])]);
    let document = document(Version::V3_1, &signature, Access::Key);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            for status in ["400", "405", "431"] {
                assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
            }
        }
    }
    let responses = &document["paths"]["/api/v1/service/a/openapi.json"]["get"]["responses"];
    assert_eq!(responses["200"]["headers"]["etag"], responses["304"]["headers"]["etag"]);
    assert!(responses["304"].get("content").is_none());
    let refusals = &document["components"]["responses"];
    for (status, header) in
        [("401", "www-authenticate"), ("405", "allow"), ("429", "retry-after"), ("503", "retry-after")]
    {
        assert_eq!(refusals[format!("Error{status}")]["headers"][header]["required"], true, "{status}");
    }
}

#[test]
fn an_inference_request_has_the_models_names_types_and_shapes() {
    let inputs =
        vec![input("x", DType::F32, Some(&[N, Dim::Fixed(10)])), input("s", DType::String, Some(&[Dim::Fixed(2)]))];
    let signature = signature(inputs, vec![tensor(DType::F32, &[N]), tensor(DType::String, &[N])]);
    let document = document(Version::V3_1, &signature, Access::Key);
    let request = schema(&document, "InferenceRequest");
    assert_eq!(request["required"], json!(["inputs"]));
    assert_eq!(
        (&request["properties"]["inputs"]["minItems"], &request["properties"]["inputs"]["maxItems"]),
        (&json!(2), &json!(2))
    );
    let x = &schema(&document, "InferenceInput1")["properties"];
    assert_eq!((&x["name"]["enum"], &x["datatype"]["enum"]), (&json!(["x"]), &json!(["float32"])));
    assert_eq!(x["shape"]["prefixItems"][1], json!({ "type": "integer", "enum": [10] }));
    assert_eq!(x["data"]["anyOf"][1]["items"]["minItems"], 10, "nested as the shape says");
    let s = &schema(&document, "InferenceInput2")["properties"];
    assert_eq!((&s["data"]["minItems"], &s["data"]["maxItems"]), (&json!(2), &json!(2)));
    let wanted = &request["properties"]["outputs"]["items"]["anyOf"];
    let classes = |form: usize| &wanted[form]["properties"]["parameters"]["properties"]["classification"]["maximum"];
    assert_eq!((&wanted[0]["properties"]["name"]["enum"], classes(0)), (&json!(["y0"]), &json!(u64::MAX)));
    assert_eq!((&wanted[1]["properties"]["name"]["enum"], classes(1)), (&json!(["y1"]), &json!(0)));
    let post = &document["paths"]["/v2/models/a/infer"]["post"];
    assert_eq!(post["responses"]["429"]["$ref"], "#/components/responses/InferenceError429");
    assert!(post["requestBody"]["content"]["application/octet-stream"].is_object(), "with bytes behind the JSON");
}

#[test]
fn a_model_has_its_operations_in_every_version() {
    let none = vec![ValueType::Sequence(Box::new(tensor(DType::F32, &[])))];
    let signature = signature(vec![], none);
    for version in Version::ALL {
        let document = document(version, &signature, Access::Key);
        for (leaf, is_secured) in [("", true), ("/ready", false), ("/config", true), ("/stats", true)] {
            let get = &document["paths"][format!("/v2/models/a{leaf}")]["get"];
            assert_eq!(
                (get["responses"]["200"].is_object(), get.get("security").is_some()),
                (true, is_secured),
                "{leaf}"
            );
        }
        let request = schema(&document, "InferenceRequest");
        assert!(request.get("required").is_none(), "there are no inputs to give");
        assert!(request["properties"].get("outputs").is_none(), "there are none that can be carried");
    }
}

#[test]
fn titles_in_the_servers_document_are_each_there_once() {
    let signature = signature(vec![input("x", DType::F32, Some(&[N, N]))], vec![tensor(DType::F32, &[N])]);
    let names = ["a", "b"].map(|name| Name::parse(name).unwrap());
    let services = names.each_ref().map(|name| Service {
        name,
        signature: &signature,
        example: None,
        access: Access::Open,
        outcomes: Outcomes::NotCounted,
        null_input: NullInput::Reject,
        extra_columns: ExtraColumns::Refuse,
        non_finite_output: NonFiniteOutput::Null,
        deployments: vec!["default"],
        inference: inference(&signature),
    });
    let text = server_document(Version::V3_1, &services).to_string();
    let titles: Vec<_> =
        text.split("\"title\":\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    assert_eq!(titles.len(), 1 + 2 * 10, "the document's own, and seven forms in and three out for each: {titles:?}");
    assert!(titles.iter().enumerate().all(|(index, title)| !titles[..index].contains(title)), "{titles:?}");
}

#[test]
fn endpoints_whose_names_differ_in_punctuation_have_types_of_their_own() {
    let names = ["a-b", "a.b", "a_b", "c-d"];
    let kept = |text: String| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let suffixes: Vec<_> = names.iter().map(|name| kept(suffix(name, &names))).collect();
    assert!(suffixes.iter().enumerate().all(|(index, suffix)| !suffixes[..index].contains(suffix)), "{suffixes:?}");
    assert_eq!(suffix("c-d", &names), "_c-d", "nothing is added without need");
    let reversed: Vec<_> = names.iter().rev().copied().collect();
    assert_eq!(suffix("a.b", &names), suffix("a.b", &reversed), "the order has no say");
}

#[test]
fn outcomes_are_reported_where_they_are_counted_and_nowhere_else() {
    let (name, signature) = (name(), signature(vec![input("x", DType::F32, None)], vec![tensor(DType::F32, &[N])]));
    let service = |outcomes| Service {
        name: &name,
        signature: &signature,
        example: None,
        access: Access::Open,
        outcomes,
        null_input: NullInput::Reject,
        extra_columns: ExtraColumns::Refuse,
        non_finite_output: NonFiniteOutput::Null,
        deployments: vec!["blue"],
        inference: inference(&signature),
    };
    for version in Version::ALL {
        let counted = endpoint_document(version, &service(Outcomes::Counted));
        let post = &counted["paths"]["/api/v1/service/a/feedback"]["post"];
        assert_eq!(post["operationId"], "ReportOutcomes");
        let statuses: Vec<_> = post["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "400", "404", "405", "408", "413", "429", "431", "503"], "none about keys");
        // What is referred to is there.
        let text = counted.to_string();
        let references = text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap());
        for reference in references {
            assert!(counted.pointer(reference).is_some(), "{version:?}: {reference}");
        }
        let report = schema(&counted, "FeedbackReport");
        assert_eq!(report["required"], json!(["request_id", "outcome"]));
        let files = endpoint_document(version, &service(Outcomes::NotCounted)).to_string();
        assert!(!files.contains("feedback") && !files.contains("Feedback"));
    }
}
