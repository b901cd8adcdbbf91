//! `model_warmup`: requests that a model answers before it is ready.

use std::io::{self, Read};
use std::path::PathBuf;

use super::tensors::{Batch, data_type, dim};
use super::{ModelConfig, inside, instances, schema};
use crate::codec::{self, DecodeError, Format, Policy, Receiver, Request};
use crate::pbtxt::{Fault, Field, Place};
use crate::plain_file;
use crate::tensor::{DType, Shape, Signature, Tensor, element_count};

/// How often one sample may be run.
const RUNS_MAX: u32 = 1_000;

/// The folder with the files of `input_data_file`, in the model's own.
const FOLDER: &str = "warmup";

/// One sample, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    place: Place,
    name: String,
    runs: u32,
    inputs: Vec<SampleInput>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SampleInput {
    name: String,
    dtype: DType,
    /// The batch dimension included, unless only the model can tell whether there is one.
    shape: Vec<usize>,
    /// How often the data stand behind each other.
    copies: usize,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Data {
    Zero,
    Random,
    /// In the folder `warmup`: the tensor's bytes, as the binary form of the Open Inference Protocol has them.
    File(String),
}

/// A request to be run before the model is ready.
#[derive(Clone, Debug)]
pub struct WarmUp {
    pub name: String,
    /// In the signature's order.
    pub inputs: Vec<Tensor>,
    pub runs: u32,
}

/// A sample that is none for this model. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum WarmUpError {
    #[error("{}:{place}: model_warmup '{sample}': {reason}", config.display())]
    Unsuitable { config: PathBuf, place: Place, sample: String, reason: String },
    #[error("{}:{place}: model_warmup '{sample}': cannot read {}: {source}", config.display(), path.display())]
    Read { config: PathBuf, place: Place, sample: String, path: PathBuf, source: io::Error },
}

impl Sample {
    pub(super) fn read(field: &Field, batch: Batch) -> Result<Sample, Fault> {
        let fields = schema::WARM_UP.of(field.message()?)?;
        let find = |name: &str| fields.iter().find(|field| field.name == name);
        let rows =
            find("batch_size").map(|field| field.count(i32::MAX.unsigned_abs())).transpose()?.unwrap_or(1).max(1);
        if rows > 1 && batch != Batch::Left {
            return Err(field.fault("max_batch_size is not above 0, so batch_size can only be 1"));
        }
        let inputs = fields.iter().filter(|field| field.name == "inputs");
        Ok(Sample {
            place: field.place,
            name: find("name").map(Field::text).transpose()?.unwrap_or_default().chars().take(80).collect(),
            runs: find("count").map(|field| field.count(RUNS_MAX)).transpose()?.unwrap_or(1).max(1),
            inputs: inputs.map(|input| SampleInput::read(input, batch, rows as usize)).collect::<Result<_, _>>()?,
        })
    }
}

impl SampleInput {
    fn read(field: &Field, batch: Batch, rows: usize) -> Result<SampleInput, Fault> {
        let (name, value) = instances::entry(field)?;
        let value = value.ok_or_else(|| field.fault("an input needs a value: { key: \"…\" value: { … } }"))?;
        let rows = (batch == Batch::Left).then_some(rows);
        let (mut dtype, mut shape, mut data) = (None, Vec::from_iter(rows), None);
        for field in schema::WARM_UP_INPUT.of(value.message()?)? {
            match field.name.as_str() {
                "data_type" => dtype = data_type(field)?,
                "dims" => match usize::try_from(dim(field)?) {
                    Ok(size) => shape.push(size),
                    Err(_) => return Err(field.fault("a sample's dims are sizes, so -1 is none")),
                },
                "input_data_file" => data = Some(Data::File(field.text()?.to_owned())),
                "zero_data" | "random_data" if !field.flag()? => {}
                "zero_data" => data = Some(Data::Zero),
                _ => data = Some(Data::Random),
            }
        }
        Ok(SampleInput {
            name: name.to_owned(),
            dtype: dtype.ok_or_else(|| value.fault("a sample's input needs its data_type"))?,
            shape,
            copies: rows.unwrap_or(1),
            data: data
                .ok_or_else(|| value.fault("expected zero_data: true, random_data: true or input_data_file: \"…\""))?,
        })
    }

    /// The elements as little-endian bytes.
    fn bytes(&self, config: &ModelConfig, max_elements: usize) -> Result<Vec<u8>, Trouble> {
        let count = element_count(&self.shape).filter(|count| *count <= max_elements);
        let count = count.ok_or_else(|| {
            Trouble::Reason(format!(
                "input '{}' of shape {} has more than {max_elements} elements",
                self.name,
                Shape(&self.shape)
            ))
        })?;
        // A string of no letters is its length.
        let size = self.dtype.size().unwrap_or(size_of::<u32>());
        match &self.data {
            Data::Zero => Ok(vec![0; count * size]),
            Data::Random => Ok(random(self.dtype, count)),
            Data::File(name) => {
                let Some(path) = inside(&config.folder.join(FOLDER), name) else {
                    return Err(Trouble::Reason(format!("input_data_file: expected a file in the folder {FOLDER}")));
                };
                // What the file holds is one row, which each row of the batch repeats.
                let expected = self.dtype.size().map(|size| (count / self.copies * size) as u64);
                let mut row = Vec::new();
                let most = expected.unwrap_or(FILE_BYTES_MAX);
                let read = plain_file::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut row));
                match read {
                    Ok(_) if row.len() as u64 > most || expected.is_some_and(|bytes| bytes != row.len() as u64) => {
                        let verb = if expected.is_some() { "needs" } else { "can have at most" };
                        Err(Trouble::Reason(format!(
                            "input '{}' {verb} {most} bytes, {} has others",
                            self.name,
                            path.display()
                        )))
                    }
                    Ok(_) => Ok(row.repeat(self.copies)),
                    Err(source) => Err(Trouble::Read(path, source)),
                }
            }
        }
    }
}

/// The longest file with a sample's data.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

enum Trouble {
    Reason(String),
    Read(PathBuf, io::Error),
}

impl From<DecodeError> for Trouble {
    fn from(error: DecodeError) -> Trouble {
        Trouble::Reason(error.to_string())
    }
}

impl ModelConfig {
    /// The requests that are to be run before the model is ready.
    pub fn warm_up(&self, signature: &Signature, policy: Policy) -> Result<Vec<WarmUp>, WarmUpError> {
        let make = |sample: &Sample| {
            let inputs = self.sample_inputs(sample, signature, policy).map_err(|trouble| {
                let (config, place, sample) = (self.path(), sample.place, sample.name.clone());
                match trouble {
                    Trouble::Reason(reason) => WarmUpError::Unsuitable { config, place, sample, reason },
                    Trouble::Read(path, source) => WarmUpError::Read { config, place, sample, path, source },
                }
            });
            Ok(WarmUp { name: sample.name.clone(), inputs: inputs?, runs: sample.runs })
        };
        self.samples.iter().map(make).collect()
    }

    /// The inputs as a raw body has them, and so through all the checks that a request's go through.
    fn sample_inputs(&self, sample: &Sample, signature: &Signature, policy: Policy) -> Result<Vec<Tensor>, Trouble> {
        let (mut body, mut shapes) = (Vec::new(), Vec::new());
        if let Some(stranger) = sample.inputs.iter().find(|input| signature.input_index(&input.name).is_none()) {
            return Err(Trouble::Reason(format!("the model has no input '{}'", stranger.name)));
        }
        for spec in &signature.inputs {
            let mut given = sample.inputs.iter().filter(|input| input.name == spec.name);
            let (Some(input), None) = (given.next(), given.next()) else {
                return Err(Trouble::Reason(format!("expected input '{}' ({spec}) once", spec.name)));
            };
            if input.dtype != spec.dtype {
                let (name, own, theirs) = (&input.name, spec.dtype, input.dtype);
                return Err(Trouble::Reason(format!("input '{name}' takes {own}, the sample has {theirs}")));
            }
            body.extend(input.bytes(self, policy.max_elements)?);
            let rank = spec.dims.as_ref().map(Vec::len);
            let is_behind = self.batch == Batch::Unsaid && rank == Some(input.shape.len() + 1);
            shapes.push(
                is_behind
                    .then_some(&1)
                    .into_iter()
                    .chain(&input.shape)
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            );
        }
        let shapes = shapes.join(";");
        let request = Request {
            signature,
            policy,
            announced_bytes: Some(body.len()),
            max_bytes: body.len(),
            raw_shape: Some(&shapes),
        };
        let mut receiver = Receiver::new(Format::Raw, request)?;
        receiver.push(&body)?;
        Ok(codec::Receiver::finish(receiver)?.inputs)
    }
}

/// Elements without a pattern: floats from 0 to 1, any integers, either bool, empty strings. The same every time, so that a
/// sample which a model cannot bear is not a matter of luck.
fn random(dtype: DType, count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let unit = |bits: u64| (bits >> 40) as f32 / (1u64 << 24) as f32;
    let mut bytes = Vec::with_capacity(count * dtype.size().unwrap_or(4));
    for _ in 0..count {
        let bits = next();
        match dtype {
            DType::Bool => bytes.push(bits as u8 & 1),
            DType::F16 => bytes.extend(half::f16::from_f32(unit(bits)).to_le_bytes()),
            DType::BF16 => bytes.extend(half::bf16::from_f32(unit(bits)).to_le_bytes()),
            DType::F32 => bytes.extend(unit(bits).to_le_bytes()),
            DType::F64 => bytes.extend(f64::from(unit(bits)).to_le_bytes()),
            DType::String => bytes.extend([0; 4]),
            _ => bytes.extend(&bits.to_le_bytes()[..dtype.size().unwrap_or(0)]),
        }
    }
    bytes
}
