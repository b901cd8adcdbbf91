//! Request bodies: made up from a description of a model's inputs, in each form that servers take.
//!
//! Numbers are drawn from a seed, so that every server of a comparison gets the same ones; several bodies are sent in
//! rotation, so that no cache of answers helps.

mod input;
mod json;
mod npy;
mod open_inference;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use input::{DataType, InputSpec, Range, Tensor};

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// {"data": …}, for models with one input
    Data,
    /// {"<input>": …, …}
    Named,
    /// {"input_data": …}
    InputData,
    /// Open Inference Protocol (v2), JSON
    V2,
    /// Open Inference Protocol (v2), tensors as bytes after the JSON
    V2Binary,
    /// A .npy file, for models with one input
    Npy,
    /// The tensor's bytes and nothing else, for models with one input
    Raw,
}

/// A body, and the headers that tell what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub content: Bytes,
    pub headers: Vec<(String, String)>,
}

/// How bodies are made up.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    pub kind: Kind,
    pub inputs: Vec<InputSpec>,
    pub range: Option<Range>,
    pub decimals: Option<u8>,
}

/// Why bodies can't be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    #[error("expected at least one --input NAME:TYPE:SHAPE (or --describe-from, or --body FILE)")]
    NoInputs,
    #[error("a body of kind {kind} holds one input, got {count}; of several inputs are 'named', 'v2' and 'v2-binary'")]
    OneInput { kind: String, count: usize },
    #[error("strings can't be written as {0}; expected a JSON kind or v2-binary")]
    NoStrings(String),
}

impl Recipe {
    /// So many different bodies.
    pub fn make(&self, bodies: u32, seed: u64) -> Result<Vec<Body>, BodyError> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..bodies).map(|_| self.make_one(&mut random)).collect()
    }

    fn make_one(&self, random: &mut fastrand::Rng) -> Result<Body, BodyError> {
        if self.inputs.is_empty() {
            return Err(BodyError::NoInputs);
        }
        let draw = |input: &InputSpec| input.draw(self.range, self.decimals, random);
        let tensors: Vec<Tensor> = self.inputs.iter().map(draw).collect();
        match self.kind {
            Kind::Data => Ok(json_body(json::keyed("data", self.only(&tensors)?))),
            Kind::Named => Ok(json_body(json::named(&tensors))),
            Kind::InputData => Ok(json_body(match &tensors[..] {
                [tensor] => json::keyed("input_data", tensor),
                several => format!("{{\"input_data\":{}}}", json::named(several)),
            })),
            Kind::V2 => Ok(json_body(open_inference::json(&tensors))),
            Kind::V2Binary => Ok(open_inference::binary(&tensors)),
            Kind::Npy => {
                let tensor = self.only(&tensors)?;
                let descr = tensor.data_type.npy_descr().ok_or_else(|| BodyError::NoStrings(self.kind_name()))?;
                Ok(typed_body("application/x-npy", npy::file(descr, &tensor.shape, &tensor.bytes())))
            }
            Kind::Raw => {
                let tensor = self.only(&tensors)?;
                if tensor.data_type == DataType::String {
                    return Err(BodyError::NoStrings(self.kind_name()));
                }
                Ok(typed_body("application/octet-stream", tensor.bytes()))
            }
        }
    }

    fn only<'a>(&self, tensors: &'a [Tensor]) -> Result<&'a Tensor, BodyError> {
        match tensors {
            [tensor] => Ok(tensor),
            several => Err(BodyError::OneInput { kind: self.kind_name(), count: several.len() }),
        }
    }

    fn kind_name(&self) -> String {
        clap::ValueEnum::to_possible_value(&self.kind).map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn json_body(text: String) -> Body {
    typed_body("application/json", text.into_bytes())
}

fn typed_body(content_type: &str, content: Vec<u8>) -> Body {
    Body { content: content.into(), headers: vec![("content-type".to_owned(), content_type.to_owned())] }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn recipe(kind: Kind, inputs: &[&str]) -> Recipe {
        let inputs = inputs.iter().map(|input| input.parse().unwrap()).collect();
        Recipe { kind, inputs, range: Some("0..10".parse().unwrap()), decimals: None }
    }

    fn json(kind: Kind, inputs: &[&str]) -> Value {
        let body = recipe(kind, inputs).make(1, 1).unwrap().remove(0);
        assert_eq!(body.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        serde_json::from_slice(&body.content).unwrap()
    }

    /// The shape of nested lists; numbers have none.
    fn shape(value: &Value) -> Vec<usize> {
        match value {
            Value::Array(items) => std::iter::once(items.len()).chain(items.first().map_or(vec![], shape)).collect(),
            _ => vec![],
        }
    }

    #[test]
    fn json_kinds_hold_the_inputs_in_their_shapes() {
        assert_eq!(shape(&json(Kind::Data, &["x:float32:2x3x4"])["data"]), [2, 3, 4]);
        let named = json(Kind::Named, &["ids:int64:1x32", "mask:int64:1x32"]);
        assert_eq!((shape(&named["ids"]), shape(&named["mask"])), (vec![1, 32], vec![1, 32]));
        assert!(named["ids"][0].as_array().unwrap().iter().all(|id| (0..10).contains(&id.as_i64().unwrap())));
        assert_eq!(shape(&json(Kind::InputData, &["x:bool:4"])["input_data"]), [4]);
        assert_eq!(shape(&json(Kind::InputData, &["x:uint8:4", "y:string:2x2"])["input_data"]["y"]), [2, 2]);
        assert!(json(Kind::Data, &["x:string:1"])["data"][0].is_string());
        assert_eq!(shape(&json(Kind::Data, &["x:float64:"])["data"]), [0; 0]);
    }

    #[test]
    fn open_inference_json_is_flat_with_its_shape() {
        let v2 = json(Kind::V2, &["x:float32:2x3", "s:string:2"]);
        assert_eq!(v2["inputs"][0]["shape"], json!([2, 3]));
        assert_eq!((&v2["inputs"][0]["name"], &v2["inputs"][0]["datatype"]), (&json!("x"), &json!("FP32")));
        assert_eq!(shape(&v2["inputs"][0]["data"]), [6]);
        assert_eq!(v2["inputs"][1]["datatype"], "BYTES");
    }

    #[test]
    fn open_inference_binary_has_the_tensors_after_the_json() {
        let body = recipe(Kind::V2Binary, &["x:float32:2x3", "s:string:2"]).make(1, 1).unwrap().remove(0);
        let header = |name: &str| body.headers.iter().find(|(found, _)| found == name).unwrap().1.as_str();
        assert_eq!(header("content-type"), "application/octet-stream");
        let (head, tensors) = body.content.split_at(header("inference-header-content-length").parse().unwrap());
        let head: Value = serde_json::from_slice(head).unwrap();
        let size = |index: usize| head["inputs"][index]["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
        assert_eq!(size(0), 24);
        assert_eq!(size(0) + size(1), tensors.len());
        // Each string has its length before it, four bytes, little end first.
        let strings = &tensors[24..];
        let first = u32::from_le_bytes(strings[..4].try_into().unwrap()) as usize;
        assert!(std::str::from_utf8(&strings[4..4 + first]).is_ok());
        assert_eq!(head["parameters"]["binary_data_output"], true);
    }

    #[test]
    fn binary_kinds_hold_the_same_numbers_as_json() {
        let json = json(Kind::Data, &["x:float32:1x5"]);
        let numbers: Vec<f32> =
            json["data"][0].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect();
        let raw = recipe(Kind::Raw, &["x:float32:1x5"]).make(1, 1).unwrap().remove(0).content;
        let floats: Vec<f32> = raw.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(numbers, floats);
        let npy = recipe(Kind::Npy, &["x:float32:1x5"]).make(1, 1).unwrap().remove(0).content;
        assert!(npy.ends_with(&raw));
        // Magic, version 1.0, the header's length, and a header that is padded so that data begin at a multiple of 64.
        assert_eq!(npy[..8], *b"\x93NUMPY\x01\x00");
        let header = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
        assert_eq!((10 + header) % 64, 0);
        let text = std::str::from_utf8(&npy[10..10 + header]).unwrap();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 5), }"), "{text}");
        assert_eq!(npy.len(), 10 + header + raw.len());
    }

    #[test]
    fn bodies_differ_and_the_seed_decides() {
        let bodies = recipe(Kind::Data, &["x:float32:1x10"]).make(8, 1).unwrap();
        for (index, body) in bodies.iter().enumerate() {
            assert!(!bodies[..index].contains(body));
        }
        assert_eq!(recipe(Kind::Data, &["x:float32:1x10"]).make(8, 1).unwrap(), bodies);
        assert_ne!(recipe(Kind::Data, &["x:float32:1x10"]).make(8, 2).unwrap(), bodies);
    }

    #[test]
    fn decimals_and_ranges_are_kept() {
        let mut recipe = recipe(Kind::Data, &["x:float32:1x100"]);
        recipe.decimals = Some(2);
        recipe.range = Some("-5..5".parse().unwrap());
        let text = String::from_utf8(recipe.make(1, 1).unwrap().remove(0).content.to_vec()).unwrap();
        let numbers = text.trim_start_matches("{\"data\":[[").trim_end_matches("]]}").split(',');
        for number in numbers {
            assert_eq!(number.split_once('.').unwrap().1.len(), 2, "{number}");
            assert!((-5.0..=5.0).contains(&number.parse::<f64>().unwrap()), "{number}");
        }
    }

    #[test]
    fn what_a_kind_cannot_hold_is_refused() {
        let refusal = |kind, inputs: &[&str]| recipe(kind, inputs).make(1, 1).unwrap_err().to_string();
        assert!(refusal(Kind::Data, &[]).contains("--input NAME:TYPE:SHAPE"));
        assert!(refusal(Kind::Npy, &["x:float32:1", "y:float32:1"]).contains("holds one input, got 2"));
        assert!(refusal(Kind::Raw, &["x:string:1"]).contains("strings can't be written as raw"));
        assert!(refusal(Kind::Npy, &["x:string:1"]).contains("strings can't be written as npy"));
    }
}
