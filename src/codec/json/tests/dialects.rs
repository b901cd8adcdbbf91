//! The frozen forms: each dialect's requests with the tensors they mean, and the text of the replies.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;

use super::{POLICY, decode_in, signature, spec};
use crate::codec::json::{JsonReply, encode};
use crate::codec::{Dialect, Reply};
use crate::tensor::{DType, Dim, Element, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The model's inputs: names and types.
    model: Vec<(String, String)>,
    body: String,
    #[serde(default)]
    tensors: Vec<Content>,
    #[serde(default)]
    outputs: Vec<Content>,
    reply: Option<String>,
    error: Option<Refusal>,
}

/// A tensor: `float32[2, 3]` and its elements in row-major order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::codec) struct Content {
    #[serde(default)]
    pub(in crate::codec) name: String,
    #[serde(rename = "type")]
    pub(in crate::codec) shape: String,
    /// How the model declares it, if otherwise: `float32[N, 3]`.
    #[serde(default)]
    declared: Option<String>,
    values: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    fault: String,
    path: String,
    /// What the message must contain.
    says: String,
}

impl Content {
    pub(in crate::codec) fn tensor(&self) -> Tensor {
        let spec = spec(&self.name, &self.shape);
        let shape: Vec<usize> = spec
            .dims
            .iter()
            .flatten()
            .map(|dim| match dim {
                Dim::Fixed(size) => *size,
                Dim::Dynamic(_) => panic!("a tensor has a fixed shape"),
            })
            .collect();
        let float = |value: &serde_json::Value| value.as_f64().expect("a number");
        let integer = |value: &serde_json::Value| value.as_i64().expect("an integer");
        match spec.dtype {
            DType::F32 => self.array(&shape, |value| float(value) as f32),
            DType::F64 => self.array(&shape, float),
            DType::F16 => self.array(&shape, |value| f16::from_f64(float(value))),
            DType::BF16 => self.array(&shape, |value| bf16::from_f64(float(value))),
            DType::I64 => self.array(&shape, integer),
            DType::Bool => self.array(&shape, |value| value.as_bool().expect("a boolean")),
            DType::String => self.array(&shape, |value| value.as_str().expect("a string").to_owned()),
            other => panic!("the fixtures have no {other}"),
        }
    }

    fn array<T: Element>(&self, shape: &[usize], convert: impl Fn(&serde_json::Value) -> T) -> Tensor {
        let values = self.values.iter().map(convert).collect();
        T::wrap(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape has"))
    }
}

fn check(dialect: Dialect, file: &str, text: &str) {
    let cases: Vec<Case> = serde_json::from_str(text).expect("a list of cases");
    assert!(cases.len() > 3, "{file}");
    for case in &cases {
        let inputs: Vec<(&str, &str)> = case.model.iter().map(|(name, text)| (&name[..], &text[..])).collect();
        let model = signature(&inputs);
        let at = format!("{file}, '{}': {}", case.name, case.body);
        match (decode_in(dialect, &model, &case.body), &case.error) {
            (Ok(decoded), None) => {
                let expected: Vec<Tensor> = case.tensors.iter().map(Content::tensor).collect();
                assert_eq!(decoded.inputs, expected, "{at}");
                let Reply::Json(form) = decoded.reply else { panic!("{at}: {:?}", decoded.reply) };
                assert_eq!(Some(reply(&model, &case.outputs, form)), case.reply, "{at}");
            }
            (Err(error), Some(expected)) => {
                assert_eq!(error.fault.code(), expected.fault, "{at}: {error}");
                assert_eq!(error.path.as_deref(), Some(&expected.path[..]), "{at}: {error}");
                assert!(error.message.contains(&expected.says), "{at}\n got: {error}\nwant: {}", expected.says);
            }
            (got, expected) => panic!("{at}\n got: {got:?}\nwant: {expected:?}"),
        }
    }
}

fn reply(asked: &Signature, outputs: &[Content], form: JsonReply) -> String {
    let values: Vec<Value> = outputs.iter().map(|output| output.tensor().into()).collect();
    let outputs = outputs.iter().map(|output| {
        let TensorSpec { name, dtype, dims } = spec(&output.name, output.declared.as_ref().unwrap_or(&output.shape));
        OutputSpec { name, value: ValueType::Tensor { dtype, dims } }
    });
    let model = Signature { inputs: asked.inputs.clone(), outputs: outputs.collect() };
    let encoded = encode(&values, &model, form, &POLICY).expect("finite");
    String::from_utf8(encoded.parts.concat()).expect("JSON is UTF-8")
}

macro_rules! fixtures {
    ($dialect:ident: $($test:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            let file = concat!(stringify!($test), ".json");
            check(Dialect::$dialect, file, include_str!(concat!("../../../../tests/fixtures/json/", stringify!($test), ".json")));
        }
    )*};
}

fixtures!(Any: data, named, input_data, dataframe_split, dataframe_records, instances, inputs, power_bi);
fixtures!(TensorFlowServing: tensorflow_serving);
fixtures!(Mlflow: mlflow);
