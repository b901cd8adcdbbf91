//! The frozen forms: requests with the tensors they mean, and answers to the byte.

use serde::Deserialize;

use super::{decode, model};
use crate::codec::json::tests::POLICY;
use crate::codec::json::tests::dialects::Content;
use crate::codec::open_inference::{Answering, NoRegions, encode};
use crate::tensor::{Tensor, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The model's: names and types.
    inputs: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
    json: String,
    /// What follows the JSON, in hexadecimal; with it, the JSON's length is told beside the body.
    bytes: Option<String>,
    #[serde(default)]
    tensors: Vec<Content>,
    /// What the model answers.
    #[serde(default)]
    results: Vec<Content>,
    reply: Option<String>,
    /// What follows the answer's JSON.
    reply_bytes: Option<String>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    fault: String,
    path: Option<String>,
    /// What the message must contain.
    says: String,
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn pairs(list: &[(String, String)]) -> Vec<(&str, &str)> {
    list.iter().map(|(name, kind)| (&name[..], &kind[..])).collect()
}

fn check(file: &str, text: &str) {
    let cases: Vec<Case> = serde_json::from_str(text).expect("a list of cases");
    assert!(cases.len() > 3, "{file}");
    for case in &cases {
        let model = model(&pairs(&case.inputs), &pairs(&case.outputs));
        let at = format!("{file}, '{}'", case.name);
        let bytes = case.bytes.as_deref().map(from_hex);
        let body = [case.json.as_bytes(), bytes.as_deref().unwrap_or_default()].concat();
        match (decode(&model, &body, bytes.map(|_| case.json.len())), &case.error) {
            (Ok(request), None) => {
                let expected: Vec<Tensor> = case.tensors.iter().map(Content::tensor).collect();
                assert_eq!(request.inputs, expected, "{at}");
                let results: Vec<Value> = case.results.iter().map(|result| result.tensor().into()).collect();
                let answering =
                    Answering { model_name: "m", model_version: 3, id: &request.id, signature: &model, labels: &[] };
                let reply = encode(results, &request.wanted, &answering, &POLICY, &NoRegions).expect("finite");
                let written = reply.parts.concat();
                let (json, rest) = written.split_at(reply.json_bytes.unwrap_or(written.len()));
                assert_eq!(Some(std::str::from_utf8(json).unwrap()), case.reply.as_deref(), "{at}");
                let expected = case.reply_bytes.as_deref().map(from_hex);
                assert_eq!(reply.json_bytes.map(|_| rest.to_vec()), expected, "{at}");
            }
            (Err(error), Some(expected)) => {
                assert_eq!(error.fault.code(), expected.fault, "{at}: {error}");
                assert_eq!(error.path, expected.path, "{at}: {error}");
                assert!(error.message.contains(&expected.says), "{at}\n got: {error}\nwant: {}", expected.says);
            }
            (got, expected) => panic!("{at}\n got: {got:?}\nwant: {expected:?}"),
        }
    }
}

macro_rules! fixtures {
    ($($test:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            let file = concat!(stringify!($test), ".json");
            check(file, include_str!(concat!("../../../../tests/fixtures/open_inference/", stringify!($test), ".json")));
        }
    )*};
}

fixtures!(json, binary, refused);
