//! What a model takes, asked of the server: the metadata of Open Inference (v2), or the example of an OpenAPI document.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::Value;

use crate::body::{DataType, InputSpec};
use crate::check::{CheckError, alone};
use crate::plan::Protocol;
use crate::resolve::{Address, ResolveError, get};
use crate::wire::Channel;

/// What the server told.
#[derive(Debug, Clone, PartialEq)]
pub enum Described {
    /// Open Inference: the inputs, to make bodies for.
    Inputs(Vec<InputSpec>),
    /// OpenAPI: a body that is valid.
    Example(Bytes),
}

/// Why the server's answer is no description.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error("{url} is answered with {status}; expected 200 with the model's metadata (v2), or an OpenAPI document")]
    Status { url: String, status: u16 },
    #[error(
        "{url}: expected JSON with \"inputs\", or an OpenAPI document whose ServiceInput has an example: {problem}"
    )]
    Form { url: String, problem: String },
    #[error("{0} could not be asked")]
    NoAnswer(String, #[source] Box<CheckError>),
    #[error(transparent)]
    Url(Box<ResolveError>),
}

const TIMEOUT: Duration = Duration::from_secs(10);
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Asks. `rows` is the size of an open first dimension.
pub fn describe(url: &str, headers: &HeaderMap, rows: u32) -> Result<Described, DescribeError> {
    let address = Address::parse(url).map_err(|error| DescribeError::Url(Box::new(error)))?;
    let addresses = address.look_up(url).map_err(|error| DescribeError::Url(Box::new(error)))?;
    let no_answer = |error| DescribeError::NoAnswer(url.to_owned(), Box::new(error));
    let channel = Channel::new(Protocol::Http1, &addresses);
    let answer = alone(channel, &get(&address, headers), DOCUMENT_BYTES_MAX, TIMEOUT)
        .map_err(|error| no_answer(error.into()))?
        .map_err(|failure| no_answer(CheckError::NoAnswer { url: url.to_owned(), failure }))?;
    if answer.status != 200 {
        return Err(DescribeError::Status { url: url.to_owned(), status: answer.status });
    }
    read(&answer.beginning, rows).map_err(|problem| DescribeError::Form { url: url.to_owned(), problem })
}

fn read(document: &[u8], rows: u32) -> Result<Described, String> {
    let document: Value = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    if let Some(inputs) = document.get("inputs").and_then(Value::as_array) {
        return inputs.iter().map(|input| read_input(input, rows)).collect::<Result<_, _>>().map(Described::Inputs);
    }
    // Where OpenAPI 3 and Swagger 2.0 keep schemas; the name is that of Azure ML's documents.
    ["/components/schemas/ServiceInput/example", "/definitions/ServiceInput/example"]
        .iter()
        .find_map(|place| document.pointer(place))
        .map(|example| Described::Example(example.to_string().into()))
        .ok_or_else(|| "neither is there".to_owned())
}

fn read_input(input: &Value, rows: u32) -> Result<InputSpec, String> {
    let text = |key: &str| input.get(key).and_then(Value::as_str).ok_or_else(|| format!("an input without \"{key}\""));
    let name = text("name")?;
    let datatype = text("datatype")?;
    let data_type =
        DataType::named(datatype).ok_or_else(|| format!("input '{name}' is of {datatype}, which can't be made up"))?;
    let sizes =
        input.get("shape").and_then(Value::as_array).ok_or_else(|| format!("input '{name}' has no \"shape\""))?;
    let size = |(dimension, size): (usize, &Value)| match (size.as_u64(), dimension) {
        (Some(size), _) => Ok(size),
        (None, 0) => Ok(rows.into()),
        (None, _) => Err(format!("dimension {dimension} of '{name}' is open; give its shape with --input instead")),
    };
    let shape = sizes.iter().enumerate().map(size).collect::<Result<_, _>>()?;
    Ok(InputSpec { name: name.to_owned(), data_type, shape, range: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_give_the_inputs() {
        let text = r#"{"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 28, 28]},
            {"name": "y", "datatype": "INT64", "shape": [3]}], "outputs": []}"#;
        let Ok(Described::Inputs(inputs)) = read(text.as_bytes(), 2) else { panic!("inputs") };
        assert_eq!(inputs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["x:float32:2x28x28", "y:int64:3"]);
        let open = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]}"#;
        assert!(read(open.as_bytes(), 1).unwrap_err().contains("dimension 1 of 'x' is open"));
        let half = r#"{"inputs": [{"name": "x", "datatype": "FP16", "shape": [1]}]}"#;
        assert!(read(half.as_bytes(), 1).unwrap_err().contains("FP16"));
    }

    /// The documents that Scoria's own tests keep.
    #[test]
    fn openapi_documents_give_their_example() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/openapi");
        for version in ["2.0", "3.0"] {
            let text = std::fs::read(folder.join(format!("ridge.{version}.json"))).unwrap();
            let Ok(Described::Example(example)) = read(&text, 1) else { panic!("an example in {version}") };
            let example: Value = serde_json::from_slice(&example).unwrap();
            assert_eq!(example["data"][0].as_array().unwrap().len(), 10);
        }
        assert!(read(b"{}", 1).is_err());
        assert!(read(b"<html>", 1).is_err());
    }
}
